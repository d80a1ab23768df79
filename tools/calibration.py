"""Calibrates a profile on the paper's space of networks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tools.console import Stages

if TYPE_CHECKING:
    from costmodel.calibration.calibrate import CalibrationSettings
    from costmodel.profile import Profile, ProfileStore
    from costmodel.runners.contract import Runner

QUICK_KERNELS, QUICK_OVERHEAD, QUICK_HELD_OUT, QUICK_MINUTES = 140, 6, 12, 2.0
"""A calibration for the impatient: about a minute, and some points of error more."""
QUICK_MAX_ROUNDS = 4
"""On a machine that never keeps still, ten rounds of everything take several times as long."""


CARRIED_JOURNAL = "carried.jsonl"


def quick_settings() -> CalibrationSettings:
    """What `make search` spends on calibration."""
    from costmodel.calibration.calibrate import CalibrationSettings
    from tools.task import PAPER_SPACE

    return CalibrationSettings(
        kernels=QUICK_KERNELS,
        overhead_networks=QUICK_OVERHEAD,
        watched_networks=2,
        held_out_networks=QUICK_HELD_OUT,
        minutes=QUICK_MINUTES,
        space=PAPER_SPACE,
    )


def overhead_networks(kernels: int) -> int:
    """Networks timed whole and in parts: their kernels are at most a third of all."""
    return max(2, min(12, kernels // 24))


def calibrate_profile(
    store: ProfileStore,
    profile: Profile,
    settings: CalibrationSettings,
    stages: Stages,
    *,
    carried: Runner | None = None,
    hasty: bool = False,
    force: bool = False,
) -> Profile:
    """Times kernels and networks on the profile's device, fits and saves; goes on where killed.

    ``carried``: what was measured elsewhere, instead of the profile's device. ``hasty``: at most
    `QUICK_MAX_ROUNDS` rounds, whatever the profile's protocol says. Raises DeviceError where the
    device would give wrong figures, unless told to by ``force``; InputError where another process
    is calibrating the profile.
    """
    from costmodel.calibration.lock import calibrating

    with calibrating(store, profile.name):
        return _calibrate(
            store, profile, settings, stages, carried=carried, hasty=hasty, force=force
        )


def _calibrate(
    store: ProfileStore,
    profile: Profile,
    settings: CalibrationSettings,
    stages: Stages,
    *,
    carried: Runner | None,
    hasty: bool,
    force: bool,
) -> Profile:
    from dataclasses import replace

    from costmodel.calibration.calibrate import calibrate
    from costmodel.calibration.store import save_calibration
    from tools.device_check import device_words, look_at, refuse_spoiled
    from tools.places import open_runner
    from tools.task import PAPER_SPACE, sample_paper_space

    protocol = profile.protocol
    if hasty:
        protocol = replace(protocol, max_rounds=max(protocol.rounds, QUICK_MAX_ROUNDS))
    journal = store.folder(profile.name) / (CARRIED_JOURNAL if carried else "journal.jsonl")
    if carried:
        journal.unlink(missing_ok=True)  # it is all in the file that was brought back
    with carried or open_runner(profile) as runner:
        facts, findings = look_at(runner, profile)
        if not force:
            refuse_spoiled(findings)
        for finding in findings:
            if finding.level != "fine":
                stages.line(f"{finding.topic}: {finding.text}")
        result = calibrate(
            profile.target(),
            runner,
            sample_paper_space,
            protocol=protocol,
            settings=settings,
            journal_path=journal,
            on_progress=lambda p: stages.update(f"timing {p.stage}", p.done, p.total, p.note),
        )
    for failure in result.failed[:5]:
        stages.line(f"could not be measured: {failure}")
    way = "a device that a bundle was carried to" if carried else _way(profile)
    device = device_words(way, facts) if way else ""
    return save_calibration(
        store, profile, result, space=PAPER_SPACE, journal=journal, device=device
    )


def _way(profile: Profile) -> str:
    """How the device was reached; empty for this machine, which says more of itself."""
    reach = profile.file.runner
    return "" if reach is None or reach.kind == "local" else reach.words


def _first_way(profile: Profile) -> str:
    """What to add to `ponas calibrate` for a device that has not been reached yet."""
    from costmodel.target import CpuTarget

    if isinstance(profile.target(), CpuTarget):
        return " --ssh HOST (or another way; see --help)"
    return " --bundle FOLDER"


def card_line(profile: Profile) -> str:
    """One line on how far a profile's estimates can be trusted."""
    facts = profile.calibration()
    if facts is None:
        how = "" if profile.file.runner else _first_way(profile)
        return (
            f"{profile.name} is not calibrated here: its latencies are roofline estimates and may "
            f"be off by a factor of three; calibrate it with: ponas calibrate {profile.name}{how}"
        )
    card = facts.error
    return (
        f"{profile.name}: mean error {card.mape:.1%}, {card.within_5:.0%} within ±5 %, "
        f"{card.within_10:.0%} within ±10 % of {card.networks} held-out {card.of} "
        f"({facts.kernels} kernels, {facts.measured_at[:10]}, {facts.origin})"
    )
