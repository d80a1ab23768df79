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
    """Time spent running before the first sample, at least."""
    flush_kb: int = 0
    """Memory written between runs, so that each starts from cold caches; 0 for none."""
    cpus: tuple[int, ...] = ()
    """Processors to run on, thread by thread; none: wherever the system likes."""
    threads: int = 1
    """Threads of a kernel with parallel loops, at most as many as ``cpus``."""
    seed: int = 0
    """Of the inputs' numbers."""

    def arguments(self, kernels: Sequence[str]) -> list[str]:
        """The program's arguments that time ``kernels`` in this order."""
        words = ["time"]
        for kernel in kernels:
            words += ["--kernel", kernel]
        words += ["--repeats", str(self.repeats), "--min-repeat-ms", f"{self.min_repeat_ms:g}"]
        words += ["--warm-up-runs", str(self.warm_up_runs)]
        words += ["--warm-up-ms", f"{self.warm_up_ms:g}", "--flush-kb", str(self.flush_kb)]
        words += ["--threads", str(self.threads), "--seed", str(self.seed)]
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
        )
    except (ValueError, TypeError, KeyError, OverflowError):
        raise DeviceError(f"the board answered {line[:60]!r}, which is not a timing") from None
    sound = all(math.isfinite(value) and value >= 0 for value in timing.seconds)
    if not timing.seconds or not sound or len(timing.runs) != len(timing.seconds):
        raise DeviceError(f"the board answered {line[:60]!r}: no time can be like that")
    return timing


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
