"""The page's tables and headline numbers as ready text; columns without any value are left out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tools.page_data import Calibration, Candidate, Device, Study, Trial
from tools.page_marks import (
    SEED_KEY,
    best_percent,
    error_percent,
    key,
    measured_ms,
    placed,
    predicted_ms,
    tuned_percent,
)
from tools.page_text import MISSING, count, finite, mflop, number, percent, signed_percent


@dataclass(frozen=True, kw_only=True)
class Row:
    """A candidate as a row of ready text."""

    key: str
    """What a click on it selects; empty where there is nothing to select."""

    head: str
    """What it is called: ``trial 12``, ``seed``."""

    architecture: str
    """Its text form."""

    cells: tuple[str, ...]
    """One a column of the table."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """Candidates side by side."""

    heads: tuple[str, ...]
    """Labels of the columns, with units."""

    rows: tuple[Row, ...]
    """One a candidate."""


@dataclass(frozen=True, kw_only=True)
class Fact:
    """A headline number."""

    label: str
    """What it is of."""

    value: str
    """The number, with its unit."""

    note: str = ""
    """What else is to be known of it."""


@dataclass(frozen=True)
class _Column:
    head: str
    cell: Callable[[Candidate], str]


def candidate_table(
    candidates: Sequence[Candidate], device: Device, *, selectable: bool = True
) -> Table:
    """Errors, latencies and operations of candidates.

    Those that can be selected are named ``trial 12`` or ``seed``; others are of other studies,
    and counted.
    """
    columns = [
        column
        for column in _columns(device)
        if any(column.cell(candidate) != MISSING for candidate in candidates)
    ]
    rows = tuple(
        Row(
            key=key(candidate) if selectable else "",
            head=_name(candidate) if selectable else str(place),
            architecture=candidate.architecture,
            cells=tuple(column.cell(candidate) for column in columns),
        )
        for place, candidate in enumerate(candidates, start=1)
    )
    return Table(heads=tuple(column.head for column in columns), rows=rows)


def front_table(study: Study) -> Table:
    """The front by predicted latency, the seed last."""
    members = sorted(
        (trial for trial in study.trials if trial.on_front),
        key=lambda trial: (predicted_ms(trial) or 0.0, trial.flops or 0, trial.number),
    )
    seeds = [study.seed_architecture] if study.seed_architecture is not None else []
    return candidate_table([*members, *seeds], study.device)


def trials_table(study: Study) -> Table:
    """All trials by number; phase and state come first."""
    plain = candidate_table(study.trials, study.device)
    rows = tuple(
        Row(
            key=row.key,
            head=str(trial.number),
            architecture=row.architecture,
            cells=(str(trial.phase + 1), _state(trial), *row.cells),
        )
        for row, trial in zip(plain.rows, study.trials, strict=True)
    )
    return Table(heads=("phase", "state", *plain.heads), rows=rows)


def study_facts(study: Study) -> tuple[Fact, ...]:
    """What a reader wants to know first of a search."""
    facts = [_trial_fact(study)]
    front = [trial for trial in study.trials if trial.on_front]
    facts.extend(_error_facts(front, study))
    fastest = min((t for t in front if predicted_ms(t)), key=_predicted, default=None)
    if fastest is not None:
        facts.append(
            Fact(
                label="Fastest on the front",
                value=f"{number(fastest.latency_ms)} ms",
                note=f"{_time_kind(study)}; {percent(_best_share(fastest))} % wrong",
            )
        )
    gain = _gain(front, study)
    return (*facts, gain) if gain is not None else tuple(facts)


def selection(candidate: Candidate, study: Study) -> dict[str, object]:
    """What the page shows of a candidate that is selected, as JSON."""
    table = candidate_table([candidate], study.device)
    facts = [
        [head, cell]
        for head, cell in zip(table.heads, table.rows[0].cells, strict=True)
        if cell != MISSING
    ]
    shown: dict[str, object] = {"head": _title(candidate), "architecture": candidate.architecture}
    if isinstance(candidate, Trial):
        facts = [["phase", str(candidate.phase + 1)], ["state", candidate.state], *facts]
        shown["curve"] = [[step, finite(value)] for step, value in candidate.curve]
        shown["failure"] = candidate.failure
    if candidate.latency_interval_ms is not None:
        low, high = candidate.latency_interval_ms
        facts.append(["80 % interval (ms)", f"{number(low)} to {number(high)}"])
    return shown | {"facts": facts, "kernels": _kernels(candidate)}


def selections(study: Study) -> dict[str, dict[str, object]]:
    """`selection` of every candidate, by key."""
    chosen = {key(trial): selection(trial, study) for trial in study.trials}
    if study.seed_architecture is not None:
        chosen[SEED_KEY] = selection(study.seed_architecture, study)
    return chosen


def _columns(device: Device) -> tuple[_Column, ...]:
    predicted = "predicted (ms)" if device.calibrated else "roofline, not calibrated (ms)"
    return (
        _Column("error, search (%)", lambda c: percent(c.error)),
        _Column("error, fine-tuned (%)", lambda c: percent(c.tuned_error)),
        _Column("test error (%)", lambda c: percent(c.test_error)),
        _Column(predicted, lambda c: number(c.latency_ms)),
        _Column("measured (ms)", lambda c: number(c.measured_ms)),
        _Column("operations (MFLOP)", lambda c: mflop(c.flops)),
    )


def _kernels(candidate: Candidate) -> list[dict[str, object]]:
    total = sum(finite(kernel.predicted_us) or 0.0 for kernel in candidate.kernels)
    return [
        {
            "title": kernel.title,
            "schedule": kernel.schedule,
            "predicted": number(kernel.predicted_us),
            "measured": number(kernel.measured_us),
            "roofline": number(kernel.roofline_us),
            "share": (finite(kernel.predicted_us) or 0.0) / total if total > 0 else 0.0,
        }
        for kernel in candidate.kernels
    ]


def _name(candidate: Candidate) -> str:
    return f"trial {candidate.number}" if isinstance(candidate, Trial) else "seed"


def _title(candidate: Candidate) -> str:
    if not isinstance(candidate, Trial):
        return "Seed architecture"
    return f"Trial {candidate.number}{', on the front' if candidate.on_front else ''}"


def _state(trial: Trial) -> str:
    state = "on the front" if trial.on_front else trial.state
    told = trial.failure or trial.stopped
    return f"{state}: {told}" if told else state


def _trial_fact(study: Study) -> Fact:
    states = [
        f"{how_many} {name}"
        for name in ("finished", "stopped", "infeasible", "failed", "running")
        if (how_many := sum(trial.state == name for trial in study.trials))
    ]
    phases = count(len(study.phases), "phase")
    return Fact(
        label="Trials", value=f"{len(study.trials):,}", note=f"{phases}: {', '.join(states)}"
    )


def _error_facts(front: Sequence[Trial], study: Study) -> list[Fact]:
    best = min((t for t in front if _best_share(t) is not None), key=_share, default=None)
    if best is None:
        return []
    stage = "after the search" if finite(best.tuned_error) is None else "after fine-tuning"
    clips = study.data.validation_clips
    of = f" of {count(clips, 'validation clip')}" if clips else ""
    note = f"wrong{of}, {stage}"
    if finite(best.test_error) is not None:
        tests = study.data.test_clips
        note += f"; {percent(best.test_error)} % of {f'{tests:,} ' if tests else ''}test clips"
    value = f"{percent(_best_share(best))} %"
    return [Fact(label="Most accurate on the front", value=value, note=note)]


def _gain(front: Sequence[Trial], study: Study) -> Fact | None:
    """How much faster than the seed is the fastest member that errs no more.

    Errors of one stage are compared, and times of one kind: both fine-tuned or neither, both
    measured or neither.
    """
    seed = study.seed_architecture
    if seed is None:
        return None
    stage = error_percent if tuned_percent(seed) is None else tuned_percent
    place = predicted_ms if measured_ms(seed) is None else measured_ms
    seed_error, seed_ms = stage(seed), place(seed)
    rivals = [
        (place(trial) or 0.0, trial)
        for trial in placed(front, stage, place)
        if trial.architecture != seed.architecture
        and seed_error is not None
        and (stage(trial) or 0.0) <= seed_error
    ]
    if not seed_ms or not rivals:
        return None
    time, trial = min(rivals, key=lambda pair: (pair[0], pair[1].number))
    kind = _time_kind(study) if place is predicted_ms else "measured"
    trained = "after the search" if stage is error_percent else "fine-tuned"
    return Fact(
        label="Against the seed, at no larger error",
        value=f"{number(seed_ms / time, 2)} × as fast",
        note=f"{number(time)} ms for {number(seed_ms)} ms, {kind}; both {trained} "
        f"(trial {trial.number})",
    )


def _time_kind(study: Study) -> str:
    return "predicted" if study.device.calibrated else "roofline estimate, not calibrated"


def _best_share(candidate: Candidate) -> float | None:
    best = best_percent(candidate)
    return None if best is None else best / 100


def _share(candidate: Candidate) -> float:
    best = _best_share(candidate)
    return 1.0 if best is None else best


def _predicted(candidate: Candidate) -> float:
    return predicted_ms(candidate) or 0.0


def held_out_rows(calibration: Calibration) -> tuple[tuple[str, ...], ...]:
    """Name, predicted and measured ms, and how far off, of held-out networks; the worst first."""
    worst = sorted(calibration.held_out, key=lambda held: -abs(held.off or 0.0))
    return tuple(
        (held.name, number(held.predicted_ms), number(held.measured_ms), signed_percent(held.off))
        for held in worst
    )
