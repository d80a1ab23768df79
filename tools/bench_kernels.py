"""Benchmark `kernels`: how fast generated code is, and how good the choice of schedules.

1. The thirteen models of Table II end to end on one thread, beside ONNX Runtime and torch.
2. The seed's 3x3 convolutions against the peak of multiply-adds that this core reaches.
3. The seed on two threads against one.
4. For random kernels of the paper's space: the chosen schedule against the best of all, timed.

Everything that is compared is timed interleaved, in rounds; each figure is a ratio of medians.
"""

# ruff: noqa: ANN401 - torch modules, TVM and ONNX Runtime have no types that help here
from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from statistics import geometric_mean, median
from typing import Any

import numpy as np

from costmodel.executable import Executable, run_on
from costmodel.host import host_target
from costmodel.kernels import ConvKernel, Kernel
from costmodel.partition import partition
from costmodel.predictor import Predictor
from costmodel.program import Program
from costmodel.protocol import Protocol, undisturbed_seconds
from costmodel.runners.contract import KernelJob, Outcome
from costmodel.runners.local import LocalRunner
from costmodel.schedules.registry import points
from costmodel.target import CpuTarget
from kws.architecture import PUBLISHED, to_network
from kws.module import export_weights, to_module
from tools.bench import print_line, quick
from tools.places import profile_store
from tools.task import sample_paper_space

ROUND_SECONDS = 0.03
"""Length of one turn of one contestant."""
WITHIN = 0.05
"""How far the chosen schedule may be from the best."""

Run = Callable[[], object]


def main() -> None:
    """Runs the benchmark."""
    hasty = quick(__doc__)
    predictor = _predictor(host_target())
    models = ("seed", "kws7", "kws12") if hasty else tuple(PUBLISHED)
    core = min(os.sched_getaffinity(0))
    everywhere = os.sched_getaffinity(0)
    two = _two_threads(predictor, 5 if hasty else 25) if len(everywhere) > 1 else None
    os.sched_setaffinity(0, {core})  # after: threads that start now stay on this core
    rows = {name: _against_others(name, predictor, 5 if hasty else 25) for name in models}
    peak = _share_of_peak(predictor, 3 if hasty else 9)
    os.sched_setaffinity(0, everywhere)
    choice = _choice(predictor, 4 if hasty else 60)
    others = ("onnxruntime", "torch")
    print_line(
        "kernels",
        {
            **{f"geomean_over_{o}": _mean([row[o] for row in rows.values()]) for o in others},
            **{f"worst_over_{o}": min(row[o] for row in rows.values()) for o in others},
            **peak,
            "two_threads_speedup": two,
            **choice,
            "models": rows,
        },
    )


def _predictor(target: CpuTarget) -> Predictor:
    """Calibrated as `host-cpu` is, where it is; else by roofline."""
    from costmodel.calibration.store import load_predictor

    loaded = load_predictor(profile_store().get("host-cpu"))
    return loaded if loaded.target == target else Predictor(target, None, loaded.overhead)


def _against_others(name: str, predictor: Predictor, rounds: int) -> dict[str, float]:
    """Milliseconds of one inference, and how many times longer the others take."""
    import torch

    torch.set_num_threads(1)
    architecture = PUBLISHED[name]
    module = to_module(architecture).eval()
    network = to_network(architecture)
    steps = partition(network, predictor.target)
    program = Program(
        steps,
        tuple(predictor.choose(step.kernel).schedule for step in steps),
        network.input_shape,
        predictor.target,
    )
    ours = Executable.of_program(program, network, export_weights(module, network))
    x = np.random.default_rng(0).standard_normal(network.input_shape, dtype=np.float32)
    planar = np.ascontiguousarray(x.transpose(2, 0, 1))[None]
    session = _onnxruntime(module, planar)
    tensor = torch.from_numpy(planar)
    folded = _folded(module)

    def run_torch() -> object:
        with torch.inference_mode():
            return folded(tensor)

    seconds = _race(
        {
            "ponas": lambda: ours.run(x),
            "onnxruntime": lambda: session.run(None, {"x": planar}),
            "torch": run_torch,
        },
        rounds,
    )
    expected = session.run(None, {"x": planar})[0][0]
    assert np.allclose(ours.run(x), expected, atol=1e-3 * np.abs(expected).max())
    return {
        "ms": round(seconds["ponas"] * 1e3, 4),
        **{o: round(seconds[o] / seconds["ponas"], 3) for o in ("onnxruntime", "torch")},
    }


