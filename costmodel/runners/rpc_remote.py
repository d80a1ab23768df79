"""A session with a board through TVM's client: libraries, arrays and threads there.

Calls may hang for ever; see `costmodel.runners.rpc_worker`.
"""

# ruff: noqa: ANN401 - TVM has no types
from __future__ import annotations

import math
import re
import struct
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from costmodel.kernels import Array
from costmodel.protocol import STABLE, WARM_UPS, Protocol
from costmodel.runners.rpc_messages import BoardError, Call, Open, Read, Run, Time
from costmodel.runners.tvm_version import tvm_version

_ONE_CORE_PER_THREAD = -2
"""TVM's `ThreadGroup::AffinityMode::kSpecifyOneCorePerThread`."""
_ROOMS_BYTES = (1 << 20, 1 << 26)
"""For the text of files: first that, and where it is too small, that."""
_FAST_CLOCK, _FAST_CLOCK_SECONDS = 1.5, 5.0
"""A board that claims more time than has passed here, times the first, plus the second, is wrong:
its clock has jumped."""
_ALLOWED = re.compile(r"^Cpus_allowed_list:\s*([\d,-]+)", re.MULTILINE)


class RemoteBoard:
    """A session: its libraries, its arrays, its threads."""

    def __init__(self, request: Open) -> None:
        import tvm
        from tvm import rpc

        self._empty, self._tensor = tvm.runtime.empty, tvm.runtime.tensor
        self._session = rpc.connect(
            request.host, request.port, request.key, session_timeout=request.seconds
        )
        self._device = self._session.cpu()
        self._libraries: dict[Path, Any] = {}
        self._own = self._library(request.library)
        status = self._read(["/proc/self/status"]).get("/proc/self/status", "")
        allowed = _ALLOWED.search(status)
        self._allowed = _numbers(allowed[1] if allowed else "")
        self._threads: tuple[int, ...] = ()
        self._is_pooled = False

    def lives(self) -> bool:
        """Whether the session still answers."""
        try:
            self._session.get_function("runtime.config_threadpool")
        except Exception:  # whatever it is, there is no session
            return False
        return True

    def version(self) -> str:
        """That of the board's TVM; empty where it is not from a wheel."""
        return tvm_version(self._read)

    def answer(self, request: Time | Run | Read) -> Any:
        """What is asked for."""
        if isinstance(request, Time):
            return self._time(request.call, request.protocol)
        if isinstance(request, Run):
            return self._run(request.call, request.arrays)
        return self._read(request.patterns)

    def _time(self, call: Call, protocol: Protocol) -> tuple[float, ...]:
        module = self._library(call.library)
        self._run_on(protocol.cpus, call.threads)
        arrays = [self._empty(shape, "float32", self._device) for shape in call.shapes]
        for index, array in enumerate(arrays):
            # The first has numbers up to 1; the others' squares sum up to 1 at most: then a deep
            # network's output is finite.
            count = max(1, math.prod(call.shapes[index]))
            self._own["ponas_fill"](array, index, 1 / math.sqrt(count) if index else 1.0)

        def samples(count: int, min_repeat_ms: float) -> tuple[float, ...]:
            evaluator = module.time_evaluator(
                call.name, self._device, number=1, repeat=count,
                min_repeat_ms=math.ceil(min_repeat_ms),
                cache_flush_bytes=protocol.flush_kb * 1024,
            )  # fmt: skip
            begin = time.monotonic()
            found = tuple(float(sample) for sample in evaluator(*arrays).results)
            check_times(found, time.monotonic() - begin)
            return found

        for _ in range(WARM_UPS if protocol.warm_up_ms else 0):
            first, second = samples(2, protocol.warm_up_ms / 2)
            if abs(first - second) <= STABLE * min(first, second):
                break
        found = samples(protocol.samples, protocol.min_repeat_ms)
        if self._own["ponas_strange"](arrays[-1]):
            raise ValueError("its output is not finite")
        return found

    def _run(self, call: Call, arrays: Sequence[Array]) -> Array:
        module = self._library(call.library)
        self._run_on((), call.threads)
        given = [self._tensor(np.ascontiguousarray(a, np.float32), self._device) for a in arrays]
        output = self._empty(call.shapes[-1], "float32", self._device)
        module[call.name](*given, output)
        found: Array = output.numpy()
        return found

    def _read(self, patterns: Sequence[str]) -> dict[str, str]:
        found: dict[str, str] = {}
        for pattern in patterns:
            found.update(self._read_pattern(pattern))
        return found

    def _read_pattern(self, pattern: str) -> dict[str, str]:
        asked = np.frombuffer(pattern.encode() + b"\0", np.uint8)
        for room in _ROOMS_BYTES:
            answer = self._empty((room,), "uint8", self._device)
            count = self._own["ponas_read"](self._tensor(asked.copy(), self._device), answer)
            if count >= 0:
                return _files(answer.numpy()[:count].tobytes()) if count else {}
        raise ValueError(f"the files {pattern} are larger than {_ROOMS_BYTES[-1] >> 20} MB")

    def _library(self, path: Path) -> Any:
        if path in self._libraries:
            return self._libraries[path]
        try:
            self._session.upload(str(path))
            self._libraries[path] = self._session.load_module(path.name)
            self._session.remove(path.name)  # it is loaded; a board's disk may be small
        except Exception as error:  # of the type that TVM's C++ code names
            if not self.lives():
                raise
            line = (str(error).strip().splitlines() or [type(error).__name__])[-1]
            raise BoardError(f"it cannot load our library: {line}") from error
        return self._libraries[path]

    def _run_on(self, cpus: Sequence[int], threads: int) -> None:
        """Has calls use ``threads`` threads, one on each of ``cpus``; see `Protocol.cpus`.

        With fewer processors there are fewer threads. Without any, one thread runs anywhere and
        several on the first processors that the server may use.
        """
        wanted = tuple(cpus[:threads]) or self._allowed[: threads if threads > 1 else None]
        is_pooled = threads > 1
        if not wanted or (wanted == self._threads and is_pooled <= self._is_pooled):
            return
        for cpu in wanted:
            if self._own["ponas_pin"](cpu):
                raise BoardError(
                    f"it has no processor {cpu} for us (protocol: cpus); the server may use "
                    f"{', '.join(map(str, self._allowed))}"
                )
        self._own["ponas_pin"](*wanted)
        if is_pooled:
            names = self._session.get_function("ffi.Array")(*map(str, wanted))
            configure = self._session.get_function("runtime.config_threadpool")
            configure(_ONE_CORE_PER_THREAD, len(wanted), names)
        self._threads, self._is_pooled = wanted, is_pooled


