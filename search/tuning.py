"""The optimiser's parameters, frozen at the best that was found: step 2 of Algorithm 1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from search.freeze import Judged
from search.space import Space, Value


def judge_tuning(
    space: Space,
    names: Sequence[str],
    found: Sequence[tuple[tuple[float, ...], Mapping[str, Value]]],
) -> tuple[Judged, ...]:
    """The settings of ``names`` in the candidate of the least cost, to be frozen.

    Args:
        space: Says which of them are free still.
        names: The optimiser's parameters.
        found: What the candidates cost, trained objectives alone, and their settings; the rest of
            their settings is the same. Where there is none, nothing is frozen.

    """
    if not found:
        return ()
    best = min(range(len(found)), key=lambda i: (found[i][0], i))
    reason = f"of the candidate with the least error of {len(found)}"
    return tuple(
        Judged(
            parameter=each.name, value=found[best][1][each.name], count=1, front=1, runner_up=0,
            chance=None, frozen=True, reason=reason,
        )
        for each in space.free
        if each.name in names
    )  # fmt: skip
