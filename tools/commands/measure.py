"""`ponas measure`: end to end on the device, beside the prediction."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from kws.architecture import Architecture


@click.command("measure", short_help="End to end on the device, beside the prediction.")
@click.argument("what", nargs=-1, required=True)
@click.option("--profile", default=None, help="Device by name. [default: the study's, host-cpu]")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
def command(what: tuple[str, ...], profile: str | None, as_json: bool) -> None:
    """Time networks end to end on the device, beside their prediction.

    WHAT is one or more architectures (as for `ponas estimate`), or the file of a study, whose
    front is timed together with the seed.
    """
    from kws.architecture import to_network
    from tools.console import print_json, print_table
    from tools.front import measure_architectures
    from tools.places import open_estimator, profile_store

    architectures, name = _architectures(what, profile)
    found = profile_store().get(name)
    estimator = open_estimator(found)
    times = measure_architectures(architectures, estimator, found)
    estimates = {str(a): estimator.latency_ms(to_network(a)) for a in architectures}
    if as_json:
        print_json(
            [
                {"architecture": text, "profile": name, "calibrated": estimator.calibrated,
                 "latency_ms": estimates[text], "measured_ms": times[text]}
                for text in estimates
            ]
        )  # fmt: skip
        return
    print_table(
        f"On {name}{'' if estimator.calibrated else ' (NOT calibrated: roofline)'}",
        ("architecture", "predicted ms", "measured ms", "predicted / measured"),
        [
            (text, f"{estimates[text]:.3f}", f"{times[text]:.3f}",
             f"{estimates[text] / times[text]:.3f}")
            for text in estimates
        ],
    )  # fmt: skip


def _architectures(what: tuple[str, ...], profile: str | None) -> tuple[list[Architecture], str]:
    """The architectures to time, and the device by name."""
    from kws.architecture import SEED, Architecture
    from search.study import Study
    from tools.commands.estimate import estimate_bounds
    from tools.job import request_of
    from tools.task import architecture_of

    if len(what) == 1 and Path(what[0]).is_file():
        with Study.open(Path(what[0])) as study:
            members = [architecture_of(trial.parameters) for trial in study.front()]
            return [SEED, *members], profile or request_of(study).profile
    parsed = [Architecture.parse(text, bounds=estimate_bounds()) for text in what]
    return list(dict.fromkeys(parsed)), profile or "host-cpu"