def check_times(samples: Sequence[float], elapsed: float) -> None:
    """Raises ValueError where no board can have needed ``samples`` seconds."""
    if not all(math.isfinite(sample) and sample >= 0 for sample in samples):
        raise ValueError(f"the board answered {samples[:3]}: no time can be like that")
    if min(samples) == 0:
        raise ValueError("it is too short for the board's clock; set a larger min_repeat_ms")
    if sum(samples) > _FAST_CLOCK * elapsed + _FAST_CLOCK_SECONDS:
        raise ValueError(
            f"the board's clock jumped: it claims {sum(samples):.3g} s for what took "
            f"{elapsed:.3g} s here"
        )


def _files(answer: bytes) -> dict[str, str]:
    """Text by path, from what `ponas_read` writes."""
    found, at = {}, 0
    while at < len(answer):
        end = answer.index(b"\0", at)
        (length,) = struct.unpack_from("<q", answer, end + 1)
        path, at = answer[at:end].decode(errors="replace"), end + 9 + length
        found[path] = answer[end + 9 : at].decode(errors="replace")
    return found


def _numbers(text: str) -> tuple[int, ...]:
    """``0-3,6`` as numbers."""
    numbers: list[int] = []
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        numbers += range(int(first), int(last or first) + 1)
    return tuple(numbers)
