"""`ponas search`: search an architecture for a device by its profile's name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kws.augmentation import AUGMENTATIONS

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


SETS = tuple(AUGMENTATIONS)
"""Of augmentations, by name."""


def _kernel(_context: click.Context, _option: click.Parameter, text: str) -> tuple[int, int]:
    """A kernel bound such as 5x10."""
    parts = text.lower().replace("×", "x").split("x")
    if len(parts) != 2 or not all(p.isdigit() and int(p) >= 1 for p in parts):
        raise click.BadParameter(f"'{text}' is no kernel size; write it as 5x10")
    return int(parts[0]), int(parts[1])


def execution_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Where a run trains: of this run alone, so a resume may say something else."""
    options = [
        click.option("--workers", type=click.IntRange(min=1),
                     help="Candidates trained at a time. [default: 1; what a cluster has room for]"
        ),
        click.option("--executor", type=click.Choice(["local", "ray"]), default="local",
                     show_default=True, help="Processes here, or a Ray cluster."),
        click.option("--address", help="Of the Ray cluster. [default: one is started here]"),
        click.option("--gpus", type=click.FloatRange(min=0), default=0, show_default=True,
                     help="Of the cluster's GPUs a training takes, such as 0.25."),
    ]  # fmt: skip
    for option in reversed(options):
        function = option(function)
    return function


def execution_of(options: dict[str, Any]) -> Execution:
    """Takes those options out of all."""
    from tools.execution import Execution

    names = ("workers", "executor", "address", "gpus")
    return Execution(**{name: options.pop(name) for name in names})


