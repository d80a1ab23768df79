"""`ponas measure`: end to end on the device, beside the prediction."""

from __future__ import annotations

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

if TYPE_CHECKING:
    from costmodel.network import Network
    from tools.device_times import DeviceTimes


EXAMPLES = """\b
Examples:
  ponas measure seed kws7
  ponas measure kws.study
  ponas measure model.onnx --profile odroid-xu3-a15 --ssh odroid
"""


@click.command(
    "measure",
    epilog=EXAMPLES,
    cls=MeasuringCommand,
    short_help="End to end on the device, beside the prediction.",
)
@click.argument("what", nargs=-1, required=True)
@click.option(
    "--profile", metavar="NAME", help="Device by name. [default: the study's, or host-cpu]"
)
@reach_options
@protocol_options
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
def command(
    what: tuple[str, ...],
    profile: str | None,
    reach: ReachOptions,
    timing: ProtocolOptions,
    as_json: bool,
) -> None:
    """Time networks end to end on the device, beside their prediction.

    WHAT is one or more architectures or model files (as for `ponas estimate`), or the file of a
    study, whose front is timed together with the seed, kernel by kernel as well. The study keeps
    these times where they are of the device that it was searched for.

    Sound becomes features before a network sees it: they are timed on the device, too, once, and
    the sum is what one second of sound takes there.

    The device is reached as `ponas calibrate` reached it, unless told otherwise.
    """
    from tools.console import print_json, print_table, say
    from tools.device_times import measure_end_to_end
    from tools.places import open_estimator, profile_store

    study = _study(what)
    networks, name = _networks(what, profile, study)
    found = with_changes(profile_store().get(name), reach, timing)
    estimator = open_estimator(found)
    times = measure_end_to_end(networks, estimator, found, kernels=study is not None)
    estimates = {text: estimator.latency_ms(network) for text, network in networks.items()}
    if times.no_features:
        say(f"features were not measured: {times.no_features}")
    if study is not None:
        _keep(study, times, name)
    if as_json:
        print_json(
            [
                {"architecture": text, "profile": name, "calibrated": estimator.calibrated,
                 "latency_ms": estimates[text], "measured_ms": times.network_ms[text],
                 "features_ms": times.features_ms[text], "total_ms": times.total_ms(text)}
                for text in estimates
            ]
        )  # fmt: skip
        return
    print_table(
        f"On {name}{'' if estimator.calibrated else ' (NOT calibrated: roofline)'}",
        ("architecture", "predicted ms", "measured ms", "predicted / measured", "features ms",
         "end to end ms"),
        [
            (text, _figure(estimates[text]), _figure(times.network_ms[text]),
             _figure(estimates[text] / times.network_ms[text]), _figure(times.features_ms[text]),
             _figure(times.total_ms(text)))
            for text in estimates
        ],
    )  # fmt: skip


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _study(what: tuple[str, ...]) -> Path | None:
    """The study that is to be measured, where it is one."""
    from tools.networks import is_model_file

    is_study = len(what) == 1 and Path(what[0]).is_file() and not is_model_file(what[0])
    return Path(what[0]) if is_study else None


def _networks(
    what: tuple[str, ...], profile: str | None, path: Path | None
) -> tuple[dict[str, Network], str]:
    """The networks to time by name, and the device by name."""
    from search.study import Study
    from tools.front import networks_to_time
    from tools.job import request_of
    from tools.networks import named_network

    if path is not None:
        with Study.open(path) as study:
            return networks_to_time(study), profile or request_of(study).profile
    return dict(named_network(text) for text in what), profile or "host-cpu"


def _keep(path: Path, times: DeviceTimes, profile: str) -> None:
    """Keeps the times in the study, if they are of its device and nobody else writes to it."""
    from search.errors import SearchError
    from search.recorder import StudyRecorder
    from tools.console import say
    from tools.job import MEASURED, MEASURED_KERNELS, request_of

    try:
        with StudyRecorder.open(path) as study:
            asked = request_of(study).profile
            if asked != profile:
                say(f"not kept in {path}, which was searched for {asked}")
                return
            study.annotate(MEASURED, times.network_ms)
            study.annotate(MEASURED_KERNELS, times.kernel_us)
    except SearchError as error:
        say(f"the times are not kept in the study: {error}")
        return
    say(f"kept in {path}; see them with: ponas report {path}")
