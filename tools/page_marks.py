"""A candidate as a mark in a plot: where it stands, what hovering says, what a click selects."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from tools.page_data import Candidate, Device, Study, Trial
from tools.page_text import architecture_lines, finite, mflop, percent, quantity

SEED_KEY = "seed"
"""What a click on the seed selects; on a trial it is the trial's number."""

AnyCandidate = TypeVar("AnyCandidate", bound=Candidate)

Place = Callable[[Candidate], float | None]
"""A coordinate of a candidate, None where it has none."""


def error_percent(candidate: Candidate) -> float | None:
    """Clips wrong after the search's training, in percent."""
    return _percent(candidate.error)


def tuned_percent(candidate: Candidate) -> float | None:
    """Clips wrong after fine-tuning, in percent."""
    return _percent(candidate.tuned_error)


def best_percent(candidate: Candidate) -> float | None:
    """Clips wrong after fine-tuning where there was one, else after the search, in percent."""
    tuned = tuned_percent(candidate)
    return tuned if tuned is not None else error_percent(candidate)


def predicted_ms(candidate: Candidate) -> float | None:
    """Predicted latency."""
    return finite(candidate.latency_ms)


def measured_ms(candidate: Candidate) -> float | None:
    """Measured latency."""
    return finite(candidate.measured_ms)


def best_known_ms(candidate: Candidate) -> float | None:
    """Measured latency where there is one, else predicted."""
    measured = measured_ms(candidate)
    return measured if measured is not None else predicted_ms(candidate)


def operations_m(candidate: Candidate) -> float | None:
    """Operations in millions."""
    return None if candidate.flops is None else candidate.flops / 1e6


def trial_number(candidate: Candidate) -> float | None:
    """The number of a trial."""
    return candidate.number if isinstance(candidate, Trial) else None


def placed(candidates: Sequence[AnyCandidate], *places: Place) -> list[AnyCandidate]:
    """Those candidates that have all these coordinates."""
    return [c for c in candidates if all(place(c) is not None for place in places)]


def marks(
    name: str,
    candidates: Sequence[Candidate],
    x: Place,
    y: Place,
    device: Device,
    **marker: Any,  # noqa: ANN401  # plotly's own marker settings
) -> dict[str, Any]:
    """A scatter trace of candidates that have both coordinates."""
    drawn = placed(candidates, x, y)
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": [x(c) for c in drawn],
        "y": [y(c) for c in drawn],
        "showlegend": bool(drawn),
        "hoverinfo": "text",
        "hovertext": [hover(c, device) for c in drawn],
        "customdata": [key(c) for c in drawn],
        "marker": {"size": 8, "line": {"width": 0}, **marker},
    }


def key(candidate: Candidate) -> str:
    """What a click on it selects."""
    return str(candidate.number) if isinstance(candidate, Trial) else SEED_KEY


def hover(candidate: Candidate, device: Device, head: str | None = None) -> str:
    """What hovering over a candidate says, in plotly's markup; ``head`` is taken as markup."""
    lines = [head or _head(candidate), architecture_lines(candidate.architecture)]
    if finite(candidate.error) is not None:
        lines.append(f"error {percent(candidate.error)} % after the search")
    if finite(candidate.tuned_error) is not None:
        lines.append(f"error {percent(candidate.tuned_error)} % after fine-tuning")
    if finite(candidate.latency_ms) is not None:
        kind = "predicted" if device.calibrated else "roofline estimate"
        lines.append(f"{kind} {quantity(candidate.latency_ms, 'ms')}")
    if finite(candidate.measured_ms) is not None:
        lines.append(f"measured {quantity(candidate.measured_ms, 'ms')}")
    if candidate.flops is not None:
        lines.append(f"{mflop(candidate.flops)} MFLOP")
    return "<br>".join(lines)


def cost_place(study: Study) -> Place:
    """The cost that the study minimised beside the error."""
    return predicted_ms if study.cost == "latency" else operations_m


def _head(candidate: Candidate) -> str:
    if not isinstance(candidate, Trial):
        return "<b>seed architecture</b>"
    state = "" if candidate.state == "finished" else f", {candidate.state}"
    front = ", on the front" if candidate.on_front else ""
    return f"<b>trial {candidate.number}</b>, phase {candidate.phase + 1}{front}{state}"


def _percent(share: float | None) -> float | None:
    share = finite(share)
    return None if share is None else 100 * share
