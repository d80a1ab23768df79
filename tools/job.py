"""One search from beginning to end: what was asked for, and how it is started and resumed."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kws.architecture import Architecture, Bounds, to_network
from kws.augmentation import AUGMENTATIONS
from kws.errors import InputError
from search.algorithm import Outcome, run
from search.creation import create_study
from search.events import OnEvent
from search.objective import Constraint, Objective, untrained
from search.recorder import StudyRecorder
from search.settings import Settings
from search.study import Study
from tools.code_version import changes as code_changes
from tools.code_version import code_version
from tools.console import Stages
from tools.execution import Execution
from tools.recipe import (
    FINETUNE_DROP_EVERY,
    SEARCH_DROP_EVERY,
    TUNING,
    Recipe,
    modern,
    tuning_parameters,
    tuning_start,
)
from tools.task import (
    SpeechTask,
    flops_objective,
    latency_name,
    latency_objective,
    make_space,
    start_of,
)

if TYPE_CHECKING:
    from costmodel.estimate import Estimator
    from costmodel.network import Network
    from costmodel.profile import Profile
    from kws.features import FeatureSet

MEASURED = "measured_ms"
"""Annotation of a study: architecture -> milliseconds on the device, the seed's included."""
MEASURED_KERNELS = "measured_kernels_us"
"""The same: a kernel under a schedule (its job's key) -> microseconds, timed by itself."""
FORMAT = 2
_READABLE = (1, 2)
"""Of format 1, that of version 0.1, the one setting that is gone is left out."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a person asks of a search."""

    profile: str
    """Device by name."""
    objective: str
    """``latency`` or ``flops``: the cost beside the error."""
    data: str
    """Folder or archive in the Speech Commands layout, a published set, or ``generated``."""
    labels: str = "ten"
    """What is told apart; see `kws.labels.parse_labels`."""
    candidates: int
    """Candidates trained in all phases together."""
    initial: int | None = None
    """Of these in the initial phase; None is half of them."""
    refine: int | None = None
    """In each refined phase; None is an eighth of them."""
    freeze: int | None = None
    """Parameters frozen after each phase at most; None is every one that is clear."""
    freeze_always: bool = False
    """Whether one is frozen also where the front's agreement is no more than chance."""
    tuning: int = 0
    """Candidates trained beforehand to find the optimiser's parameters; 0 leaves that out."""
    pool: int = 32
    """Suggestions of which each candidate is the most promising."""
    early_stopping: bool = True
    """Whether trainings that cannot join the front end early."""
    grow: float = 1.0
    """By what the iterations of a candidate have grown when all of the space is frozen."""
    minutes: float | None = None
    """Wall-clock limit of the phases; None sets none."""
    phase_minutes: float | None = None
    """Wall-clock limit of each phase; None sets none."""
    iterations: int
    """Training iterations of a candidate."""
    finetune_iterations: int
    """Training iterations of a member of the final front; 0 leaves fine-tuning out."""
    finetune_minutes: float | None = None
    """Wall-clock time after which no further member is fine-tuned; None sets no limit."""
    learning_rate: float = 1e-3
    batch: int = 25
    finetune_batch: int = 100
    seed: int = 0
    max_filters: int = 100
    filters_step: int = 10
    first_kernel: tuple[int, int] = (5, 10)
    later_kernel: tuple[int, int] = (5, 5)
    max_latency_ms: float | None = None
    """Candidates predicted slower are not trained."""
    device: str = "cpu"
    """Torch device that trains."""
    threads: int | None = None
    """CPU threads of a training; None shares the cores among those at a time."""
    bfloat16: bool = False
    """Whether convolutions train in bfloat16."""
    augmentation: str = "none"
    """How a candidate's training clips are changed; see `kws.augmentation.AUGMENTATIONS`."""
    finetune_augmentation: str = "sound"
    """The same in fine-tuning."""
    finetune_schedule: str = "modern"
    """``paper`` or ``modern``: how the rate falls in fine-tuning, and what else there is."""


