"""The child process that holds a session with a board: nothing else can be given up when it hangs.

TVM's client has no deadlines. Each request is one call of `_Board`; what goes wrong becomes a
`Failure`.
"""

# ruff: noqa: ANN401 - TVM has no types
from __future__ import annotations

import math
import re
import signal
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import numpy as np

from costmodel.kernels import Array
from costmodel.operators import Shape
from costmodel.protocol import STABLE, WARM_UPS, Protocol

_ONE_CORE_PER_THREAD = -2
"""TVM's `ThreadGroup::AffinityMode::kSpecifyOneCorePerThread`."""
_ROOMS_BYTES = (1 << 20, 1 << 26)
"""For the text of files: first that, and where it is too small, that."""
_FAST_CLOCK, _FAST_CLOCK_SECONDS = 1.5, 5.0
"""A board that claims more time than has passed here, times the first, plus the second, is wrong:
its clock has jumped."""
_TIMED_OUT = "RPCSessionTimeoutError"
"""What a server says of a session that it has ended because its time was over."""
_ALLOWED = re.compile(r"^Cpus_allowed_list:\s*([\d,-]+)", re.MULTILINE)
_RUNTIME = re.compile(r"(/\S*)/tvm/(?:lib/)?libtvm_runtime\w*\.so")
"""Where the server has its TVM from, if that is a wheel."""
_VERSION = re.compile(r"^Version: (\S+)", re.MULTILINE)


@dataclass(frozen=True)
class Open:
    """Begin a session; the answer is the version of the board's TVM, empty where it is unknown."""

    host: str
    port: int
    key: str
    seconds: int
    """After which the server ends it."""
    library: Path
    """That of `costmodel.crossbuild.shared.board_library`."""


@dataclass(frozen=True)
class Call:
    """A function of a library here, which is brought to the board when it is first needed."""

    library: Path
    name: str
    shapes: tuple[Shape, ...]
    """Of its arguments, the output last."""
    threads: int


@dataclass(frozen=True)
class Time:
    """Time a call on numbers that are made on the board; the answer is seconds of each sample."""

    call: Call
    protocol: Protocol


@dataclass(frozen=True)
class Run:
    """Call once with these arrays; the answer is the output."""

    call: Call
    arrays: tuple[Array, ...]


@dataclass(frozen=True)
class Read:
    """The board's files that match; the answer is their text by path."""

    patterns: tuple[str, ...]


@dataclass(frozen=True)
class Hello:
    """Is answered when TVM has been imported."""


Request = Hello | Open | Time | Run | Read


@dataclass(frozen=True)
class Failure:
    """The answer to what went wrong."""

    line: str
    kind: Literal["call", "board", "lost", "overdue"]
    """Of the request alone; of anything on this board; the session is gone; its time was over."""


class BoardFault(Exception):
    """What is wrong with the board, whatever is asked of it."""


def serve(pipe: Connection) -> None:
    """Answers requests until the other end is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # ctrl-C is the parent's to handle
    board: _Board | None = None
    while True:
        try:
            request: Request = pipe.recv()
        except (EOFError, OSError):
            return
        answer: Any = None
        try:
            if isinstance(request, Hello):
                import tvm.rpc  # noqa: F401 - takes seconds
            elif isinstance(request, Open):
                board = _Board(request)
                answer = board.version()
            elif board is not None:
                answer = board.answer(request)
        except Exception as error:  # whatever it is, it is this request's outcome
            answer = _failure(error, board)
        pipe.send(answer)


def _failure(error: Exception, board: _Board | None) -> Failure:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    if isinstance(error, ImportError):
        return Failure(f"{lines[-1]}: pip install 'ponas[rpc]'", "board")
    if isinstance(error, BoardFault):
        return Failure(lines[-1], "board")
    if _TIMED_OUT in f"{type(error).__name__} {error}":
        return Failure(lines[-1], "overdue")
    if board is None or not board.lives():
        return Failure(lines[-1], "lost")
    return Failure(lines[-1], "call")


class _Board:
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
        try:
            self._own = self._library(request.library)
            self._allowed = _numbers(self._read_one("/proc/self/status", _ALLOWED))
        except Exception as error:
            if not self.lives():
                raise
            raise BoardFault(f"it cannot load our library: {_last(error)}") from error
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
        packages = self._read_one("/proc/self/maps", _RUNTIME)
        if not packages:
            return ""
        return self._read_one(f"{PurePosixPath(packages)}/apache_tvm-*/METADATA", _VERSION)

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
            _check(found, time.monotonic() - begin)
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

    def _read_one(self, pattern: str, wanted: re.Pattern[str]) -> str:
        """The first group of ``wanted`` in the first file that has it, else empty."""
        for text in self._read_pattern(pattern).values():
            if match := wanted.search(text):
                return match[1]
        return ""

    def _read_pattern(self, pattern: str) -> dict[str, str]:
        asked = np.frombuffer(pattern.encode() + b"\0", np.uint8)
        for room in _ROOMS_BYTES:
            answer = self._empty((room,), "uint8", self._device)
            count = self._own["ponas_read"](self._tensor(asked.copy(), self._device), answer)
            if count >= 0:
                return _files(answer.numpy()[:count].tobytes()) if count else {}
        raise ValueError(f"the files {pattern} are larger than {_ROOMS_BYTES[-1] >> 20} MB")

    def _library(self, path: Path) -> Any:
        if path not in self._libraries:
            self._session.upload(str(path))
            self._libraries[path] = self._session.load_module(path.name)
            self._session.remove(path.name)  # it is loaded; a board's disk may be small
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
        if self._own["ponas_pin"](*wanted):
            raise BoardFault(
                f"none of the processors {', '.join(map(str, wanted))} can be used there (protocol: "
                f"cpus); it has {', '.join(map(str, self._allowed))}"
            )
        if is_pooled:
            names = self._session.get_function("ffi.Array")(*map(str, wanted))
            configure = self._session.get_function("runtime.config_threadpool")
            configure(_ONE_CORE_PER_THREAD, len(wanted), names)
        self._threads, self._is_pooled = wanted, is_pooled


def _check(samples: Sequence[float], elapsed: float) -> None:
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


def _last(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]
