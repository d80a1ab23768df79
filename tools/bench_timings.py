"""Benchmark `timings`: whole networks predicted from the times of others, beside a line in MACs.

NAS-Bench-201 networks timed by others in runtimes of theirs. From N of them the product's own fit
(`costmodel.calibration.sums`) learns the model and how that runtime executes cells; all others are
predicted. Draws differ in which N those are; figures are means over draws, with the deviation.
What is not learnt from the N alone: that there is an execution like 'tflite' was seen in this very
table (`tools.nas_bench_201.Execution`), and two constants were chosen on a quarter of its networks
(`costmodel.calibration.additive`).
"""

from __future__ import annotations

import argparse
import csv
import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import linprog
from scipy.stats import spearmanr
from threadpoolctl import threadpool_limits

from costmodel.calibration.sums import fit_best, predict_sums
from costmodel.kernels import Kernel
from costmodel.operations import flops_table2
from costmodel.target import Target
from tools.bench import print_line
from tools.nas_bench_201 import EXECUTIONS, Cell, Execution, network_of, parse_cell
from tools.places import profile_store
from tools.timings import kernels_by_execution

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "nasbench201_latency.csv"
DEVICES: Mapping[str, str] = MappingProxyType(
    {
        "1080ti_batch1_ms": "gtx-1080ti",
        "raspi4_ms": "raspberry-pi-4b",
        "gold_6226_ms": "x86-avx512",
    }
)
"""Column of times -> the profile whose target lowers the networks: the device itself, or, for the
Xeon Gold 6226 (Cascade Lake), the profile of its instruction set."""
SIZES_FULL, DRAWS_FULL = (50, 100, 300), 5
SIZES_QUICK, DRAWS_QUICK, NETWORKS_QUICK = (50, 100), 1, 180
"""What --quick learns from, how often, and how many networks it knows at all."""
CLOSE = 0.10

Vector = npt.NDArray[np.float64]


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="end within 50 seconds")
    parser.add_argument("--data", type=Path, default=DATA, help="the networks' times")
    options = parser.parse_args()
    if not options.data.is_file():
        print(f"no timings at {options.data}; say where they are with --data PATH")
        print_line("timings", {"skipped": "no timings"})
        return
    sizes, draws = (SIZES_QUICK, DRAWS_QUICK) if options.quick else (SIZES_FULL, DRAWS_FULL)
    rows = _rows(options.data)
    if options.quick:
        rows = [rows[i] for i in np.random.default_rng(0).permutation(len(rows))[:NETWORKS_QUICK]]
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        jobs = {name: pool.submit(device, rows, name, sizes, draws) for name in DEVICES}
        found = {name: job.result() for name, job in jobs.items()}
    for name, result in found.items():
        _print(name, result)
    print_line("timings", {"networks": len(rows), "draws": draws, "devices": found})


def device(
    rows: Sequence[Mapping[str, str]], column: str, sizes: Sequence[int], draws: int
) -> dict[str, Any]:
    """Figures of one device for each size of the training set."""
    profile = DEVICES[column]
    target = profile_store().get(profile).target()
    cells = [parse_cell(row["arch"]) for row in rows]
    seconds = np.array([float(row[column]) for row in rows]) * 1e-3
    with threadpool_limits(1):
        named = [(row["arch"], cell) for row, cell in zip(rows, cells, strict=True)]
        readings = kernels_by_execution(named, target)
        macs: dict[str, Vector] = {
            e: np.array([_macs(cell, e) for cell in cells]) for e in EXECUTIONS
        }
        result: dict[str, Any] = {"profile": profile}
        for size in sizes:
            runs = []
            for draw in range(draws):
                order = np.random.default_rng(draw).permutation(len(rows))
                runs.append(_run(readings, macs, seconds, target, order[:size], order[size:]))
            result[str(size)] = _summary(runs)
    return result


