"""The result of a search as rows: predicted, measured and fine-tuned figures of the front."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from costmodel.estimate import Estimate, Estimator
from costmodel.measure import measure_networks, measure_parts
from costmodel.network import Network
from costmodel.profile import Profile
from costmodel.program import Program
from kws.architecture import SEED, Architecture
from search.recorder import StudyRecorder
from search.study import FineTuned, Study, Trial
from tools.job import MEASURED, MEASURED_KERNELS, networks_of
from tools.places import open_runner
from tools.task import ERROR, architecture_of


@dataclass(frozen=True, kw_only=True)
class Member:
    """A Pareto-optimal architecture (or the seed, for comparison)."""

    architecture: str
    trial: int | None
    """None for the seed where the search did not train it."""
    search_error: float | None
    """Share of validation clips wrong after the search's training budget."""
    error: float | None
    """The same after fine-tuning, where there was one, else `search_error`."""
    test_error: float | None
    """Share of test clips wrong after fine-tuning."""
    latency_ms: float
    """Predicted."""
    measured_ms: float | None
    flops: int
    """Equation 1."""
    flops_table2: int
    estimate: Estimate

    def json(self) -> dict[str, object]:
        """The member as `ponas search --json` gives it."""
        names = (
            "architecture", "trial", "search_error", "error", "test_error", "latency_ms",
            "measured_ms", "flops", "flops_table2",
        )  # fmt: skip
        return {name: getattr(self, name) for name in names}


def members(study: Study, estimator: Estimator) -> tuple[Member, ...]:
    """The front's members by latency, with what the study knows of each."""
    tuned = {each.trial: each for each in study.finetuned() if each.state == "finished"}
    measured: Mapping[str, float] = study.annotation(MEASURED) or {}
    network = networks_of(study)
    rows = [
        _member(
            trial,
            tuned.get(trial.number),
            measured,
            estimator.estimate(network(architecture_of(trial.parameters))),
        )
        for trial in study.front()
    ]
    return tuple(sorted(rows, key=lambda row: row.latency_ms))


def seed_member(study: Study, estimator: Estimator) -> Member:
    """The seed architecture, with its figures where the search tried it."""
    measured: Mapping[str, float] = study.annotation(MEASURED) or {}
    tried = [
        t for t in study.trials()
        if t.state == "finished" and architecture_of(t.parameters) == SEED
    ]  # fmt: skip
    estimate = estimator.estimate(networks_of(study)(SEED))
    if tried:
        tuned = {each.trial: each for each in study.finetuned() if each.state == "finished"}
        return _member(tried[0], tuned.get(tried[0].number), measured, estimate)
    return _row(SEED, None, None, None, measured, estimate)


def measure_front(study: StudyRecorder, estimator: Estimator, profile: Profile) -> None:
    """Times the front and the seed on the device in one run, and keeps the times in the study."""
    programs = _programs(networks_to_time(study), estimator)
    with open_runner(profile) as runner:
        study.annotate(MEASURED, measure_networks(programs, runner, profile.protocol))
        study.annotate(MEASURED_KERNELS, measure_parts(programs, runner, profile.protocol))


def networks_to_time(study: Study) -> dict[str, Network]:
    """The seed and the front's members by name."""
    network = networks_of(study)
    front = (architecture_of(trial.parameters) for trial in study.front())
    return {str(architecture): network(architecture) for architecture in (SEED, *front)}


def measure_on_device(
    networks: Mapping[str, Network], estimator: Estimator, profile: Profile
) -> dict[str, float]:
    """Milliseconds of one inference by name, all in one run of the runner."""
    programs = _programs(networks, estimator)
    with open_runner(profile) as runner:
        return measure_networks(programs, runner, profile.protocol)


def _programs(networks: Mapping[str, Network], estimator: Estimator) -> dict[str, Program]:
    return {name: estimator.estimate(network).program for name, network in networks.items()}


def _member(
    trial: Trial,
    tuned: FineTuned | None,
    measured: Mapping[str, float],
    estimate: Estimate,
) -> Member:
    architecture = architecture_of(trial.parameters)
    return _row(architecture, trial, trial.values[ERROR], tuned, measured, estimate)


def _row(
    architecture: Architecture,
    trial: Trial | None,
    error: float | None,
    tuned: FineTuned | None,
    measured: Mapping[str, float],
    estimate: Estimate,
) -> Member:
    values = tuned.values if tuned is not None else {}
    return Member(
        architecture=str(architecture),
        trial=trial.number if trial is not None else None,
        search_error=error,
        error=values.get("error", error),
        test_error=values.get("test_error"),
        latency_ms=estimate.latency_ms,
        measured_ms=measured.get(str(architecture)),
        flops=estimate.flops,
        flops_table2=estimate.flops_table2,
        estimate=estimate,
    )
