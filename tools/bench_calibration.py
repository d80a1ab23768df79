"""Benchmark `calibration`: `host-cpu` calibrated afresh, and its error on whole networks.

Compared with straight lines in operations that are fitted to the same calibration: one over its
kernels (time of a network is the sum over its kernels) and one over its networks. Then narrow
bands: among networks whose operations agree within 5 %, how far the predicted order agrees with
the measured one (Kendall's tau), and how far that of operations does. The user's own profile is
left alone.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import kendalltau

from costmodel.calibration.calibrate import Calibrated, CalibrationSettings, calibrate
from costmodel.calibration.records import KernelRecord, Measurement
from costmodel.measure import measure_networks
from costmodel.operations import flops_table2
from costmodel.partition import partition
from costmodel.predictor import Predictor
from costmodel.program import Program
from costmodel.protocol import Protocol
from costmodel.runners.contract import Runner
from costmodel.runners.local import LocalRunner
from costmodel.target import Target
from tools.bench import print_line, quick
from tools.places import profile_store
from tools.task import PAPER_SPACE, sample_paper_space

FULL = CalibrationSettings(kernels=300, held_out_networks=60, minutes=5.0, space=PAPER_SPACE)
QUICK = CalibrationSettings(
    kernels=58, overhead_networks=2, held_out_networks=4, minutes=0.3, space=PAPER_SPACE
)


BANDS = (20e6, 60e6, 150e6, 300e6)
"""Operations (as in Table II) in the middle of each band."""
BAND_WIDTH = 0.05
"""Largest over smallest operations of a band, less one."""
BAND_NETWORKS = 15


def main() -> None:
    """Runs the benchmark."""
    hasty = quick(__doc__)
    settings = QUICK if hasty else FULL
    profile = profile_store().get("host-cpu")
    protocol = replace(profile.protocol, rounds=2, max_rounds=3) if hasty else profile.protocol
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder, LocalRunner() as runner:
        result = calibrate(
            profile.target(),
            runner,
            sample_paper_space,
            protocol=protocol,
            settings=settings,
            journal_path=Path(folder) / "journal.jsonl",
        )
        minutes = (time.perf_counter() - started) / 60
        bands = _narrow_bands(
            profile.target(), result, runner, protocol, 1 if hasty else len(BANDS)
        )
    lines = {"kernels": _line_over_kernels(result), "networks": _line_over_networks(result)}
    best = min(lines.values())
    print_line(
        "calibration",
        {
            "kernels": result.kernels,
            "minutes": round(minutes, 2),
            **{k: v for k, v in result.card.model_dump().items() if k != "split"},
            "line_in_operations_mape": lines,
            "mape_over_best_line": round(result.card.mape / best, 4),
            "failed": len(result.failed),
            **bands,
        },
    )


def _narrow_bands(
    target: Target, result: Calibrated, runner: Runner, protocol: Protocol, count: int
) -> dict[str, Any]:
    """Kendall's tau with the measured times, by band: of the prediction and of operations."""
    predictor = Predictor(target, result.model, result.overhead)
    generator = np.random.default_rng(99)
    rows = []
    for centre in BANDS[:count]:
        programs: dict[str, Program] = {}
        predicted: dict[str, float] = {}
        counts: dict[str, int] = {}
        while len(programs) < BAND_NETWORKS:
            name, network = sample_paper_space(generator)
            operations = flops_table2(network)
            if not 1 <= operations / centre <= 1 + BAND_WIDTH:
                continue
            steps = partition(network, target)
            predictions, predicted[name] = predictor.predict(steps)
            schedules = tuple(p.schedule for p in predictions)
            programs[name] = Program(steps, schedules, network.input_shape, target)
            counts[name] = operations
        measured = measure_networks(programs, runner, protocol)
        times = [measured[name] for name in programs]
        rows.append(
            {
                "mflop": centre / 1e6,
                "spread": round(max(times) / min(times), 3),
                "prediction": round(float(kendalltau(list(predicted.values()), times)[0]), 3),
                "operations": round(float(kendalltau(list(counts.values()), times)[0]), 3),
            }
        )
    return {
        "narrow_band_tau": round(float(np.mean([row["prediction"] for row in rows])), 3),
        "narrow_band_tau_of_operations": round(float(np.mean([r["operations"] for r in rows])), 3),
        "narrow_bands": rows,
    }


def _line_over_kernels(result: Calibrated) -> float:
    """Mean relative error of Σ (a + b operations) over kernels."""
    timed = [m for m in result.measurements if m.role == "kernel" and m.rounds]
    a, b = _line([_flops(m.kernels) for m in timed], [m.seconds for m in timed])
    held_out = _held_out(result)
    predicted = [sum(a + b * _flops([k]) for k in m.kernels) for m in held_out]
    return _mape(predicted, [m.seconds for m in held_out])


def _line_over_networks(result: Calibrated) -> float:
    """Mean relative error of a + b operations over whole networks."""
    timed = [m for m in result.measurements if m.role == "overhead" and m.rounds]
    a, b = _line([_flops(m.kernels) for m in timed], [m.seconds for m in timed])
    held_out = _held_out(result)
    return _mape([a + b * _flops(m.kernels) for m in held_out], [m.seconds for m in held_out])


def _line(operations: Sequence[float], seconds: Sequence[float]) -> tuple[float, float]:
    """Intercept and slope with the least squares of relative errors."""
    weights = 1 / np.array(seconds)
    rows = np.stack([np.ones(len(operations)), np.array(operations)], axis=1) * weights[:, None]
    intercept, slope = np.linalg.lstsq(rows, np.ones(len(seconds)), rcond=None)[0]
    return float(intercept), float(slope)


def _flops(kernels: Sequence[KernelRecord]) -> float:
    return float(sum(record.scheduled()[0].flops for record in kernels))


def _held_out(result: Calibrated) -> list[Measurement]:
    return [m for m in result.measurements if m.role == "held_out" and m.rounds]


def _mape(predicted: Sequence[float], measured: Sequence[float]) -> float:
    errors: Any = np.abs(np.array(predicted) / np.array(measured) - 1)
    return round(float(errors.mean()), 4)


if __name__ == "__main__":
    main()