def _onnxruntime(module: Any, x: Any) -> Any:
    """The module in ONNX Runtime, all its optimisations on, one thread."""
    import onnxruntime
    import torch

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        torch.onnx.export(
            module, (torch.from_numpy(x),), path, input_names=["x"], dynamo=True, verbose=False
        )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _folded(module: Any) -> Any:
    """The module with its norms folded into its convolutions, as torch would deploy it."""
    import copy

    import torch
    from torch.nn.utils.fusion import fuse_conv_bn_eval

    module = copy.deepcopy(module)
    for number in range(1, module.depth + 1):
        conv, norm = (module.get_submodule(f"{kind}{number}") for kind in ("conv", "bn"))
        setattr(module, f"conv{number}", fuse_conv_bn_eval(conv, norm))
        setattr(module, f"bn{number}", torch.nn.Identity())
    return module


def _race(contestants: Mapping[str, Run], rounds: int) -> dict[str, float]:
    """Seconds of one run of each: median over rounds that take turns."""
    counts: dict[str, int] = {}
    for name, run in contestants.items():
        run()
        started = time.perf_counter()
        run()
        counts[name] = max(1, round(ROUND_SECONDS / (time.perf_counter() - started)))
    samples: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, run in contestants.items():
            started = time.perf_counter()
            for _ in range(counts[name]):
                run()
            samples[name].append((time.perf_counter() - started) / counts[name])
    return {name: median(values) for name, values in samples.items()}


def _share_of_peak(predictor: Predictor, rounds: int) -> dict[str, float]:
    """GFLOP/s of the seed's 3x3 convolutions (useful arithmetic) and of a loop of multiply-adds."""
    network = to_network(PUBLISHED["seed"])
    steps = partition(network, predictor.target)
    kernels = {
        step.kernel: step
        for step in steps
        if isinstance(step.kernel, ConvKernel) and step.kernel.kernel == (3, 3)
    }
    protocol = Protocol(repeats=7, rounds=1, min_repeat_ms=5)
    target = predictor.target
    assert isinstance(target, CpuTarget)
    peak, peak_flops = _multiply_adds(target)
    layers = {k: Executable.of_kernel(_lowered(predictor, k)) for k in kernels}
    samples: dict[Kernel | str, list[tuple[float, ...]]] = {"peak": [], **{k: [] for k in layers}}
    for _ in range(rounds):
        samples["peak"].append(peak.time(protocol))
        for kernel, executable in layers.items():
            samples[kernel].append(executable.time(protocol))
    best = peak_flops / undisturbed_seconds(samples["peak"]) / 1e9
    useful = [k.flops / undisturbed_seconds(samples[k]) / 1e9 for k in layers]
    padded = [u * target.padded(k.filters) / k.filters for u, k in zip(useful, layers, strict=True)]
    return {
        "peak_gflops": round(best, 1),
        "seed_3x3_gflops": round(median(useful), 1),
        "seed_3x3_of_peak": round(min(useful) / best, 3),
        "seed_3x3_of_peak_with_padding": round(min(padded) / best, 3),
    }


def _lowered(predictor: Predictor, kernel: Kernel) -> Any:
    from costmodel.lowering import lower

    return lower(kernel, predictor.choose(kernel).schedule, predictor.target)


