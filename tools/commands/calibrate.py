"""`ponas calibrate`: times kernels on a device and fits its model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
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
from tools.number_types import Number, Whole
from tools.search_options import given

if TYPE_CHECKING:
    from costmodel.calibration.settings import CalibrationSettings
    from costmodel.profile import Profile, ProfileStore


EXAMPLES = """\b
Examples:
  ponas calibrate host-cpu
  ponas calibrate odroid-xu3-a15 --ssh odroid
  ponas calibrate jetson-nano --bundle carry/
  ponas calibrate jetson-nano --results results.jsonl
"""


@click.command(
    "calibrate",
    epilog=EXAMPLES,
    cls=MeasuringCommand,
    short_help="Time kernels on the device and fit its model.",
)
@click.argument("profile")
@click.option(
    "--kernels",
    type=Whole(60, 5000),
    default=300,
    show_default=True,
    help="Kernels timed by themselves, at most.",
)
@click.option(
    "--networks",
    type=Whole(4, 500),
    default=30,
    show_default=True,
    help="Whole networks timed for the error card, never in parts.",
)
@click.option(
    "--minutes",
    type=Number(min=0, min_open=True),
    default=5.0,
    show_default=True,
    help="Minutes after which no further kernel is begun.",
)
@click.option(
    "--target-error",
    type=Number(0, 100, min_open=True, max_open=True),
    metavar="PERCENT",
    help="Stop when whole networks are predicted as well as this on average, such as 2.",
)
@click.option(
    "--plan",
    type=click.Choice(("active", "random")),
    default="active",
    show_default=True,
    help="How kernels are chosen: those that teach most about networks, or at random.",
)
@click.option("--seed", type=Whole(min=0), default=0, show_default=True, help="Seed of the plan.")
@click.option("--quick", is_flag=True, help="About a minute, for a first look.")
@click.option("--threads", type=Whole(1, 64), help="Cores that a kernel uses. [default: profile's]")
@reach_options
@protocol_options
@click.option(
    "--bundle",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="Write a folder to carry to the device, run there, and bring its times back.",
)
@click.option(
    "--results",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="The times that a bundle's run has written.",
)
@click.option(
    "--from",
    "timings",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="CSV",
    help="Fit to timings of whole networks (network,latency_ms) in a runtime of your own.",
)
@click.option(
    "--report",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The page's file. [default: calibration.html beside the profile]",
)
@click.option("--check", is_flag=True, help="Only look at the device: what would spoil figures?")
@click.option("--force", is_flag=True, help="Measure although the figures would be spoilt.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
@click.pass_context
def command(
    context: click.Context,
    /,
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
    bundle: Path | None,
    results: Path | None,
    timings: Path | None,
    report: Path | None,
    check: bool,
    force: bool,
    as_json: bool,
) -> None:
    """Time kernels on PROFILE's device and fit its model.

    Ends with the error on networks it was not fitted to, and a page that shows them.

    Without --ssh, --command, --rpc or --tracker the device is reached as the last time. What is
    said about reaching and timing it is kept in your own copy of the profile.

    Everything measured is kept at once: stopped or killed, the same command goes on.
    """
    from costmodel.calibration.settings import CalibrationSettings
    from tools.calibration import calibrate_profile, overhead_networks, quick_settings
    from tools.carried import calibrate_from_results
    from tools.console import stages
    from tools.destinations import check_file
    from tools.places import profile_store
    from tools.task import PAPER_SPACE
    from tools.timings import calibrate_from

    _check_plan(context, quick=quick)
    store = profile_store()
    found = with_changes(store.get(profile), reach, timing, threads)
    _check_one_of({"--check": check, "--bundle": bundle, "--results": results, "--from": timings})
    _check_one_of({"--check": check, "--bundle": bundle, "--report": report})
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
    if bundle is not None:
        _write_bundle(store, found, replace(settings, ahead=True), bundle, as_json=as_json)
        return
    page = report or store.folder(found.name) / "calibration.html"
    if report is not None:
        check_file(report, "--report")
    with stages() as progress:
        if timings is not None:
            calibrated = calibrate_from(store, found, timings, progress)
        elif results is not None:
            calibrated = calibrate_from_results(store, found, results, progress, force=force)
        else:
            calibrated = calibrate_profile(
                store, found, settings, progress, hasty=quick, force=force
            )
    _end(calibrated, page, as_json=as_json)


_OF_A_PLAN = ("kernels", "networks", "minutes", "target_error", "plan", "seed")
"""What --quick decides by itself."""


_PLANS_NOTHING = {"check": "--check", "results": "--results", "timings": "--from"}
"""What goes without a plan, by the names of parameters and of options."""


def _check_plan(context: click.Context, *, quick: bool) -> None:
    said = [f"--{name.replace('_', '-')}" for name in _OF_A_PLAN if given(context, name)]
    if quick and said:
        raise click.UsageError(
            f"--quick has a plan of its own, so {' and '.join(said)} would say nothing; give the "
            "one or the other"
        )
    unplanned = next((text for name, text in _PLANS_NOTHING.items() if given(context, name)), None)
    said += ["--quick"] if quick else []
    if unplanned and said:
        raise click.UsageError(
            f"{unplanned} times no kernels, so {' and '.join(said)} would say nothing; leave that "
            "out"
        )


def _check_one_of(given: Mapping[str, object]) -> None:
    from costmodel.errors import InputError

    names = [name for name, value in given.items() if value]
    if len(names) > 1:
        raise InputError(f"{' and '.join(names)} are different things to do; give one of them")


def _write_bundle(
    store: ProfileStore,
    profile: Profile,
    settings: CalibrationSettings,
    folder: Path,
    *,
    as_json: bool,
) -> None:
    from costmodel.bundle.write import check_folder
    from tools.carried import write_calibration_bundle
    from tools.console import print_json, say

    check_folder(folder)
    say("building all kernels and networks of the calibration")
    report = write_calibration_bundle(store, profile, settings, folder)
    for key, error in list(report.failed.items())[:5]:
        say(f"could not be built: {key}: {error}")
    if as_json:
        print_json(
            {
                "profile": profile.name,
                "bundle": str(folder),
                "jobs": report.jobs,
                "failed": dict(report.failed),
                "size_bytes": report.size_bytes,
                "program_bytes": report.program_bytes,
                "seconds": round(report.seconds, 1),
            }
        )
    say(
        f"{folder}: {report.jobs} jobs, {report.size_bytes / 1e6:.1f} MB, written in "
        f"{report.seconds:.0f} s; carry it to the device and do what its README.txt says, then: "
        f"ponas calibrate {profile.name} --results results.jsonl"
    )


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


def _end(calibrated: Profile, page: Path, *, as_json: bool) -> None:
    """Writes the page, then says how good the calibration is and where everything is."""
    from tools.calibration import card_line
    from tools.console import print_json, say
    from tools.report import calibration_page, write_page

    facts = calibrated.calibration()
    assert facts is not None
    write_page(calibration_page(calibrated), page)
    if as_json:
        print_json(
            {
                "profile": calibrated.name,
                "kernels": facts.kernels,
                "minutes": facts.minutes,
                "error": facts.error.model_dump(),
                "failed": facts.failed,
                "path": str(calibrated.folder),
                "report": str(page),
            }
        )
    else:
        say(card_line(calibrated))
    say(f"kept in {calibrated.folder}")
    say(f"page: {page.resolve()}")
