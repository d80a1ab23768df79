"""Calibration by bundle: a folder that is carried to a device, and the times that come back.

What a bundle was asked for is kept beside the profile, so that only the file of times has to be
named when it comes back.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, ValidationError

from tools.console import Stages

if TYPE_CHECKING:
    from costmodel.bundle.write import BundleReport
    from costmodel.calibration.calibrate import CalibrationSettings
    from costmodel.profile import Profile, ProfileStore


class _Ticket(BaseModel):
    """What a bundle was written for."""

    model_config = ConfigDict(extra="forbid")

    settings: dict[str, Any]
    """Of `CalibrationSettings`."""
    profile: dict[str, Any]
    """Of `ProfileFile`, without a calibration."""


def write_calibration_bundle(
    store: ProfileStore, profile: Profile, settings: CalibrationSettings, folder: Path
) -> BundleReport:
    """Writes the folder to carry. ``settings`` are of a calibration that is planned ahead."""
    from boltons.fileutils import atomic_save

    from costmodel.bundle.stages import stages_of
    from costmodel.bundle.write import MANIFEST, check_folder, write_bundle
    from costmodel.calibration.calibrate import planned_jobs
    from tools.task import sample_paper_space

    check_folder(folder)
    target = profile.target()
    planned = planned_jobs(target, sample_paper_space, settings)
    title = f"{profile.name}: {profile.file.description}"
    report = write_bundle(stages_of(planned, profile.protocol), target, folder, title=title)
    file = profile.file.model_copy(update={"calibration": None})
    ticket = _Ticket(settings=asdict(settings), profile=file.model_dump(mode="json"))
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    path = _ticket_path(store, profile.name, manifest["bundle"])
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_save(str(path), overwrite_part=True) as stream:
        stream.write(ticket.model_dump_json(indent=1).encode())
    return report


def calibrate_from_results(
    store: ProfileStore, profile: Profile, results: Path, stages: Stages, *, force: bool
) -> Profile:
    """Fits the profile to the times that a bundle's run has written.

    Raises InputError for times of a bundle that was not written for this profile here.
    """
    from costmodel.bundle.results import read_results
    from costmodel.calibration.settings import CalibrationSettings
    from costmodel.errors import InputError
    from costmodel.profile import Profile, ProfileFile
    from costmodel.runners.bundle import BundleRunner
    from tools.calibration import calibrate_profile

    bundle = read_results(results).manifest.bundle
    path = _ticket_path(store, profile.name, bundle)
    try:
        ticket = _Ticket.model_validate_json(path.read_bytes())
        settings = CalibrationSettings(**ticket.settings)
        asked = Profile(ProfileFile.model_validate(ticket.profile), profile.folder)
    except (OSError, ValidationError, TypeError):
        raise InputError(
            f"{results} is of bundle {bundle}, which was not written here for '{profile.name}'; "
            f"bring the times back to where 'ponas calibrate {profile.name} --bundle' was run"
        ) from None
    runner = BundleRunner(results, asked.target())
    if runner.damaged:
        lines = ", ".join(map(str, runner.damaged[:5]))
        stages.line(f"{results}: {len(runner.damaged)} lines are damaged and left out: {lines}")
    return calibrate_profile(store, asked, settings, stages, carried=runner, force=force)


def _ticket_path(store: ProfileStore, name: str, bundle: str) -> Path:
    return store.folder(name) / f"bundle-{bundle}.json"
