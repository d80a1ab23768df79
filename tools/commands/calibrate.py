"""`ponas calibrate`: times kernels on a device and fits its model."""

from __future__ import annotations

import click


@click.command("calibrate", short_help="Time kernels on the device and fit its model.")
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
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of the plan."
)
@click.option("--quick", is_flag=True, help="About a minute, for a first look.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
def command(
    profile: str,
    kernels: int,
    networks: int,
    minutes: float,
    seed: int,
    quick: bool,
    as_json: bool,
) -> None:
    """Time kernels on PROFILE's device and fit its model.

    Everything measured is kept at once: stopped or killed, the same command goes on.
    """
    from costmodel.calibration.calibrate import CalibrationSettings
    from tools.calibration import (
        calibrate_profile,
        card_line,
        overhead_networks,
        quick_settings,
    )
    from tools.console import print_json, say, stages
    from tools.places import profile_store
    from tools.task import PAPER_SPACE

    store = profile_store()
    found = store.get(profile)
    settings = (
        quick_settings()
        if quick
        else CalibrationSettings(
            kernels=kernels,
            overhead_networks=overhead_networks(kernels),
            held_out_networks=networks,
            minutes=minutes,
            seed=seed,
            space=PAPER_SPACE,
        )
    )
    with stages() as progress:
        calibrated = calibrate_profile(store, found, settings, progress)
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
