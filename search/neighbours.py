"""Candidates that differ from others in one or a few settings."""

from __future__ import annotations

import numpy as np

from search.encoding import Codes
from search.space import Integer, Parameter, Space

MORE_CHANGES = 0.5
"""Chance of each further change after the first: two on the average."""

STEP_SHARE = 0.25
"""Mean step of an ordered setting, in shares of its range; never less than one setting."""


def neighbours(space: Space, codes: Codes, rng: np.random.Generator) -> Codes:
    """One of each candidate (n x p): one or more of its free settings are other ones.

    Few more often than many; an ordered setting by a small step more often than by a large one.
    """
    free = [
        column
        for column, each in enumerate(space.parameters)
        if each.name not in space.frozen and each.count > 1
    ]
    result = codes.copy()
    if not free:
        return result
    for row in result:
        count = min(len(free), int(rng.geometric(1 - MORE_CHANGES)))
        for column in rng.choice(free, size=count, replace=False):
            row[column] = _other(space.parameters[column], int(row[column]), rng)
    return result


def _other(parameter: Parameter, code: int, rng: np.random.Generator) -> int:
    """Another setting of the parameter."""
    if not isinstance(parameter, Integer):
        other = int(rng.integers(parameter.count - 1))
        return other + (other >= code)
    step = int(rng.geometric(min(1.0, 1 / (STEP_SHARE * parameter.count))))
    up = bool(rng.random() < 0.5)
    wanted = code + step if up else code - step
    if not 0 <= wanted < parameter.count:
        wanted = code - step if up else code + step
    moved = min(max(wanted, 0), parameter.count - 1)
    if moved != code:
        return moved
    return code - 1 if code else code + 1