@dataclass(frozen=True)
class Job:
    """A search with everything it needs in memory."""

    request: Request
    profile: Profile
    estimator: Estimator
    data: FeatureSet

    def network(self, architecture: Architecture) -> Network:
        """An architecture with as many outputs as there are labels."""
        return to_network(architecture, classes=len(self.data.words))

    def costs(self) -> list[Objective]:
        """What is minimised beside the error."""
        if self.request.objective == "flops":
            return [flops_objective(self.network)]
        return [latency_objective(self.estimator, self.network)]

    def constraints(self) -> tuple[Constraint, ...]:
        """What candidates must hold to. Raises InputError for a bound on what is not minimised."""
        bound = self.request.max_latency_ms
        if bound is None:
            return ()
        if self.request.objective != "latency":
            raise InputError("--max-latency-ms needs --objective latency")
        return (Constraint(latency_name(self.request.profile), bound),)

    def speech_task(self, models: Path, threads: int | None) -> SpeechTask:
        """The training of candidates; fine-tuned models are saved in ``models``."""
        request = self.request
        search = Recipe(
            learning_rate=request.learning_rate,
            batch=request.batch,
            drop_every=SEARCH_DROP_EVERY,
            bfloat16=request.bfloat16,
            augmentation=AUGMENTATIONS[request.augmentation],
        )
        return SpeechTask(
            data=self.data,
            costs=tuple(cost.spec for cost in self.costs()),
            search=search,
            finetune=_finetune(search, request) if request.finetune_iterations else None,
            models=models,
            constraints=self.constraints(),
            device=request.device,
            threads=threads,
        )


def _finetune(search: Recipe, request: Request) -> Recipe:
    recipe = replace(
        search,
        batch=request.finetune_batch,
        drop_every=FINETUNE_DROP_EVERY,
        augmentation=AUGMENTATIONS[request.finetune_augmentation],
    )
    return modern(recipe) if request.finetune_schedule == "modern" else recipe


def open_job(request: Request, stages: Stages) -> Job:
    """Reads profile and data. Raises InputError of the room concerned."""
    from kws.labels import parse_labels
    from tools.places import open_estimator, profile_store
    from tools.speech import load

    labels = parse_labels(request.labels)
    profile = profile_store().get(request.profile)
    return Job(request, profile, open_estimator(profile), load(request.data, labels, stages))


def create(job: Job, path: Path) -> StudyRecorder:
    """A new study at ``path`` for this job."""
    request = job.request
    bounds = Bounds(
        filters=request.max_filters,
        first_kernel=request.first_kernel,
        later_kernel=request.later_kernel,
    )
    tuned = bool(request.tuning)
    space = make_space(
        bounds,
        filters_low=request.filters_step,
        filters_step=request.filters_step,
        tuning=tuning_parameters(request) if tuned else (),
    )
    start = start_of(space, tuning_start(request) if tuned else None)
    task = job.speech_task(models_dir(path), None).task(job.costs())
    return create_study(
        path,
        space=space,
        objectives=task.objectives,
        settings=_settings(request),
        constraints=task.constraints,
        start=start,
        metadata={
            "format": FORMAT,
            "request": asdict(request),
            "code": code_version(),
            "profile_digest": job.profile.digest,
            "data_digest": job.data.digest,
            "data": _data_facts(job.data),
        },
    )


def resume(
    path: Path, stages: Stages, *, accept_changes: bool = False
) -> tuple[Job, StudyRecorder]:
    """The job of the study at ``path``, open for writing.

    Raises InputError where it could not be continued faithfully: other data, other code, or a
    profile that was calibrated anew. With ``accept_changes`` it goes on with other code, and with
    the new calibration, by which the latencies of all trials are then predicted again.
    """
    recorder = StudyRecorder.open(path)
    try:
        request = request_of(recorder)
        job = open_job(request, stages)
        _check_same(recorder, job, accept_changes=accept_changes)
    except BaseException:
        recorder.close()
        raise
    return job, recorder


def run_job(
    job: Job,
    recorder: StudyRecorder,
    execution: Execution,
    *,
    on_event: OnEvent,
) -> Outcome:
    """Searches and fine-tunes until the study is done."""
    threads = execution.threads(job.request.threads)
    make_task = job.speech_task(models_dir(recorder.path), threads)
    task = make_task.task(job.costs())
    if execution.executor == "ray":
        make_task = make_task.carrying_sound()
    with execution.open(task, make_task, threads) as executor:
        return run(recorder, task, executor=executor, on_event=on_event)


