"""Every cell of NAS-Bench-201 through the compiler, against torch; prints one JSON line.

By hand: ``python tests/costmodel/check_nas_bench_201.py [--cells N] [--networks N]``. All 15,625
cells took 40 minutes on two cores beside other work. Each cell sits behind the benchmark's first
convolution and is exported, partitioned, scheduled, planned into a workspace and run, kernel by
kernel: the cells share a few kernels, so that each is compiled once and not once a cell. Whole
networks of one cell a stage are checked the same way, and a few as one compiled program.
"""

import argparse
import json
import math
import random
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from multiprocessing import get_context

import models
import numpy as np
import torch
import tvm
from reference import largest_relative_error
from torch import nn

from costmodel.executable import Executable
from costmodel.folding import fold
from costmodel.frontends.torch_export import from_torch
from costmodel.host import host_target
from costmodel.lowering import compile_module, lower
from costmodel.network import Network
from costmodel.partition import partition
from costmodel.predictor import Overhead, Predictor
from costmodel.program import Program
from costmodel.schedules.registry import family_of

TOLERANCE = 1e-4
"""Largest difference over the largest magnitude that the issue allows."""
CHANNELS, SIDE = 16, 8
"""The benchmark's channels in its first stage, and its smallest map."""
PROCESSES = 2
_CHUNK = 25
_SHOWN = 20
"""Failures printed."""


@dataclass(frozen=True)
class Checked:
    """What came of one cell or network."""

    text: str
    error: float
    """Largest relative error; NaN where it did not run."""
    failure: str
    """Why it is wrong; empty where it is right."""
    peak: float
    """Largest magnitude that torch computes; 0 for a cell that 'none' cuts off."""


class StepRunner:
    """Runs programs kernel by kernel, each distinct kernel compiled once."""

    def __init__(self, target):
        self.target = target
        self.predictor = Predictor(target, None, Overhead())
        self.compiled = {}

    def program(self, network):
        steps = partition(network, self.target)
        schedules = tuple(self.predictor.choose(step.kernel).schedule for step in steps)
        return Program(steps, schedules, network.input_shape, self.target)

    def run(self, program, network, weights, x):
        """Output for ``x`` [H, W, C] as `Executable.run` gives it; unwritten values are NaN."""
        arena = program.arena()
        workspace = _empty((max(arena.elements, 1),))
        values = {Network.INPUT: tvm.runtime.tensor(x)}
        output = _empty(program.output_shape)
        for i, (step, schedule) in enumerate(zip(program.steps, program.schedules, strict=True)):
            *read_shapes, written_shape = (
                *program.shapes(i)[: step.kernel.inputs], program.shapes(i)[-1],
            )  # fmt: skip
            read = [
                values[name] if name == Network.INPUT else _part(workspace, arena, name, shape)
                for name, shape in zip(step.sources, read_shapes, strict=True)
            ]
            last = i == len(program.steps) - 1
            written = output if last else _part(workspace, arena, step.output, written_shape)
            folded = fold(network, step, weights)
            packed = family_of(schedule).pack(step.kernel, schedule, self.target, folded)
            constants = [tvm.runtime.tensor(np.ascontiguousarray(a)) for a in packed]
            self._function(step.kernel, schedule)(*read, *constants, written)
        *size, channels = network.shape(network.output)
        return output.numpy().reshape(*size, -1)[..., :channels].squeeze()

    def _function(self, kernel, schedule):
        identity = (kernel.key, schedule)
        if identity not in self.compiled:
            module = lower(kernel, schedule, self.target).module
            self.compiled[identity] = compile_module(module, self.target)["main"]
        return self.compiled[identity]


def _empty(shape):
    return tvm.runtime.tensor(np.full(shape, np.nan, np.float32))


def _part(workspace, arena, name, shape):
    """The value's place in the workspace: the same memory as a tensor of its own."""
    start = arena.offsets[name]
    flat = np.from_dlpack(workspace)[start : start + math.prod(shape)]
    return tvm.runtime.from_dlpack(flat.reshape(shape))


def cell_module(text):
    """(1, 3, 8, 8) to the cell's output (1, 16, 8, 8)."""
    stem = nn.Conv2d(3, CHANNELS, 3, padding=1, bias=False)
    cell = models.Cell(text, CHANNELS)
    return models.settled(nn.Sequential(stem, nn.BatchNorm2d(CHANNELS), cell))


