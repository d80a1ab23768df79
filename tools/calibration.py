"""Calibrates a profile of this machine on the paper's space of networks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tools.console import Stages

if TYPE_CHECKING:
    from costmodel.calibration.calibrate import CalibrationSettings
    from costmodel.profile import Profile, ProfileStore

QUICK_KERNELS, QUICK_OVERHEAD, QUICK_HELD_OUT, QUICK_MINUTES = 140, 6, 12, 2.0
"""A calibration for the impatient: about a minute, and some points of error more."""


def quick_settings() -> CalibrationSettings:
    """What `make search` spends on calibration."""
    from costmodel.calibration.calibrate import CalibrationSettings
    from tools.task import PAPER_SPACE

    return CalibrationSettings(
        kernels=QUICK_KERNELS,
        overhead_networks=QUICK_OVERHEAD,
        held_out_networks=QUICK_HELD_OUT,
        minutes=QUICK_MINUTES,
        space=PAPER_SPACE,
    )


def overhead_networks(kernels: int) -> int:
    """Networks timed whole and in parts: their kernels are at most a third of all."""
    return max(2, min(12, kernels // 24))


def calibrate_profile(
    store: ProfileStore, profile: Profile, settings: CalibrationSettings, stages: Stages
) -> Profile:
    """Times kernels and networks on the profile's device, fits and saves; goes on where killed."""
    from costmodel.calibration.calibrate import calibrate
    from costmodel.calibration.store import save_calibration
    from tools.places import open_runner
    from tools.task import PAPER_SPACE, sample_paper_space

    journal = store.folder(profile.name) / "journal.jsonl"
    with open_runner(profile) as runner:
        result = calibrate(
            profile.target(),
            runner,
            sample_paper_space,
            protocol=profile.protocol,
            settings=settings,
            journal_path=journal,
            on_progress=lambda p: stages.update(f"timing {p.stage}", p.done, p.total, p.note),
        )
    for failure in result.failed[:5]:
        stages.line(f"could not be measured: {failure}")
    return save_calibration(store, profile, result, space=PAPER_SPACE, journal=journal)


def card_line(profile: Profile) -> str:
    """One line on how far a profile's estimates can be trusted."""
    facts = profile.calibration()
    if facts is None:
        cure = (
            f"calibrate it with: ponas calibrate {profile.name}"
            if profile.file.runner
            else "it cannot be measured from here"
        )
        return (
            f"{profile.name} is not calibrated here: its latencies are roofline estimates and may "
            f"be off by a factor of three; {cure}"
        )
    card = facts.error
    return (
        f"{profile.name}: mean error {card.mape:.1%}, {card.within_5:.0%} within ±5 %, "
        f"{card.within_10:.0%} within ±10 % of {card.networks} held-out networks "
        f"({facts.kernels} kernels, {facts.measured_at[:10]}, {facts.origin})"
    )