def models_dir(study: Path) -> Path:
    """Where the fine-tuned models of a study are saved."""
    return study.with_name(f"{study.name}.models")


def request_of(study: Study) -> Request:
    """What the study was asked for. Raises InputError where another program made it."""
    metadata = study.metadata
    if metadata.get("format") not in _READABLE:
        raise InputError(
            f"study {study.path} is not of this command's making (format "
            f"{metadata.get('format')}, here {FORMAT}); start a new one at another path"
        )
    values = dict(metadata["request"])
    values.pop("time_shift_frames", None)
    for name in ("first_kernel", "later_kernel"):
        values[name] = tuple(values[name])
    return Request(**values)


def networks_of(study: Study) -> Callable[[Architecture], Network]:
    """Makes networks of the study's architectures, with as many outputs as it has labels."""
    words = study.metadata["data"]["words"]
    return functools.partial(to_network, classes=len(words))


def _data_facts(data: FeatureSet) -> dict[str, Any]:
    """What a report says of the data."""
    origin = data.origin.get("synthesiser")
    return {
        "origin": f"generated speech ({origin})" if origin else "recorded speech",
        "words": list(data.words),
        "clips": {split: len(part.labels) for split, part in data.splits.items()},
        "left_out": len(data.left_out),
    }


def _check_same(recorder: StudyRecorder, job: Job, *, accept_changes: bool) -> None:
    path, metadata = recorder.path, recorder.metadata
    start_new = "start a new study at another path"
    if metadata["data_digest"] != job.data.digest:
        raise InputError(
            f"the data at '{job.request.data}' has changed since study {path} began; "
            f"bring it back, or {start_new}"
        )
    accept = f"go on all the same: ponas search --resume --accept-changes --study {path}"
    if metadata["profile_digest"] != job.profile.digest:
        if not accept_changes:
            raise InputError(
                f"profile '{job.profile.name}' was calibrated anew since study {path} began, so "
                f"its latencies cannot be compared; {start_new}, or have all of them predicted "
                f"again and {accept}"
            )
        _predict_again(recorder, job)
    changed = code_changes(metadata.get("code", {}), code_version())
    if changed:
        if not accept_changes:
            raise InputError(
                f"study {path} was begun with other code ({changed}), so what it finds from here "
                f"on is not what it would have found; {accept}, or {start_new}"
            )
        recorder.change_metadata({"code": code_version()})


def _predict_again(recorder: StudyRecorder, job: Job) -> None:
    """All latencies by the profile as it is calibrated now; measured ones are dropped."""
    for objective in job.costs():
        context = untrained(recorder.directory(0))
        values = {
            trial.number: objective.evaluate(trial.parameters, context)
            for trial in recorder.trials()
            if objective.name in trial.values
        }
        recorder.revalue(objective.spec, values)
    recorder.annotate(MEASURED, {})
    recorder.change_metadata({"profile_digest": job.profile.digest})


RUNGS = (0.25, 0.5)
"""Shares of a training after which it may end early: each doubles what was spent, as in successive
halving; before a quarter the errors of short trainings say little."""


def _settings(request: Request) -> Settings:
    candidates = request.candidates
    return Settings(
        seed=request.seed,
        pool=request.pool,
        rungs=RUNGS if request.early_stopping else (),
        tuning=TUNING if request.tuning else (),
        tuning_trials=max(1, request.tuning),
        initial_trials=request.initial or max(1, candidates // 2),
        refine_trials=request.refine or max(1, candidates // 8),
        startup_trials=max(2, min(10, candidates // 4)),
        freeze_per_phase=request.freeze,
        freeze_always=request.freeze_always,
        growth=request.grow,
        max_trials=candidates,
        minutes=request.minutes,
        phase_minutes=request.phase_minutes,
        finetune_minutes=request.finetune_minutes,
        budgets=({"iterations": request.iterations},),
        finetune_budget={"iterations": request.finetune_iterations},
    )


def extend(recorder: StudyRecorder, *, candidates: int | None, minutes: float | None) -> None:
    """Gives a study more candidates or time, where a resume asks for it."""
    changes: dict[str, int | float | None] = {}
    if candidates is not None:
        changes["max_trials"] = candidates
    if minutes is not None:
        changes["minutes"] = minutes
    if changes:
        recorder.extend(**changes)
