"""What is said to a static program and what it says: arguments, arrays, JSON lines."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from costmodel.crossbuild.signature import Signature
from costmodel.errors import DeviceError, InputError
from costmodel.kernels import Array
from costmodel.protocol import STABLE, WARM_UPS, Protocol

CLOCK_SLACK_SECONDS, CLOCK_SHARE = 0.002, 0.01
"""How much a device's two clocks may differ over a kernel: they are not read at the same moment,
and one is steered, by at most 0.05 % (Linux' adjtimex)."""
Call = tuple[Signature, Sequence[Array]]
"""A kernel and all its arguments but the output."""


@dataclass(frozen=True, kw_only=True)
class TimeSettings:
    """How a program times its kernels."""

    repeats: int = 10
    """Samples of each kernel."""
    min_repeat_ms: float = 20
    """Shortest time of a sample; 0 makes each one run."""
    warm_up_runs: int = 1
    """Runs before the first sample, at least."""
    warm_up_ms: float = 0
    """Time spent running before the first sample, at least; it goes on until its halves agree."""
    warm_ups: int = WARM_UPS
    """Such warm-ups at most."""
    stable: float = STABLE
    """Share that two halves may differ by."""
    flush_kb: int = 0
    """Memory written between runs, so that each starts from cold caches; 0 for none."""
    cpus: tuple[int, ...] = ()
    """Processors to run on, thread by thread; none: wherever the system likes."""
    threads: int = 1
    """Threads of a kernel with parallel loops, at most as many as ``cpus``."""
    seed: int = 0
    """Of the inputs' numbers."""
    timeout_s: int = 0
    """Time of one kernel after which the program ends itself; 0 for no limit."""

    @staticmethod
    def of(protocol: Protocol, cores: int, timeout_s: int = 0) -> TimeSettings:
        """One round of ``protocol`` for kernels of ``cores`` threads, as `Executable.time` does.

        With fewer processors in the protocol there are fewer threads.
        """
        cpus = protocol.cpus[:cores]
        return TimeSettings(
            repeats=protocol.samples,
            min_repeat_ms=protocol.min_repeat_ms,
            warm_up_ms=protocol.warm_up_ms,
            flush_kb=protocol.flush_kb,
            cpus=cpus,
            threads=len(cpus) or cores,
            timeout_s=timeout_s,
        )

    def arguments(self, kernels: Sequence[str]) -> list[str]:
        """The program's arguments that time ``kernels`` in this order."""
        words = ["time"]
        for kernel in kernels:
            words += ["--kernel", kernel]
        words += ["--repeats", str(self.repeats), "--min-repeat-ms", f"{self.min_repeat_ms:g}"]
        words += ["--warm-up-runs", str(self.warm_up_runs)]
        words += ["--warm-up-ms", f"{self.warm_up_ms:g}", "--warm-ups", str(self.warm_ups)]
        words += ["--stable", f"{self.stable:g}", "--flush-kb", str(self.flush_kb)]
        words += ["--threads", str(self.threads), "--seed", str(self.seed)]
        words += ["--timeout-s", str(self.timeout_s)]
        return words + (["--cpu", ",".join(map(str, self.cpus))] if self.cpus else [])


@dataclass(frozen=True)
class Timing:
    """What a program says of one timed kernel."""

    kernel: str
    seconds: tuple[float, ...]
    """Of one run, sample by sample."""
    runs: tuple[int, ...]
    """That each sample is the mean of."""
    warm_up_runs: int
    """Before the first sample, and in samples that were too short to count."""
    output_peak: float | None
    """Largest magnitude of the last output; None where it has a number that is not finite."""
    elapsed: float
    """Seconds from before the warm-up until after the last sample."""
    raw_elapsed: float
    """The same by the device's uncorrected clock."""

    @property
    def clock_jumped(self) -> bool:
        """Whether the device's clocks contradict each other, or themselves."""
        counted = sum(s * n for s, n in zip(self.seconds, self.runs, strict=True))
        slack = CLOCK_SLACK_SECONDS + CLOCK_SHARE * abs(self.raw_elapsed)
        return abs(self.elapsed - self.raw_elapsed) > slack or counted > self.elapsed + slack


def parse_timing(line: str) -> Timing:
    """One line of the program's ``time``; DeviceError where it cannot be one."""
    try:
        said = json.loads(line)
        peak = said["output_peak"]
        timing = Timing(
            kernel=_text(said["kernel"]),
            seconds=tuple(float(value) for value in _list(said["seconds"])),
            runs=tuple(int(value) for value in _list(said["runs"])),
            warm_up_runs=int(said["warm_up_runs"]),
            output_peak=None if peak is None else float(peak),
            elapsed=float(said["elapsed"]),
            raw_elapsed=float(said["raw_elapsed"]),
        )
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        raise DeviceError(f"the board answered {line[:60]!r}, which is not a timing") from None
    times = (*timing.seconds, timing.elapsed, timing.raw_elapsed)
    sound = all(math.isfinite(value) and value >= 0 for value in times)
    sound = sound and all(count > 0 for count in timing.runs)
    if not timing.seconds or not sound or len(timing.runs) != len(timing.seconds):
        raise DeviceError(f"the board answered {line[:60]!r}: no time can be like that")
    return timing


def fault_of(timing: Timing, settings: TimeSettings) -> str | None:
    """Why the answer to ``settings`` cannot be used; None where it can."""
    if len(timing.seconds) != settings.repeats:
        return f"the board answered {len(timing.seconds)} samples instead of {settings.repeats}"
    if timing.clock_jumped:
        return (
            "the board's clock jumped while this kernel was timed (its two clocks say "
            f"{timing.elapsed:.3g} s and {timing.raw_elapsed:.3g} s)"
        )
    if timing.output_peak is None:
        return "its output is not finite"
    if min(timing.seconds) == 0:
        return "it is too short for the board's clock; set a larger min_repeat_ms"
    shortest_ms = 1e3 * min(s * n for s, n in zip(timing.seconds, timing.runs, strict=True))
    if shortest_ms < 0.99 * settings.min_repeat_ms:  # a share for the digits that are not written
        return (
            f"the board answered a sample of {shortest_ms:.3g} ms, "
            f"shorter than min_repeat_ms {settings.min_repeat_ms:g}"
        )
    return None


def parse_file(line: str) -> tuple[str, str]:
    """Path and text from one line of the program's ``files``; DeviceError where it is none."""
    try:
        said = json.loads(line)
        return _text(said["path"]), _text(said["text"])
    except (ValueError, TypeError, KeyError, RecursionError):
        raise DeviceError(f"the board answered {line[:60]!r}, which is not a file") from None


def check_input(calls: Sequence[Call]) -> bytes:
    """What the program's ``check`` reads; InputError where an array has a wrong shape."""
    parts = []
    for signature, arrays in calls:
        if [a.shape for a in arrays] != list(signature.shapes[:-1]):
            raise InputError(
                f"kernel '{signature.name}' takes arrays of the shapes {signature.shapes[:-1]}, "
                f"got {tuple(a.shape for a in arrays)}"
            )
        parts.append(f"{signature.name}\n".encode())
        parts += [np.ascontiguousarray(array, "<f4").tobytes() for array in arrays]
    return b"".join(parts)


def check_output(calls: Sequence[Call], answer: bytes) -> list[Array]:
    """The outputs that ``check`` wrote, one a call; DeviceError where bytes are missing."""
    sizes = [signature.sizes[-1] for signature, _ in calls]
    if len(answer) != 4 * sum(sizes):
        raise DeviceError(f"the board answered {len(answer)} bytes, not {4 * sum(sizes)}")
    values = np.frombuffer(answer, "<f4").astype(np.float32)
    parts = np.split(values, np.cumsum(sizes[:-1]))
    return [part.reshape(s.shapes[-1]) for part, (s, _) in zip(parts, calls, strict=True)]


def _text(value: Any) -> str:  # noqa: ANN401 - anything may come from a board
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def _list(value: Any) -> list[Any]:  # noqa: ANN401 - anything may come from a board
    if not isinstance(value, list):
        raise TypeError(value)
    return value