def fit_lines(macs: Vector, seconds: Vector) -> dict[str, tuple[float, float]]:
    """Straight lines t = a + b MACs through timed networks [n], each by another measure of error.

    squares: least squares; relative squares: of predicted over measured less one; relative: its
    absolute value, which disturbed timings pull at least.
    """
    design = np.column_stack([np.ones_like(macs), macs / macs.mean()])
    relative = design / seconds[:, None]
    ones = np.ones(len(seconds))
    found = {
        "squares": np.linalg.lstsq(design, seconds, rcond=None)[0],
        "relative squares": np.linalg.lstsq(relative, ones, rcond=None)[0],
        "relative": _least_absolute(relative, ones),
    }
    return {name: (float(a), float(b / macs.mean())) for name, (a, b) in found.items()}


def _least_absolute(design: Vector, targets: Vector) -> Vector:
    """Minimises Σ |design x - targets|: a linear program in x and the residuals."""
    rows, columns = design.shape
    scale = np.abs(design).max(axis=0)
    identity = np.eye(rows)
    bound = np.block([[design / scale, -identity], [-design / scale, -identity]])
    found = linprog(
        np.concatenate([np.zeros(columns), np.ones(rows)]), A_ub=bound,
        b_ub=np.concatenate([targets, -targets]),
        bounds=[(None, None)] * columns + [(0, None)] * rows,
    )  # fmt: skip
    return np.asarray(found.x[:columns] / scale)


def figures(predicted: Vector, measured: Vector) -> dict[str, float]:
    """Rank correlation, share within `CLOSE` and mean relative error of networks [n]."""
    errors = np.abs(predicted / measured - 1)
    return {
        "spearman": float(spearmanr(predicted, measured).statistic),
        "within_10": float((errors <= CLOSE).mean()),
        "mape": float(errors.mean()),
    }


def _run(
    readings: Mapping[str, Sequence[Sequence[Kernel]]],
    macs: Mapping[str, Vector],
    seconds: Vector,
    target: Target,
    train: npt.NDArray[np.int64],
    test: npt.NDArray[np.int64],
) -> dict[str, Any]:
    """Learns from ``train`` and looks at ``test``, both places of networks."""
    began = time.perf_counter()
    seen = {e: [networks[i] for i in train] for e, networks in readings.items()}
    execution, fitted = fit_best(seen, seconds[train].tolist(), target)
    fit_seconds = time.perf_counter() - began
    unseen = [readings[execution][i] for i in test]
    predicted = predict_sums(fitted.model, fitted.overhead, unseen, target)
    lines = {}
    for counted, counts in macs.items():
        for way, (a, b) in fit_lines(counts[train], seconds[train]).items():
            lines[f"{way}, {counted}"] = figures(a + b * counts[test], seconds[test])
    return {
        "execution": execution,
        "fit_s": fit_seconds,
        "card_within_10": fitted.card.within_10,
        "model": figures(predicted, seconds[test]),
        "lines": lines,
    }


def _summary(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Means over draws.

    The line's way is the one that is best on the very networks tested: more than it could know.
    """
    share = {
        way: np.mean([run["lines"][way]["within_10"] for run in runs]) for way in runs[0]["lines"]
    }
    way = max(share, key=lambda name: share[name])
    return {
        "model": _mean([run["model"] for run in runs]),
        "macs_line": _mean([run["lines"][way] for run in runs]) | {"way": way},
        "executions": dict(Counter(run["execution"] for run in runs)),
        "card_within_10": round(float(np.mean([run["card_within_10"] for run in runs])), 3),
        "fit_s": round(max(run["fit_s"] for run in runs), 1),
    }


def _mean(runs: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    means: dict[str, Any] = {}
    for name in runs[0]:
        values = [run[name] for run in runs]
        means[name] = round(float(np.mean(values)), 4)
        means[f"{name}_sd"] = round(float(np.std(values)), 4)
    return means


def _macs(cell: Cell, execution: Execution) -> float:
    return flops_table2(network_of(cell, execution)) / 2


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _print(name: str, result: Mapping[str, Any]) -> None:
    print(f"{name} (lowered for {result['profile']})")
    for size, found in result.items():
        if size == "profile":
            continue
        for what in ("model", "macs_line"):
            row = found[what]
            print(
                f"  N = {size:>3} {what:<9} Spearman {row['spearman']:.3f}, within ±10 % "
                f"{row['within_10']:.1%} (± {row['within_10_sd']:.1%}), mean error "
                f"{row['mape']:.1%}"
            )


if __name__ == "__main__":
    main()
