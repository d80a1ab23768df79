"""From a study, a profile or a comparison to the data of a page, and the page to a file."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from boltons.fileutils import atomic_save

from costmodel.estimate import Estimate, Estimator
from costmodel.profile import Profile
from kws.architecture import to_network
from search.study import Study, Trial
from tools import page_data as page
from tools.calibration import card_line
from tools.comparison import Point
from tools.front import Member, members, seed_member
from tools.job import MEASURED, Request, request_of
from tools.task import ERROR, architecture_of


def write_study_page(study: Study, estimator: Estimator, path: Path) -> None:
    """Writes the page of a study, whole or not at all."""
    profile = estimator.profile
    data = page.Page(
        title=f"Search for {profile.name}",
        made=_made(),
        study=_study(study, estimator),
        calibration=_calibration(profile),
    )
    _write(data, path)


def write_comparison_page(
    paths: Mapping[str, Sequence[Path]],
    fronts: Mapping[str, Sequence[Point]],
    result: Mapping[str, Any],
    profile: Profile,
    path: Path,
) -> None:
    """Writes the page of a comparison of objectives on one device."""
    seeds = {_seed(study) for studies in paths.values() for study in studies}
    reference = result.get("reference", {})
    data = page.Page(
        title=f"Operations or latency: two searches for {profile.name}",
        made=_made(),
        calibration=_calibration(profile),
        comparison=page.Comparison(
            device=_device(profile),
            seeds=tuple(sorted(seeds)),
            fronts=tuple(
                page.ComparedFront(
                    name=name,
                    candidates=tuple(_compared(point) for point in points),
                    hypervolume=result["hypervolume"].get(name),
                )
                for name, points in fronts.items()
            ),
            ranks=_ranks(result["rank"]["all"]),
            equal_accuracy=tuple(
                page.EqualAccuracy(
                    error=row["error"], latency_ms=tuple(row[name] for name in fronts)
                )
                for row in result["latency_at_equal_accuracy"]
            ),
            hypervolume_note=(
                "Share of the box from zero to an error of "
                f"{reference.get('error', 0):.1%} and {reference.get('measured_ms', 0):.3f} ms"
            ),
        ),
    )
    _write(data, path)


def _write(data: page.Page, path: Path) -> None:
    from tools.page import render

    text = render(data)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_save(str(path)) as file:
        file.write(text.encode())


def _made() -> str:
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
    return f"{now}, ponas {version('ponas')}"


def _study(study: Study, estimator: Estimator) -> page.Study:
    request = request_of(study)
    trials = study.trials()
    front = {member.trial: member for member in members(study, estimator)}
    measured: Mapping[str, float] = study.annotation(MEASURED) or {}
    started = trials[0].started if trials else _made()
    return page.Study(
        created=started[:16].replace("T", " ") + " UTC",
        objectives=tuple(
            page.Objective(name=o.name, unit=o.unit, origin=o.origin) for o in study.objectives
        ),
        cost="operations" if request.objective == "flops" else "latency",
        device=_device(estimator.profile),
        data=_data(study, request),
        trials=tuple(_trial(study, trial, front, measured, estimator) for trial in trials),
        phases=tuple(
            page.Phase(
                number=phase.number,
                trials=phase.trials,
                planned=phase.planned,
                frozen=tuple(
                    page.Frozen(
                        parameter=f.parameter, value=str(f.value), share=f.share, margin=f.margin
                    )
                    for f in phase.frozen
                ),
            )
            for phase in study.phases()
        ),
        seed=request.seed,
        seed_architecture=_candidate(seed_member(study, estimator)),
        settings=_settings(request),
        commands=(
            page.Command(
                purpose="go on with this search",
                line=f"ponas search --resume --study {study.path}",
            ),
            page.Command(
                purpose="time its front on the device again",
                line=f"ponas measure {study.path}",
            ),
        ),
    )


def _trial(
    study: Study,
    trial: Trial,
    front: Mapping[int | None, Member],
    measured: Mapping[str, float],
    estimator: Estimator,
) -> page.Trial:
    architecture = architecture_of(trial.parameters)
    member = front.get(trial.number)
    estimate = member.estimate if member else estimator.estimate(to_network(architecture))
    common = _fields(str(architecture), estimate, with_kernels=member is not None)
    return page.Trial(
        **common,
        number=trial.number,
        phase=trial.phase,
        state=trial.state,
        on_front=member is not None,
        error=trial.values.get(ERROR),
        tuned_error=member.error if member and member.test_error is not None else None,
        test_error=member.test_error if member else None,
        measured_ms=measured.get(str(architecture)),
        curve=tuple(study.curve(trial.number)),
        failure=trial.error,
    )


def _candidate(member: Member) -> page.Candidate:
    return page.Candidate(
        **_fields(member.architecture, member.estimate, with_kernels=True),
        error=member.search_error,
        tuned_error=member.error if member.test_error is not None else None,
        test_error=member.test_error,
        measured_ms=member.measured_ms,
    )


def _fields(architecture: str, estimate: Estimate, *, with_kernels: bool) -> dict[str, Any]:
    kernels = tuple(
        page.Kernel(
            title=prediction.kernel.title,
            schedule=str(prediction.schedule),
            predicted_us=prediction.seconds * 1e6,
            roofline_us=prediction.roofline_seconds * 1e6,
        )
        for prediction in estimate.kernels
    )
    return {
        "architecture": architecture,
        "latency_ms": estimate.latency_ms,
        "latency_interval_ms": estimate.latency_interval_ms,
        "flops": estimate.flops_table2,
        "kernels": kernels if with_kernels else (),
    }


def _compared(point: Point) -> page.Candidate:
    return page.Candidate(
        architecture=point.architecture,
        error=point.search_error,
        tuned_error=point.error if point.tuned else None,
        latency_ms=point.predicted_ms,
        measured_ms=point.measured_ms,
        flops=point.flops,
    )


def _ranks(rank: Mapping[str, Any]) -> tuple[page.RankCorrelation, ...]:
    return tuple(
        page.RankCorrelation(
            of=f"{what} against measured latency",
            spearman=rank[what]["spearman"],
            kendall=rank[what]["kendall"],
            networks=rank["n"],
        )
        for what in ("operations", "predicted")
        if what in rank
    )


def _device(profile: Profile) -> page.Device:
    return page.Device(
        name=profile.name,
        description=profile.file.description,
        calibrated=profile.calibration() is not None,
        origin=card_line(profile),
    )


def _calibration(profile: Profile) -> page.Calibration | None:
    facts = profile.calibration()
    if facts is None:
        return None
    card = facts.error
    return page.Calibration(
        device=_device(profile),
        kernels=facts.kernels,
        minutes=facts.minutes,
        space=facts.space,
        mape=card.mape,
        within_5=card.within_5,
        within_10=card.within_10,
        interval=card.interval,
        networks=card.networks,
        split=card.split,
        bias=card.bias,
        held_out=tuple(
            page.HeldOut(name=name, predicted_ms=predicted, measured_ms=measured)
            for name, predicted, measured in facts.held_out
        ),
        failed=tuple(facts.failed),
    )


def _data(study: Study, request: Request) -> page.DataSet:
    facts = study.metadata["data"]
    return page.DataSet(
        name=Path(request.data).name,
        origin=facts["origin"],
        words=tuple(facts["words"]),
        training_clips=facts["clips"]["training"],
        validation_clips=facts["clips"]["validation"],
        test_clips=facts["clips"]["testing"],
    )


SHOWN = {
    "candidates": "candidates",
    "iterations": "training iterations a candidate",
    "finetune_iterations": "fine-tuning iterations",
    "batch": "clips an iteration",
    "finetune_batch": "clips an iteration of fine-tuning",
    "learning_rate": "learning rate",
    "max_filters": "most filters of a unit",
    "filters_step": "step of filters",
    "first_kernel": "largest first kernel",
    "later_kernel": "largest later kernel",
    "freeze": "parameters frozen a phase",
    "max_latency_ms": "latency bound, ms",
    "device": "trained on",
    "threads": "training threads",
}


def _settings(request: Request) -> tuple[tuple[str, str], ...]:
    def text(value: object) -> str:
        return "x".join(map(str, value)) if isinstance(value, tuple) else str(value)

    values = vars(request)
    return tuple(
        (label, text(values[name])) for name, label in SHOWN.items() if values[name] is not None
    )


def _seed(path: Path) -> int:
    with Study.open(path) as study:
        return request_of(study).seed