def _multiply_adds(target: CpuTarget) -> tuple[Executable, int]:
    """A loop of vector multiply-adds on data in registers, and its operations a run."""
    import tvm
    from tvm import te
    from tvm.s_tir import Schedule

    from costmodel.lowering import compile_module

    vectors = min(12, (target.vector_registers - 2) // 2)
    turns, lanes = 4096, target.vector_lanes
    a, b = te.placeholder((turns,), name="a"), te.placeholder((vectors * lanes,), name="b")
    k = te.reduce_axis((0, turns), name="k")
    sums = te.compute((vectors * lanes,), lambda i: te.sum(a[k] * b[i], axis=k), name="sums")
    out = te.compute((vectors * lanes,), lambda i: sums[i], name="out")
    schedule = Schedule(te.create_prim_func([a, b, out]).with_attr("global_symbol", "main"))
    block = schedule.get_sblock("sums")
    i, k_ = schedule.get_loops(block)
    vector, lane = schedule.split(i, [None, lanes])
    schedule.reorder(k_, vector, lane)
    schedule.unroll(vector)
    schedule.vectorize(lane)
    schedule.decompose_reduction(block, k_)
    schedule.set_scope(block, 0, "local")
    module: tvm.IRModule = schedule.mod
    arrays = [np.ones(turns, np.float32), *[np.ones(vectors * lanes, np.float32)] * 2]
    executable = Executable(compile_module(module, target), arrays, (vectors * lanes,))
    return executable, 2 * turns * vectors * lanes


def _two_threads(predictor: Predictor, rounds: int) -> float:
    """Speed of the seed on two threads over that on one."""
    network = to_network(PUBLISHED["seed"])
    runs: dict[str, Run] = {}
    x = np.random.default_rng(0).standard_normal(network.input_shape, dtype=np.float32)
    for name, cores in (("one", 1), ("two", 2)):
        target = host_target(cores)
        chooser = predictor if cores == 1 else Predictor(target, None, predictor.overhead)
        steps = partition(network, target)
        schedules = tuple(chooser.choose(step.kernel).schedule for step in steps)
        executable = Executable.of_program(Program(steps, schedules, network.input_shape, target))
        runs[name] = lambda executable=executable: executable.run(x)  # type: ignore[misc]
    run_on(sorted(os.sched_getaffinity(0))[:2])
    seconds = _race(runs, rounds)
    return round(seconds["one"] / seconds["two"], 3)


def _choice(predictor: Predictor, count: int) -> dict[str, Any]:
    """Chosen over best of the exhaustively timed space, for ``count`` random kernels."""
    kernels = _random_kernels(predictor, count)
    protocol = replace(Protocol(), repeats=15, min_repeat_ms=2, sentinel_every=0)
    ratios = []
    timed = 0
    with LocalRunner() as runner:
        for kernel in kernels:
            jobs = [
                KernelJob(kernel, s, predictor.target) for s in points(kernel, predictor.target)
            ]
            outcomes: dict[str, Outcome] = {}
            runner.measure(jobs, protocol, lambda o: outcomes.__setitem__(o.key, o))  # noqa: B023
            timed += len(jobs)
            seconds = {job.schedule: outcomes[job.key].seconds for job in jobs}
            ratios.append(seconds[predictor.choose(kernel).schedule] / min(seconds.values()))
    return {
        "choice_kernels": count,
        "choice_points": timed,
        "choice_within_5": round(float(np.mean(np.array(ratios) <= 1 + WITHIN)), 3),
        "choice_worst": round(max(ratios), 3),
        "choice_mean": round(float(np.mean(ratios)), 4),
    }


def _random_kernels(predictor: Predictor, count: int) -> list[Kernel]:
    generator = np.random.default_rng(7)
    found: dict[str, Kernel] = {}
    while len(found) < count:
        _, network = sample_paper_space(generator)
        convolutions = [
            step.kernel
            for step in partition(network, predictor.target)
            if isinstance(step.kernel, ConvKernel) and not step.kernel.is_dense
        ]
        kernel = convolutions[generator.integers(len(convolutions))]
        found[kernel.key] = kernel
    return list(found.values())


def _mean(values: list[float]) -> float:
    return round(geometric_mean(values), 3)


if __name__ == "__main__":
    main()
