"""A finished calibration in a profile's folder, and back."""

from __future__ import annotations

import datetime
import hashlib
import platform
from pathlib import Path

from costmodel.cache import PredictionCache
from costmodel.calibration.calibrate import Calibrated
from costmodel.calibration.described import DescribedPredictor
from costmodel.errors import InputError
from costmodel.features import NAMES
from costmodel.host import processor_name
from costmodel.predictor import Overhead, Predictor
from costmodel.profile import (
    MEASUREMENTS_FILE,
    MODEL_FILE,
    CalibrationFacts,
    Profile,
    ProfileStore,
)
from costmodel.regressor import RatioModel


def save_calibration(
    store: ProfileStore,
    profile: Profile,
    result: Calibrated,
    *,
    space: str,
    journal: Path,
    device: str = "",
) -> Profile:
    """Keeps model, measurements and card in the user's own copy of the profile.

    ``device``: what was measured on, for people; empty for this machine.
    The profile names the model by its digest and is written last: a crash in between leaves the
    earlier calibration, reported as damaged at worst, never a wrong pair.
    """
    import tvm

    folder = store.folder(profile.name)
    folder.mkdir(parents=True, exist_ok=True)
    result.model.save(folder / MODEL_FILE)
    journal.replace(folder / MEASUREMENTS_FILE)
    facts = CalibrationFacts(
        measured_at=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        origin=f"measured on {device or _machine()} with TVM {tvm.__version__}",
        space=space,
        target=profile.target(),
        kernels=result.kernels,
        minutes=result.minutes,
        seconds_per_kernel=result.overhead.seconds_per_kernel,
        seconds_per_byte=result.overhead.seconds_per_byte,
        error=result.card,
        held_out=[(name, p * 1e3, m * 1e3) for name, p, m in result.held_out],
        failed=list(result.failed),
        model_sha256=sha256(folder / MODEL_FILE),
    )
    return store.save(profile.file.model_copy(update={"calibration": facts}))


def load_predictor(profile: Profile, cache: PredictionCache | None = None) -> Predictor:
    """The predictor of a profile: calibrated where it is, else the roofline.

    Raises InputError where the model's file is missing or not the one that was calibrated.
    """
    facts = profile.calibration()
    if facts is None:
        return Predictor(profile.target(), None, Overhead(), cache)
    path = profile.folder / MODEL_FILE
    if not path.is_file() or sha256(path) != facts.model_sha256:
        raise InputError(
            f"the model of profile '{profile.name}' is missing or damaged; "
            f"calibrate again: ponas calibrate {profile.name}"
        )
    overhead = Overhead(
        seconds_per_kernel=facts.seconds_per_kernel, seconds_per_byte=facts.seconds_per_byte
    )
    try:
        model = RatioModel.load(path, NAMES)
    except InputError as error:
        raise InputError(f"{error}: ponas calibrate {profile.name}") from error
    kind = DescribedPredictor if facts.schedules == "roofline" else Predictor
    return kind(profile.target(), model, overhead, cache, facts.model_sha256)


def _machine() -> str:
    return f"{platform.machine()} {platform.system()}, {processor_name()}"


def sha256(path: Path) -> str:
    """What a profile knows its model file by."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
