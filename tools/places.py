"""Where a user's files are: profiles, caches, studies. Only the command line decides this."""

from __future__ import annotations

import os
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs

if TYPE_CHECKING:
    from costmodel.estimate import Estimator
    from costmodel.profile import Profile, ProfileStore
    from costmodel.runners.contract import Runner

PREDICTIONS = "predictions.sqlite"
HOME_VARIABLE = "PONAS_HOME"
"""Where this is set, everything of the user's lies below it."""


def data_dir() -> Path:
    """Calibrated profiles and what else must not be lost."""
    home = os.environ.get(HOME_VARIABLE)
    return Path(home) if home else Path(platformdirs.user_data_path("ponas"))


def cache_dir() -> Path:
    """Speech sets and features: made again where they are missing."""
    home = os.environ.get(HOME_VARIABLE)
    return Path(home) / "cache" if home else Path(platformdirs.user_cache_path("ponas"))


def profile_store() -> ProfileStore:
    """The user's profiles before those that ship."""
    from costmodel.profile import ProfileStore

    return ProfileStore([data_dir() / "profiles", Path(str(files("hw_profiles")))])


def open_estimator(profile: Profile) -> Estimator:
    """Estimates for a profile, with the predictions of earlier commands at hand."""
    from costmodel.cache import PredictionCache
    from costmodel.estimate import Estimator

    return Estimator(profile, PredictionCache(cache_dir() / PREDICTIONS))


def open_runner(profile: Profile) -> Runner:
    """What measures on a profile's device; InputError where no way to it is known."""
    from costmodel.errors import InputError
    from costmodel.runners import reach
    from costmodel.target import CpuTarget

    if profile.file.runner is None and isinstance(profile.target(), CpuTarget):
        raise InputError(
            f"how to reach '{profile.name}' is not known; say it with --ssh HOST, --command, --rpc "
            f"or --tracker, as in: ponas calibrate {profile.name} --ssh HOST"
        )
    return reach.open_runner(profile.file.runner or reach.Local(), profile.target())
