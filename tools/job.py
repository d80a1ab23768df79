"""One search from beginning to end: what was asked for, and how it is started and resumed."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kws.architecture import Bounds
from kws.errors import InputError
from search.algorithm import Outcome, run
from search.creation import create_study
from search.events import OnEvent
from search.objective import Constraint, Objective
from search.recorder import StudyRecorder
from search.settings import Settings
from search.study import Study
from tools.console import Stages
from tools.task import (
    Training,
    error_objective,
    finetuning,
    flops_objective,
    latency_name,
    latency_objective,
    make_space,
    start_of,
)

if TYPE_CHECKING:
    from costmodel.estimate import Estimator
    from costmodel.profile import Profile
    from kws.features import FeatureSet
    from kws.training import TrainingSettings

MEASURED = "measured_ms"
"""Annotation of a study: architecture -> milliseconds on the device, the seed's included."""
FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a person asks of a search."""

    profile: str
    """Device by name."""
    objective: str
    """``latency`` or ``flops``: the cost beside the error."""
    data: str
    """Folder or archive in the Speech Commands layout, or ``generated``."""
    candidates: int
    """Candidates trained in all phases together."""
    initial: int | None = None
    """Of these in the initial phase; None is half of them."""
    refine: int | None = None
    """In each refined phase; None is an eighth of them."""
    freeze: int = 1
    """Parameters frozen after each phase."""
    minutes: float | None = None
    """Wall-clock limit of the phases; None sets none."""
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
    """CPU threads that train; None is every core."""
    bfloat16: bool = False
    """Whether convolutions train in bfloat16."""
    time_shift_frames: int = 0
    """Augmentation: clips are shifted by up to this many frames."""


@dataclass(frozen=True)
class Job:
    """A search with everything it needs in memory."""

    request: Request
    profile: Profile
    estimator: Estimator
    data: FeatureSet

    def objectives(self, training: Training) -> list[Objective]:
        """Error and cost; the predicted latency too where a bound on it is asked for."""
        cost = (
            flops_objective()
            if self.request.objective == "flops"
            else latency_objective(self.estimator)
        )
        return [error_objective(training), cost]


def open_job(request: Request, stages: Stages) -> Job:
    """Reads profile and data. Raises InputError of the room concerned."""
    from kws.words import KEYWORDS
    from tools.places import open_estimator, profile_store
    from tools.speech import load

    profile = profile_store().get(request.profile)
    return Job(request, profile, open_estimator(profile), load(request.data, KEYWORDS, stages))


def create(job: Job, path: Path) -> StudyRecorder:
    """A new study at ``path`` for this job."""
    request = job.request
    bounds = Bounds(
        filters=request.max_filters,
        first_kernel=request.first_kernel,
        later_kernel=request.later_kernel,
    )
    space = make_space(bounds, filters_low=request.filters_step, filters_step=request.filters_step)
    constraints = []
    if request.max_latency_ms is not None:
        if request.objective != "latency":
            raise InputError("--max-latency-ms needs --objective latency")
        constraints = [Constraint(latency_name(request.profile), request.max_latency_ms)]
    return create_study(
        path,
        space=space,
        objectives=job.objectives(_training(job, _ignore)),
        settings=_settings(request),
        constraints=constraints,
        start=start_of(space),
        metadata={
            "format": FORMAT,
            "request": asdict(request),
            "profile_digest": job.profile.digest,
            "data_digest": job.data.digest,
            "data": _data_facts(job.data),
        },
    )


def resume(path: Path, stages: Stages, *, profile: str | None = None) -> tuple[Job, StudyRecorder]:
    """The job of the study at ``path``, open for writing.

    Raises InputError where it could not be continued faithfully: another profile or other data.
    """
    recorder = StudyRecorder.open(path)
    try:
        request = request_of(recorder)
        if profile is not None and profile != request.profile:
            raise InputError(
                f"study {path} searches for '{request.profile}', not '{profile}'; "
                "leave --profile out, or start a new study at another path"
            )
        job = open_job(request, stages)
        _check_same(path, recorder.metadata, job)
    except BaseException:
        recorder.close()
        raise
    return job, recorder


def run_job(
    job: Job,
    recorder: StudyRecorder,
    *,
    on_event: OnEvent,
    on_iteration: Callable[[int, int, int], None],
) -> Outcome:
    """Searches and fine-tunes until the study is done."""
    training = _training(job, on_iteration)
    finetune = None
    if job.request.finetune_iterations:
        finetune = finetuning(training, _finetune_settings(job.request), models_dir(recorder.path))
    return run(recorder, job.objectives(training), finetune=finetune, on_event=on_event)


def models_dir(study: Path) -> Path:
    """Where the fine-tuned models of a study are saved."""
    return study.with_name(f"{study.name}.models")


def request_of(study: Study) -> Request:
    """What the study was asked for. Raises InputError where another program made it."""
    metadata = study.metadata
    if metadata.get("format") != FORMAT:
        raise InputError(
            f"study {study.path} is not of this command's making (format "
            f"{metadata.get('format')}, here {FORMAT}); start a new one at another path"
        )
    values = dict(metadata["request"])
    for name in ("first_kernel", "later_kernel"):
        values[name] = tuple(values[name])
    return Request(**values)


def _data_facts(data: FeatureSet) -> dict[str, Any]:
    """What a report says of the data."""
    origin = data.origin.get("synthesiser")
    return {
        "origin": f"generated speech ({origin})" if origin else "recorded speech",
        "words": list(data.words),
        "clips": {split: len(part.labels) for split, part in data.splits.items()},
        "left_out": len(data.left_out),
    }


def _check_same(path: Path, metadata: Mapping[str, Any], job: Job) -> None:
    start_new = "start a new study at another path"
    if metadata["data_digest"] != job.data.digest:
        raise InputError(
            f"the data at '{job.request.data}' has changed since study {path} began; "
            f"bring it back, or {start_new}"
        )
    if metadata["profile_digest"] != job.profile.digest:
        raise InputError(
            f"profile '{job.profile.name}' was calibrated anew since study {path} began, so its "
            f"latencies cannot be compared; {start_new}"
        )


def _settings(request: Request) -> Settings:
    candidates = request.candidates
    return Settings(
        seed=request.seed,
        initial_trials=request.initial or max(1, candidates // 2),
        refine_trials=request.refine or max(1, candidates // 8),
        startup_trials=max(2, min(10, candidates // 4)),
        freeze_per_phase=request.freeze,
        max_trials=candidates,
        minutes=request.minutes,
        finetune_minutes=request.finetune_minutes,
        budgets=({"iterations": request.iterations},),
        finetune_budget={"iterations": request.finetune_iterations},
    )


def _training(job: Job, on_iteration: Callable[[int, int, int], None]) -> Training:
    from kws.augmentation import Augmentation
    from kws.training import TrainingSettings

    request = job.request
    settings = TrainingSettings(
        learning_rate=request.learning_rate,
        batch=request.batch,
        iterations=request.iterations,
        decay_iterations=max(1, round(DROP_AT * request.iterations)),
        evaluate_iterations=request.iterations,
        curve_iterations=max(1, request.iterations // 20),
        bfloat16=request.bfloat16,
        augmentation=Augmentation(time_shift_frames=request.time_shift_frames),
    )
    return Training(
        data=job.data,
        settings=settings,
        device=request.device,
        threads=request.threads or os.cpu_count(),
        on_iteration=on_iteration,
    )


DROP_AT = 0.7
"""Share of a candidate's iterations after which the rate drops, once: a search's short trainings
never reach the paper's 10,000, and end several points lower without a drop."""

FINETUNE_DROPS = 4
"""The paper's 40,000 iterations drop the rate every 10,000; shorter ones as often in all."""


def _finetune_settings(request: Request) -> TrainingSettings:
    from kws.augmentation import Augmentation
    from kws.training import TrainingSettings

    iterations = max(request.finetune_iterations, 1)
    return TrainingSettings(
        learning_rate=request.learning_rate,
        batch=request.finetune_batch,
        iterations=iterations,
        decay_iterations=max(1, iterations // FINETUNE_DROPS),
        evaluate_iterations=iterations,
        curve_iterations=max(1, iterations // 20),
        bfloat16=request.bfloat16,
        augmentation=Augmentation(time_shift_frames=request.time_shift_frames),
    )


def _ignore(number: int, done: int, total: int) -> None:
    del number, done, total


def extend(recorder: StudyRecorder, *, candidates: int | None, minutes: float | None) -> None:
    """Gives a study more candidates or time, where a resume asks for it."""
    changes: dict[str, int | float | None] = {}
    if candidates is not None:
        changes["max_trials"] = candidates
    if minutes is not None:
        changes["minutes"] = minutes
    if changes:
        recorder.extend(**changes)