def search_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options that `search` and `compare` share."""
    positive, minutes = click.IntRange(min=1), click.FloatRange(min=0, min_open=True)
    options = [
        click.option("--profile", default="host-cpu", show_default=True, help="Device by name."),
        click.option("--data", default="generated", show_default=True,
                     help="Folder or archive in the Speech Commands layout, a published set "
                     "(speech-commands-v2), or 'generated'."),
        click.option("--labels", default="ten", show_default=True,
                     help="What is told apart: ten (the paper's), twelve (the benchmark's, with "
                     "_silence_ and _unknown_), all (every folder), or yes,no,_unknown_"),
        click.option("--candidates", type=positive, default=40, show_default=True,
                     help="Candidates trained in all phases together."),
        click.option("--initial", type=positive, help="Of these in the first phase. [default: half]"
        ),
        click.option("--refine", type=positive,
                     help="Of these in each later phase. [default: an eighth]"),
        click.option("--freeze", type=positive,
                     help="Parameters frozen after each phase at most. [default: all clear ones]"),
        click.option("--freeze-always/--freeze-clear", default=False, show_default=True,
                     help="Freeze one also where the front's agreement is no more than chance."),
        click.option("--tuning", type=click.IntRange(min=0), default=0, show_default=True,
                     help="Candidates trained beforehand to find the optimiser's parameters."),
        click.option("--pool", type=positive, default=32, show_default=True,
                     help="Suggestions of which each candidate is the most promising."),
        click.option("--early-stopping/--no-early-stopping", default=True, show_default=True,
                     help="End trainings that cannot join the front."),
        click.option("--minutes", type=minutes,
                     help="Wall-clock limit of the phases. [default: none]"),
        click.option("--phase-minutes", type=minutes,
                     help="Wall-clock limit of each phase. [default: none]"),
        click.option("--grow", type=minutes, default=1.0, show_default=True,
                     help="By what a candidate's iterations have grown when all is frozen."),
        click.option("--iterations", type=positive, default=400, show_default=True,
                     help="Training iterations of a candidate."),
        click.option("--finetune-iterations", type=click.IntRange(min=0), default=1500,
                     show_default=True, help="Of each member of the front; 0: none."),
        click.option("--finetune-minutes", type=minutes,
                     help="Time after which no further member is fine-tuned. [default: none]"),
        click.option("--learning-rate", type=float, default=1e-3, show_default=True,
                     help="Of Adam at the beginning."),
        click.option("--batch", type=positive, default=25, show_default=True,
                     help="Clips an iteration of the search."),
        click.option("--finetune-batch", type=positive, default=100, show_default=True,
                     help="Clips an iteration of fine-tuning."),
        click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True,
                     help="Seed of every random choice."),
        click.option("--max-filters", type=positive, default=100, show_default=True,
                     help="Largest number of filters of a unit."),
        click.option("--filters-step", type=positive, default=10, show_default=True,
                     help="Filters are multiples of this."),
        click.option("--first-kernel", default="5x10", show_default=True, callback=_kernel,
                     help="Largest kernel of the first unit."),
        click.option("--later-kernel", default="5x5", show_default=True, callback=_kernel,
                     help="Largest kernel of the other units."),
        click.option("--device", default="cpu", show_default=True,
                     help="Torch device that trains, such as cuda."),
        click.option("--threads", type=positive,
                     help="CPU threads of a training. [default: the cores, shared]"),
        click.option("--bfloat16/--float32", default=None,
                     help="Number format of the convolutions in training. [default: bfloat16 where "
                     "the processor computes with it]"),
        click.option("--augmentation", type=click.Choice(SETS), default="none", show_default=True,
                     help="How a candidate's training clips are changed."),
        click.option("--finetune-augmentation", type=click.Choice(SETS), default="sound",
                     show_default=True, help="The same in fine-tuning."),
        click.option("--finetune-schedule", type=click.Choice(["paper", "modern"]),
                     default="modern", show_default=True,
                     help="The rate in steps, or warm-up, cosine, weight decay and averaging."),
    ]  # fmt: skip
    for option in reversed(options):
        function = option(function)
    return function


@click.command("search", short_help="Search an architecture for a device by its profile's name.")
@click.option(
    "--objective",
    type=click.Choice(["latency", "flops"]),
    default="latency",
    show_default=True,
    help="The cost that is minimised beside the error.",
)
@click.option(
    "--max-latency-ms",
    type=click.FloatRange(min=0, min_open=True),
    help="Candidates predicted slower are not trained.",
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
    if demo:
        options.update({k: v for k, v in DEMO.items() if not _given(context, k)})
        study = study or DEMO_STUDY
    path = study or Path(f"ponas-{options['profile']}-{objective}.study")
    execution = execution_of(options)
    resumed = None
    if resume or (demo and path.exists()):
        resumed = Resumed(
            profile=options["profile"] if _given(context, "profile") else None,
            accept_changes=accept_changes,
            candidates=options["candidates"] if _given(context, "candidates") else None,
            minutes=options["minutes"] if _given(context, "minutes") else None,
        )
    asked = resumed or asked_for(objective, options, max_latency_ms=max_latency_ms)
    search_study(
        path, asked, execution, _trackers(tensorboard, mlflow), report=report, measured=measured,
        demo=demo, as_json=as_json,
    )  # fmt: skip


def asked_for(
    objective: str, options: dict[str, Any], *, max_latency_ms: float | None = None
) -> Request:
    """What the options of `search_options` ask for."""
    from kws.number_format import bfloat16_pays
    from tools.job import Request

    if options["bfloat16"] is None:
        options = {**options, "bfloat16": bfloat16_pays(options["device"])}
    return Request(objective=objective, max_latency_ms=max_latency_ms, **options)


@dataclass(frozen=True, kw_only=True)
class Resumed:
    """What a resume asks for."""

    profile: str | None
    accept_changes: bool
    candidates: int | None
    minutes: float | None


def search_study(
    path: Path,
    asked: Request | Resumed,
    execution: Execution,
    trackers: Sequence[Tracker] = (),
    *,
    report: Path | None,
    measured: bool,
    demo: bool,
    as_json: bool,
) -> None:
    """Starts a study, or goes on with it, to the table and the page."""
    from tools import job as jobs
    from tools.console import say, stages
    from tools.front import measure_front

    with stages() as progress:
        if isinstance(asked, Resumed):
            job, recorder = jobs.resume(
                path, progress, profile=asked.profile, accept_changes=asked.accept_changes
            )
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
        _end(job, recorder, report or path.with_name(f"{path.name}.html"), as_json=as_json)


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


def _given(context: click.Context, name: str) -> bool:
    return context.get_parameter_source(name) == click.core.ParameterSource.COMMANDLINE


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
