"""`ponas search`: search an architecture for a device by its profile's name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tools.number_types import Number
from tools.search_options import (
    asked_for,
    execution_of,
    execution_options,
    given,
    search_options,
)

if TYPE_CHECKING:
    from costmodel.profile import Profile
    from search.recorder import StudyRecorder
    from tools.console import Stages
    from tools.execution import Execution
    from tools.job import Job, Request
    from tools.tracking import Tracker

DEMO_STUDY = Path("ponas-demo.study")
DEMO: dict[str, Any] = {
    "candidates": 20,
    "iterations": 200,
    "minutes": 2.2,
    "finetune_iterations": 400,
    "finetune_minutes": 1.2,
    "finetune_batch": 50,
    "finetune_augmentation": "none",
    "max_filters": 40,
    "filters_step": 8,
    "learning_rate": 2e-3,
    "pool": 8,
}
"""A search of minutes on two cores: few candidates, small networks, short training; the limits are
for slow machines, a quick one does not come near them."""


EXAMPLES = """\b
Examples:
  ponas search --demo
  ponas search --profile raspberry-pi-3b --data speech-commands-v2 --study kws.study
  ponas search --resume --study kws.study --candidates 80
"""


@click.command(
    "search",
    epilog=EXAMPLES,
    short_help="Search an architecture for a device by its profile's name.",
)
@click.option(
    "--objective",
    type=click.Choice(["latency", "flops"]),
    default="latency",
    show_default=True,
    help="The cost that is minimised beside the error.",
)
@click.option(
    "--max-latency-ms",
    type=Number(min=0, min_open=True),
    help="Candidates predicted slower than so many milliseconds are not trained.",
)
@click.option(
    "--study",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The study's file. [default: ponas-PROFILE-OBJECTIVE.study]",
)
@click.option("--resume", is_flag=True, help="Go on with the study; its own settings hold.")
@click.option(
    "--accept-changes",
    is_flag=True,
    help="Resume with other code or a profile calibrated anew: its latencies are predicted again.",
)
@click.option(
    "--report",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The page's file. [default: STUDY.html]",
)
@click.option(
    "--measure/--no-measure",
    "measured",
    default=True,
    show_default=True,
    help="Time the front on the device at the end.",
)
@click.option(
    "--tensorboard",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write curves, figures and settings of every trial for TensorBoard.",
)
@click.option(
    "--mlflow", metavar="URI", help="The same for MLflow, such as sqlite:///mlflow.db or a server."
)
@click.option(
    "--demo", is_flag=True, help="Ten minutes, everything built in: what `make search` runs."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
@execution_options
@search_options
@click.pass_context
def command(
    context: click.Context,
    /,
    objective: str,
    max_latency_ms: float | None,
    study: Path | None,
    resume: bool,
    accept_changes: bool,
    report: Path | None,
    measured: bool,
    tensorboard: Path | None,
    mlflow: str | None,
    demo: bool,
    as_json: bool,
    **options: Any,  # noqa: ANN401
) -> None:
    """Search an architecture that is accurate and fast on a device.

    Ends with the Pareto table and a page. Stopped or killed at any moment, it goes on with
    --resume; --candidates and --minutes may then be raised.
    """
    from tools.asked import check_asked
    from tools.destinations import check_file

    if demo:
        options.update({k: v for k, v in DEMO.items() if not given(context, k)})
        study = study or DEMO_STUDY
    path = study or Path(f"ponas-{options['profile']}-{objective}.study")
    execution = execution_of(options)
    resumed = None
    if resume or (demo and path.exists()):
        resumed = Resumed(
            accept_changes=accept_changes,
            candidates=options["candidates"] if given(context, "candidates") else None,
            minutes=options["minutes"] if given(context, "minutes") else None,
            settings=_settings_given(context, options),
        )
    asked = resumed or asked_for(objective, options, max_latency_ms=max_latency_ms)
    page = report or path.with_name(f"{path.name}.html")
    if not path.exists():
        check_file(path, "--study")
    check_file(page, "--report")
    if not isinstance(asked, Resumed):
        check_asked(asked, execution)
    search_study(
        path, asked, execution, _trackers(tensorboard, mlflow), page=page, measured=measured,
        demo=demo, as_json=as_json,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Resumed:
    """What a resume asks for."""

    accept_changes: bool
    candidates: int | None
    minutes: float | None
    settings: Mapping[str, Any]
    """All else that was said of the search, by the names of `Request`'s fields."""


