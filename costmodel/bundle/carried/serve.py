"""The process that holds the device: loads libraries and times them when asked."""

from __future__ import annotations

import contextlib
import ctypes
import importlib.metadata
import json
import math
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .log import Record
from .settle import passes_of

STABLE, WARM_UPS = 0.03, 10
"""As in `costmodel.protocol`."""
RUNTIME_WHEEL = "nvidia-cuda-runtime"
"""From release 13 on it is called so; the ones before had the release in their name."""


def serve(folder: Path, device: str) -> None:
    """The process that holds the device: answers requests until nobody asks any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print is no answer

    def answer(said: Record) -> None:
        answers.write(f"{json.dumps(said)}\n")
        answers.flush()

    try:
        holder = Device(folder, device)
    except Exception as error:  # whatever it is, nothing can be timed
        answer({"error": line_of(error)})
        return
    answer({"ready": True})
    for request in sys.stdin:
        try:
            answer(holder.time(json.loads(request)))
        except Exception as error:  # whatever it is, it is this kernel's outcome
            answer({"error": line_of(error)})


class Device:
    """The device, and the libraries of this folder on it."""

    def __init__(self, folder: Path, name: str) -> None:
        preload()
        import tvm

        self._folder = folder
        kind, _, index = name.partition(":")
        self._device = tvm.runtime.device(kind, int(index or 0))
        if not self._device.exist:
            raise RuntimeError("TVM finds none; see README.txt for what it needs")
        if kind == "cuda":
            self._check_architecture()

    def _check_architecture(self) -> None:
        """Machine code runs on one kind of GPU only."""
        manifest = json.loads((self._folder / "manifest.json").read_text(encoding="utf-8"))
        wanted = manifest["facts"]["tvm"]["arch"]
        found = f"sm_{str(self._device.compute_version).replace('.', '')}"
        if found != wanted:
            raise RuntimeError(f"this GPU is of {found}, the bundle is for {wanted}")

    def time(self, request: Record) -> Record:
        """Times one kernel as the protocol says, one round."""
        import numpy as np
        import tvm

        name, protocol = request["kernel"], request["protocol"]
        module = tvm.runtime.load_module(str(self._folder / "modules" / f"{name}.so"))
        arrays = [tvm.runtime.tensor(a, self._device) for a in inputs(request["shapes"])]
        timer = Timer(module, arrays, self._device, protocol["flush_kb"])
        samples = -(-protocol["repeats"] // passes_of(protocol))
        start, raw_start = time.monotonic(), time.clock_gettime(time.CLOCK_MONOTONIC_RAW)
        each = timer.warm_up(protocol["warm_up_ms"], protocol["min_repeat_ms"])
        seconds, runs = [], []
        for _ in range(samples):
            taken, each = timer.sample(each, 1e-3 * protocol["min_repeat_ms"])
            seconds.append(taken)
            runs.append(each)
        elapsed = time.monotonic() - start
        raw_elapsed = time.clock_gettime(time.CLOCK_MONOTONIC_RAW) - raw_start
        output = arrays[-1].numpy()
        finite = bool(np.isfinite(output).all())
        return {
            "kernel": name, "seconds": seconds, "runs": runs,
            "warm_up_runs": timer.runs - sum(runs), "elapsed": elapsed,
            "raw_elapsed": raw_elapsed,
            "output_peak": float(np.abs(output).max()) if finite else None,
        }  # fmt: skip


def preload() -> None:
    """Loads CUDA's runtime from its wheel: TVM needs it, and no loader looks for it there."""
    try:
        found = importlib.metadata.files(RUNTIME_WHEEL) or []
    except importlib.metadata.PackageNotFoundError:
        return  # perhaps the system has one
    for file in found:
        if file.name.startswith("libcudart.so"):
            with contextlib.suppress(OSError):
                ctypes.CDLL(str(file.locate()), ctypes.RTLD_GLOBAL)


class Timer:
    """Runs of one kernel, timed by TVM: by events on a GPU."""

    def __init__(self, module: Any, arrays: list[Any], device: Any, flush_kb: int) -> None:  # noqa: ANN401
        self.runs = 0
        self._module = module
        self._arrays = arrays
        self._device = device
        self._flush_kb = flush_kb

    def warm_up(self, warm_up_ms: float, min_repeat_ms: float) -> int:
        """Runs until two halves of a warm-up agree; how many runs a sample should need."""
        half, each = 0.5e-3 * warm_up_ms, 1
        self._mean(1)
        for _ in range(WARM_UPS if half else 0):
            first, each = self.sample(each, half)
            second, each = self.sample(each, half)
            if abs(first - second) <= STABLE * min(first, second):
                break
        wanted = 1e-3 * min_repeat_ms
        return int(each * wanted / half) + 1 if half > wanted else each

    def sample(self, each: int, wanted_s: float) -> tuple[float, int]:
        """Seconds of one run, the mean over at least ``each`` that fill a time; how many."""
        while True:
            seconds = self._mean(each)
            if seconds * each >= wanted_s:
                return seconds, each
            factor = 1.2 * wanted_s / (seconds * each) if seconds > 0 else 10.0
            each = math.floor(each * min(factor, 10.0)) + 1

    def _mean(self, runs: int) -> float:
        """With flushing each run starts from cold caches and is timed alone."""
        self.runs += runs
        number, repeat = (1, runs) if self._flush_kb else (runs, 1)
        evaluator = self._module.time_evaluator(
            "main", self._device, number=number, repeat=repeat,
            cache_flush_bytes=1024 * self._flush_kb,
        )  # fmt: skip
        results = evaluator(*self._arrays).results
        return float(sum(results)) / len(results)


def inputs(shapes: list[list[int]]) -> Iterator[Any]:
    """Arrays for arguments of these shapes, float32; the last is the output, zeros.

    Numbers of the first are up to 1, of the others so small that a deep network's output is finite.
    """
    import numpy as np

    generator = np.random.default_rng(0)
    for index, shape in enumerate(shapes):
        count = math.prod(shape)
        peak = 1 / math.sqrt(max(1, count)) if index else 1.0
        if index == len(shapes) - 1:
            peak = 0.0
        yield (peak * generator.uniform(-1, 1, shape)).astype(np.float32)


def line_of(error: Exception) -> str:
    """The last line of what an error says."""
    return (str(error).strip() or type(error).__name__).splitlines()[-1]
