"""`ponas calibrate`: times kernels on a device and fits its model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tools.measuring import (
    MeasuringCommand,
    ProtocolOptions,
    ReachOptions,
    protocol_options,
    reach_options,
    with_changes,
)

if TYPE_CHECKING:
    from costmodel.profile import Profile


@click.command(
    "calibrate",
    cls=MeasuringCommand,
    short_help="Time kernels on the device and fit its model.",
)
@click.argument("profile")
@click.option(
    "--kernels",
    type=click.IntRange(60, 5000),
    default=300,
    show_default=True,
    help="Kernels timed by themselves, at most.",
)
@click.option(
    "--networks",
    type=click.IntRange(4, 500),
    default=30,
    show_default=True,
    help="Whole networks timed for the error card, never in parts.",
)
@click.option(
    "--minutes",
    type=click.FloatRange(min=0, min_open=True),
    default=5.0,
    show_default=True,
    help="Time after which no further kernel is begun.",
)
@click.option(
    "--target-error",
    type=click.FloatRange(0, 100, min_open=True, max_open=True),
    metavar="PERCENT",
    help="Stop when whole networks are predicted this well on average.",
)
@click.option(
    "--plan",
    type=click.Choice(("active", "random")),
    default="active",
    show_default=True,
    help="Kernels that teach most about networks, or random ones.",
)
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of the plan."
)
@click.option("--quick", is_flag=True, help="About a minute, for a first look.")
@click.option(
    "--threads", type=click.IntRange(1, 64), help="Cores that a kernel uses. [default: profile's]"
)
@reach_options
@protocol_options
@click.option("--check", is_flag=True, help="Only look at the device: what would spoil figures?")
@click.option("--force", is_flag=True, help="Measure although the figures would be spoilt.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
def command(
    profile: str,
    kernels: int,
    networks: int,
    minutes: float,
    target_error: float | None,
    plan: str,
    seed: int,
    quick: bool,
    threads: int | None,
    reach: ReachOptions,
    timing: ProtocolOptions,
    check: bool,
    force: bool,
    as_json: bool,
) -> None:
    """Time kernels on PROFILE's device and fit its model.

    Without --ssh, --command, --rpc or --tracker the device is reached as the last time. What is
    said about reaching and timing it is kept in your own copy of the profile.

    Everything measured is kept at once: stopped or killed, the same command goes on.
    """
    from costmodel.calibration.calibrate import CalibrationSettings
    from tools.calibration import calibrate_profile, overhead_networks, quick_settings
    from tools.console import stages
    from tools.places import profile_store
    from tools.task import PAPER_SPACE

    store = profile_store()
    found = with_changes(store.get(profile), reach, timing, threads)
    if check:
        _check(found, as_json=as_json)
        return
    settings = (
        quick_settings()
        if quick
        else CalibrationSettings(
            kernels=kernels,
            overhead_networks=overhead_networks(kernels),
            held_out_networks=networks,
            minutes=minutes,
            target_error=target_error / 100 if target_error else None,
            plan="random" if plan == "random" else "active",
            seed=seed,
            space=PAPER_SPACE,
        )
    )
    with stages() as progress:
        calibrated = calibrate_profile(store, found, settings, progress, hasty=quick, force=force)
    _say(calibrated, as_json=as_json)


def _check(profile: Profile, *, as_json: bool) -> None:
    """Looks at the device. Raises DeviceError where the figures would be spoilt."""
    from tools.console import print_json
    from tools.device_check import findings_json, look_at, print_findings, refuse_spoiled
    from tools.places import open_runner

    with open_runner(profile) as runner:
        _, findings = look_at(runner, profile)
    if as_json:
        print_json({"profile": profile.name, "findings": findings_json(findings)})
    else:
        print_findings(profile, findings)
    refuse_spoiled(findings)


def _say(calibrated: Profile, *, as_json: bool) -> None:
    from tools.calibration import card_line
    from tools.console import print_json, say

    facts = calibrated.calibration()
    assert facts is not None
    if as_json:
        print_json(
            {
                "profile": calibrated.name,
                "kernels": facts.kernels,
                "minutes": facts.minutes,
                "error": facts.error.model_dump(),
                "failed": facts.failed,
                "path": str(calibrated.folder),
            }
        )
        return
    say(card_line(calibrated))
    say(f"kept in {calibrated.folder}")
