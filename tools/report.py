"""From a study or a profile to the data of a page, and the page to a file."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from boltons.fileutils import atomic_save

from costmodel.estimate import Estimate, Estimator
from costmodel.predictor import Prediction
from costmodel.profile import Profile
from costmodel.runners.contract import KernelJob
from search.study import Phase, Study, Trial
from tools import page_data as page
from tools.calibration import card_line
from tools.front import Member, members, seed_member
from tools.job import MEASURED, MEASURED_KERNELS, Request, networks_of, request_of
from tools.task import ERROR, architecture_of


def write_study_page(study: Study, estimator: Estimator, path: Path) -> None:
    """Writes the page of a study, whole or not at all."""
    write_page(study_page(study, estimator), path)


def study_page(study: Study, estimator: Estimator) -> page.Page:
    """What the page of a study shows."""
    profile = estimator.profile
    return page.Page(
        title=f"Search for {profile.name}",
        made=made(),
        study=_study(study, estimator),
        calibration=calibration_of(profile),
    )


def calibration_page(profile: Profile) -> page.Page:
    """What the page of a calibrated profile shows."""
    name = profile.name
    return page.Page(
        title=f"Calibration of {name}",
        made=made(),
        calibration=calibration_of(
            profile,
            page.Command(
                purpose="predict a network's latency, kernel by kernel",
                line=f"ponas estimate kws7 --profile {name}",
            ),
            page.Command(purpose="search a network for it", line=f"ponas search --profile {name}"),
        ),
    )


def write_page(data: page.Page, path: Path) -> None:
    """Writes a page, whole or not at all."""
    from tools.page import render

    text = render(data)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_save(str(path), overwrite_part=True) as file:
        file.write(text.encode())


def made() -> str:
    """When and by which version a page is made."""
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
    return f"{now}, ponas {version('ponas')}"


def _study(study: Study, estimator: Estimator) -> page.Study:
    request = request_of(study)
    trials = study.trials()
    front = {member.trial: member for member in members(study, estimator)}
    measured: Mapping[str, float] = study.annotation(MEASURED) or {}
    kernels: Mapping[str, float] = study.annotation(MEASURED_KERNELS) or {}
    started = trials[0].started if trials else made()
    rungs = study.rungs()
    return page.Study(
        created=started[:16].replace("T", " ") + " UTC",
        objectives=tuple(
            page.Objective(name=o.name, unit=o.unit, origin=o.origin) for o in study.objectives
        ),
        cost="operations" if request.objective == "flops" else "latency",
        device=device_of(estimator.profile),
        data=_data(study, request),
        trials=tuple(
            _trial(study, trial, front, measured, kernels, estimator, rungs.get(trial.number, {}))
            for trial in trials
        ),
        phases=tuple(_phase(phase) for phase in study.phases()),
        seed=request.seed,
        seed_architecture=_candidate(seed_member(study, estimator), kernels),
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


def _phase(phase: Phase) -> page.Phase:
    reasons = {judged.parameter: judged.reason for judged in phase.report}
    closest = phase.report[0] if phase.report else None
    return page.Phase(
        number=phase.number,
        trials=phase.trials,
        planned=phase.planned,
        frozen=tuple(
            page.Frozen(
                parameter=f.parameter,
                value=str(f.value),
                share=f.share,
                margin=f.margin,
                reason=reasons.get(f.parameter, ""),
            )
            for f in phase.frozen
        ),
        tuned=phase.kind == "tuning",
        unfrozen=f"{closest.parameter} = {closest.value}, {closest.reason}" if closest else "",
    )


def _trial(
    study: Study,
    trial: Trial,
    front: Mapping[int | None, Member],
    measured: Mapping[str, float],
    kernels: Mapping[str, float],
    estimator: Estimator,
    rungs: Mapping[float, float],
) -> page.Trial:
    architecture = architecture_of(trial.parameters)
    member = front.get(trial.number)
    estimate = member.estimate if member else estimator.estimate(networks_of(study)(architecture))
    common = _fields(str(architecture), estimate, kernels if member is not None else None)
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
        stopped=_stopped(rungs) if trial.state == "stopped" else None,
    )


def _stopped(rungs: Mapping[float, float]) -> str:
    share = max(rungs, default=0.0)
    return f"after {share:.0%} of its training, {rungs[share]:.1%} wrong" if rungs else ""


def _candidate(member: Member, kernels: Mapping[str, float]) -> page.Candidate:
    return page.Candidate(
        **_fields(member.architecture, member.estimate, kernels),
        error=member.search_error,
        tuned_error=member.error if member.test_error is not None else None,
        test_error=member.test_error,
        measured_ms=member.measured_ms,
    )


def _fields(
    architecture: str, estimate: Estimate, kernels: Mapping[str, float] | None
) -> dict[str, Any]:
    """``kernels``: measured microseconds by their jobs' keys; None shows none at all."""
    shown = (
        () if kernels is None else tuple(_kernel(p, estimate, kernels) for p in estimate.kernels)
    )
    return {
        "architecture": architecture,
        "latency_ms": estimate.latency_ms,
        "latency_interval_ms": estimate.latency_interval_ms,
        "flops": estimate.flops_table2,
        "kernels": shown,
    }


def _kernel(
    prediction: Prediction, estimate: Estimate, measured: Mapping[str, float]
) -> page.Kernel:
    job = KernelJob(prediction.kernel, prediction.schedule, estimate.program.target)
    return page.Kernel(
        title=prediction.kernel.title,
        schedule=str(prediction.schedule),
        predicted_us=prediction.seconds * 1e6,
        roofline_us=prediction.roofline_seconds * 1e6,
        measured_us=measured.get(job.key),
    )


def device_of(profile: Profile) -> page.Device:
    """What a page says of the device."""
    return page.Device(
        name=profile.name,
        description=profile.file.description,
        calibrated=profile.calibration() is not None,
        origin=card_line(profile),
    )


def calibration_of(profile: Profile, *commands: page.Command) -> page.Calibration | None:
    """The calibration of a profile, with what to do next; None where there is none."""
    facts = profile.calibration()
    if facts is None:
        return None
    card = facts.error
    return page.Calibration(
        device=device_of(profile),
        kernels=facts.kernels,
        minutes=facts.minutes,
        space=facts.space,
        mape=card.mape,
        within_5=card.within_5,
        within_10=card.within_10,
        interval=card.interval,
        networks=card.networks,
        of=card.of,
        split=card.split,
        bias=card.bias,
        held_out=tuple(
            page.HeldOut(name=name, predicted_ms=predicted, measured_ms=measured)
            for name, predicted, measured in facts.held_out
        ),
        failed=tuple(facts.failed),
        origin=f"{facts.measured_at[:10]}, {facts.origin}",
        commands=commands,
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
    "tuning": "candidates for the optimiser's settings",
    "pool": "suggestions a candidate is chosen from",
    "early_stopping": "trainings may end early",
    "grow": "growth of the iterations as the space shrinks",
    "max_latency_ms": "latency bound, ms",
    "device": "trained on",
    "threads": "training threads",
}


def _settings(request: Request) -> tuple[tuple[str, str], ...]:
    def text(value: object) -> str:
        if isinstance(value, bool):
            return "yes" if value else "no"
        return "x".join(map(str, value)) if isinstance(value, tuple) else str(value)

    values = vars(request)
    return tuple(
        (label, text(values[name])) for name, label in SHOWN.items() if values[name] is not None
    )