def search_study(
    path: Path,
    asked: Request | Resumed,
    execution: Execution,
    trackers: Sequence[Tracker] = (),
    *,
    page: Path,
    measured: bool,
    demo: bool,
    as_json: bool,
) -> None:
    """Starts a study, or goes on with it, to the table and the page."""
    from search.study import Study
    from tools import job as jobs
    from tools.asked import check_resumed
    from tools.console import say, stages
    from tools.front import measure_front

    with stages() as progress:
        if isinstance(asked, Resumed):
            with Study.open(path) as study:
                check_resumed(path, jobs.request_of(study), asked.settings)
            job, recorder = jobs.resume(path, progress, accept_changes=asked.accept_changes)
            jobs.extend(recorder, candidates=asked.candidates, minutes=asked.minutes)
        else:
            _check_new(path)
            if demo:
                calibrate_if_needed(asked.profile, progress)
            job = jobs.open_job(asked, progress)
            recorder = jobs.create(job, path)
    with recorder:
        _say_what(job, path)
        try:
            run_told(job, recorder, execution, trackers)
        except KeyboardInterrupt:
            say(f"stopped; go on with: ponas search --resume --study {path}")
            raise
        if measured and job.profile.file.runner and recorder.front():
            say("timing the front on the device")
            measure_front(recorder, job.estimator, job.profile)
        _end(job, recorder, page, as_json=as_json)


def run_told(
    job: Job, recorder: StudyRecorder, execution: Execution, trackers: Sequence[Tracker] = ()
) -> None:
    """Searches and fine-tunes to the end, lets a person see it, and tells the trackers."""
    from tools.front_volume import Box
    from tools.job import run_job
    from tools.live_search import told
    from tools.tracking import Tracking, figures_of, together

    box = Box.of(recorder, job.costs())
    with told(recorder, box) as (tell, line), ExitStack() as ended:
        receivers = [
            Tracking(recorder, tracker, box=box, figures=figures_of(job), line=line)
            for tracker in trackers
        ]
        for receiver in receivers:
            ended.callback(receiver.close)
        run_job(job, recorder, execution, on_event=together([tell, *receivers]))


def calibrate_if_needed(name: str, progress: Stages) -> Profile:
    """The profile, calibrated on the spot where it is not yet and can be."""
    from tools.calibration import calibrate_profile, quick_settings
    from tools.places import profile_store

    store = profile_store()
    profile = store.get(name)
    if profile.calibration() is not None or profile.file.runner is None:
        return profile
    progress.line(f"calibrating {name}: timing kernels on this machine (about a minute)")
    return calibrate_profile(store, profile, quick_settings(), progress, hasty=True)


def _trackers(tensorboard: Path | None, mlflow: str | None) -> list[Tracker]:
    """Those that are asked for. Raises InputError where one is not installed or not there."""
    trackers: list[Tracker] = []
    if tensorboard is not None:
        from tools.tensorboard_log import TensorBoardLog

        trackers.append(TensorBoardLog(tensorboard))
    if mlflow is not None:
        from tools.mlflow_log import MlflowLog

        trackers.append(MlflowLog(mlflow))
    return trackers


def _settings_given(context: click.Context, options: Mapping[str, Any]) -> dict[str, Any]:
    """What the command line says of the search itself, but for what a resume may change."""
    said = {**context.params, **options}
    own = {*options, "objective", "max_latency_ms"} - {"candidates", "minutes"}
    return {name: said[name] for name in sorted(own) if given(context, name)}


def _check_new(path: Path) -> None:
    """Before minutes are spent on data and calibration."""
    from search.errors import InputError

    if path.exists():
        raise InputError(
            f"study {path} exists already; go on with it: ponas search --resume --study {path}, "
            "or give another path with --study"
        )


def _say_what(job: Job, path: Path) -> None:
    from tools.calibration import card_line
    from tools.console import say

    clips = {split: len(part.labels) for split, part in job.data.splits.items()}
    say(f"study {path}; stop it at any moment, go on with: ponas search --resume --study {path}")
    say(card_line(job.profile))
    say(
        f"data {job.request.data}: {clips['training']} clips to train, "
        f"{clips['validation']} to validate, {clips['testing']} to test, of "
        f"{len(job.data.words)} words"
    )


def _end(job: Job, recorder: StudyRecorder, page: Path, *, as_json: bool) -> None:
    from tools.console import print_json, say
    from tools.front import members, seed_member
    from tools.report import write_study_page
    from tools.results import pareto_table, search_document

    rows = members(recorder, job.estimator)
    write_study_page(recorder, job.estimator, page)
    if as_json:
        print_json(search_document(recorder, rows, page))
    else:
        pareto_table(rows, seed_member(recorder, job.estimator))
    say(f"page: {page.resolve()}")