def compare(module, side, run):
    """(largest relative error, largest magnitude) of ``run``(network, weights, x) against torch."""
    shape = (1, 3, side, side)
    network, weights = from_torch(module, shape)
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = module(x)[0]
    if expected.ndim == 3:
        expected = expected.permute(1, 2, 0)
    channels_last = np.ascontiguousarray(x[0].permute(1, 2, 0).numpy())
    found = run(network, weights, channels_last)
    return float(largest_relative_error(found, expected.numpy())), float(expected.abs().max())


def run_in_steps(network, weights, x):
    return runner().run(runner().program(network), network, weights, x)


def run_assembled(network, weights, x):
    program = runner().program(network)
    return Executable.of_program(program, network, weights).run(x)


def check_cell(text):
    return checked(text, lambda: compare(cell_module(text), SIDE, run_in_steps))


def check_network(text):
    return checked(text, lambda: compare(models.nas_bench_201(text, 1), 32, run_in_steps))


def check_assembled(text):
    return checked(text, lambda: compare(models.nas_bench_201(text, 1), 32, run_assembled))


CHECKS = {"cells": check_cell, "networks": check_network, "assembled": check_assembled}


def checked(text, work):
    try:
        error, peak = work()
    except Exception as raised:  # whatever a cell dies of is what we look for
        line = (str(raised).strip().splitlines() or [""])[-1]
        return Checked(text, math.nan, f"{type(raised).__name__}: {line}", math.nan)
    wrong = "" if error <= TOLERANCE else f"largest relative error {error:.1e}"
    return Checked(text, error, wrong, peak)


@cache
def runner():
    return StepRunner(host_target())


def _check_all(name, texts):
    """The results of one piece of the work, and the kernels compiled so far in this process."""
    torch.set_num_threads(1)
    results = [CHECKS[name](text) for text in texts]
    return results, [f"{key} @ {schedule}" for key, schedule in runner().compiled]


def summary(results):
    errors = [r.error for r in results if not math.isnan(r.error)]
    failures = [f"{r.text}: {r.failure}" for r in results if r.failure]
    return {
        "checked": len(results),
        "failed": len(failures),
        "failures": failures[:_SHOWN],
        "zero": sum(r.peak == 0.0 for r in results),
        "largest_relative_error": max(errors, default=None),
    }


def check_everything(work):
    """Results by check, and how many distinct kernels they took; ``work``: check -> cells."""
    results, kernels = {name: [] for name in work}, set()
    total = sum(map(len, work.values()))
    # Fresh processes: a forked one would share the threads that torch and TVM have started.
    with ProcessPoolExecutor(PROCESSES, mp_context=get_context("spawn")) as pool:
        futures = [
            (name, pool.submit(_check_all, name, chosen[i : i + _CHUNK]))
            for name, chosen in work.items()
            for i in range(0, len(chosen), _CHUNK)
        ]
        for name, future in futures:
            found, compiled = future.result()
            results[name] += found
            kernels.update(compiled)
            sys.stderr.write(f"\r{sum(map(len, results.values()))} of {total}")
    sys.stderr.write("\n")
    return results, len(kernels)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cells", type=int, help="check N cells drawn at random, not all")
    parser.add_argument("--networks", type=int, default=100, help="whole networks, in steps")
    parser.add_argument("--assembled", type=int, default=8, help="whole networks, as one program")
    options = parser.parse_args()
    start = time.perf_counter()
    texts = list(models.nas_bench_201_cells())
    random.Random(0).shuffle(texts)
    # A cell that 'none' cuts off leaves a constant: a whole network of it is of no interest.
    connected = [text for text in texts if models.nas_bench_201_canonical(text)]
    results, kernels = check_everything({
        "cells": texts[: options.cells],
        "networks": connected[: options.networks],
        "assembled": connected[: options.assembled],
    })  # fmt: skip
    report = {name: summary(found) for name, found in results.items()}
    seconds = round(time.perf_counter() - start, 1)
    sys.stdout.write(json.dumps({**report, "kernels": kernels, "seconds": seconds}) + "\n")
    return 1 if any(part["failed"] for part in report.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
