"""A calibration from end-to-end timings in a profile's folder, with the timings that made it."""

from __future__ import annotations

import csv
import datetime
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from boltons.fileutils import atomic_save

from costmodel.calibration.store import sha256
from costmodel.profile import MODEL_FILE, CalibrationFacts, Profile, ProfileStore

if TYPE_CHECKING:
    from costmodel.calibration.sums import FromSums
    from costmodel.calibration.timings import Timing

TIMINGS_FILE = "timings.csv"


def save_sums(
    store: ProfileStore,
    profile: Profile,
    result: FromSums,
    timings: Sequence[Timing[Any]],
    *,
    source: Path,
    space: str,
) -> Profile:
    """Keeps model, timings and card in the user's own copy of the profile.

    ``source`` is the file of the timings, ``space`` what its networks are. Written in the order
    of `costmodel.calibration.store.save_calibration`, and read back by its `load_predictor`.
    """
    folder = store.folder(profile.name)
    folder.mkdir(parents=True, exist_ok=True)
    result.model.save(folder / MODEL_FILE)
    _write(folder / TIMINGS_FILE, timings)
    pairs = zip(timings, result.held_out, strict=True)
    facts = CalibrationFacts(
        measured_at=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        origin=(
            f"end-to-end timings from {source.name}, {len(timings)} networks, "
            "runtime of the user's own"
        ),
        space=space,
        target=profile.target(),
        kernels=result.kernels,
        minutes=0.0,
        seconds_per_kernel=result.overhead.seconds_per_kernel,
        seconds_per_byte=result.overhead.seconds_per_byte,
        error=result.card,
        held_out=[(timing.name, p * 1e3, m * 1e3) for timing, (p, m) in pairs],
        failed=[],
        model_sha256=sha256(folder / MODEL_FILE),
        schedules="roofline",
    )
    return store.save(profile.file.model_copy(update={"calibration": facts}))


def _write(path: Path, timings: Sequence[Timing[Any]]) -> None:
    """One row a network: the median of its repeats."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["network", "latency_ms"])
    rows.writerows([timing.name, repr(timing.latency_ms)] for timing in timings)
    with atomic_save(str(path), overwrite_part=True) as file:
        file.write(text.getvalue().encode())
