"""Calibrates the profiles that ship, from TopHub's published times of tuned kernels.

For maintainers: `python -m tools.tophub_profiles RECORDS` writes into hw_profiles. The kernels ran
under schedules that TVM's tuner of the day found, not under ours, so that a schedule of ours only
describes a kernel, as for timings of whole networks (`costmodel.calibration.described`). The error
card is of workloads left out in turn, predicted as an estimate predicts them. What lies between the
kernels of a network was never published: nothing is added for it.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
from boltons.fileutils import atomic_save

import hw_profiles
from costmodel.calibration.card import make_card
from costmodel.calibration.described import describing_schedule
from costmodel.calibration.store import sha256
from costmodel.features import NAMES
from costmodel.kernels import ConvKernel, Kernel
from costmodel.predictor import measured_rows
from costmodel.profile import (
    MODEL_FILE,
    PROFILE_FILE,
    CalibrationFacts,
    Profile,
    ProfileStore,
)
from costmodel.regressor import Matrix, RatioModel, Vector, fit
from costmodel.schedules.family import Schedule
from costmodel.target import Target
from costmodel.tophub.records import PROFILES, Record, read_records

LOGS: Mapping[str, str] = MappingProxyType(
    {
        "bcm2837": "arm_cpu_v0.08", "rk3399": "arm_cpu_v0.08", "kirin970": "arm_cpu_v0.08",
        "pynq": "arm_cpu_v0.08", "1080ti": "cuda_v0.10", "tx2": "cuda_v0.10",
    }
)  # fmt: skip
"""Boards whose records make a calibration. The Jetson Nano's do not: with them the mean error on
workloads left out is 69 %."""
PUBLISHED = "2021"
"""When these versions of the logs were published."""
FOLDS = 10
SPLIT = "workloads of published kernels, each left out of the fit in one of ten parts"


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """A board's model, and what it said of workloads that were left out."""

    model: RatioModel
    predicted: Vector
    """Seconds, [n]."""
    measured: Vector
    """Seconds, [n]."""


def main() -> None:
    """Writes the calibrated profiles."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("records", type=Path, help="tophub_conv.jsonl")
    parser.add_argument("--output", type=Path, default=Path(hw_profiles.__path__[0]))
    options = parser.parse_args()
    store = ProfileStore([options.output, Path(hw_profiles.__path__[0])])
    records = list(read_records(options.records))
    for board in LOGS:
        profile = store.get(PROFILES[board])
        seconds = fastest((r for r in records if r.board == board), profile.target())
        fitted = fit_published(seconds, profile.target())
        card = save(store, profile, board, fitted).error
        print(f"{profile.name}: {len(seconds)} kernels, mean error {card.mape:.1%}")


def fastest(records: Iterable[Record], target: Target) -> dict[ConvKernel, float]:
    """Seconds of each workload by its fastest algorithm, as a network would run it."""
    seconds: dict[ConvKernel, float] = {}
    for record in records:
        stride = target.padded(record.kernel.channels)
        kernel = replace(record.kernel, input_stride=stride)
        seconds[kernel] = min(record.seconds, seconds.get(kernel, float("inf")))
    return seconds


def fit_published(seconds: Mapping[ConvKernel, float], target: Target) -> Fitted:
    """The model of all workloads, and its predictions of those left out in turn."""
    measured: dict[tuple[Kernel, Schedule], float] = {
        (k, describing_schedule(k, target)): s for k, s in seconds.items()
    }
    rows, log_ratios = measured_rows(measured, target)
    times = np.array(list(measured.values()))
    predicted = np.empty(len(times))
    fold_of = np.random.default_rng(0).permutation(len(times)) % FOLDS
    for fold in range(FOLDS):
        out = fold_of == fold
        misses = _misses(rows, log_ratios, out)
        predicted[out] = times[out] * np.exp(misses)
    return Fitted(model=fit(rows, log_ratios, NAMES), predicted=predicted, measured=times)


def save(store: ProfileStore, profile: Profile, board: str, fitted: Fitted) -> CalibrationFacts:
    """Writes model and card into the store's first root."""
    folder = store.folder(profile.name)
    folder.mkdir(parents=True, exist_ok=True)
    fitted.model.save(folder / MODEL_FILE)
    card = make_card(fitted.predicted.tolist(), fitted.measured.tolist())
    facts = CalibrationFacts(
        measured_at=PUBLISHED,
        origin=(
            f"published times of tuned TVM kernels on a {board} (TopHub, {LOGS[board]}), "
            "not measured by ponas"
        ),
        space="convolutions of ImageNet networks",
        target=profile.target(),
        kernels=len(fitted.measured),
        minutes=0.0,
        seconds_per_kernel=0.0,
        seconds_per_byte=0.0,
        error=card.model_copy(update={"split": SPLIT, "of": "kernels"}),
        held_out=[],
        failed=[],
        model_sha256=sha256(folder / MODEL_FILE),
        schedules="roofline",
    )
    # As it stands, so that a person finds the file as a person wrote it.
    document = json.loads((profile.folder / PROFILE_FILE).read_text(encoding="utf-8"))
    document["calibration"] = facts.model_dump(mode="json")
    with atomic_save(str(folder / PROFILE_FILE), overwrite_part=True) as file:
        file.write(f"{json.dumps(document, indent=1, ensure_ascii=False)}\n".encode())
    return facts


def _misses(rows: Matrix, log_ratios: Vector, out: npt.NDArray[np.bool_]) -> Vector:
    """Log of predicted over measured, for those left out of the fit."""
    misses: Vector = (
        fit(rows[~out], log_ratios[~out], NAMES).predict(rows[out])[0] - log_ratios[out]
    )
    return misses


if __name__ == "__main__":
    main()
