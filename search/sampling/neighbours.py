"""Candidates that differ from others in one or a few settings."""

from __future__ import annotations

import numpy as np

from search.sampling.encoding import Codes
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
    if not free or not len(codes):
        return result
    counts = np.minimum(rng.geometric(1 - MORE_CHANGES, len(codes)), len(free))
    places = np.argsort(rng.random((len(codes), len(free))), axis=1)
    for place, column in enumerate(free):
        rows = np.flatnonzero(places[:, place] < counts)
        result[rows, column] = _others(space.parameters[column], codes[rows, column], rng)
    return result


def _others(parameter: Parameter, codes: Codes, rng: np.random.Generator) -> Codes:
    """For each of the settings (n) of the parameter another one."""
    last = parameter.count - 1
    if not isinstance(parameter, Integer):
        others = rng.integers(last, size=len(codes))
        return np.asarray(others + (others >= codes))
    steps = rng.geometric(min(1.0, 1 / (STEP_SHARE * parameter.count)), len(codes))
    up = np.where(rng.random(len(codes)) < 0.5, 1, -1)
    wanted = codes + up * steps
    wanted = np.where((wanted < 0) | (wanted > last), codes - up * steps, wanted)
    moved = np.clip(wanted, 0, last)
    beside = np.where(codes > 0, codes - 1, codes + 1)
    return np.asarray(np.where(moved == codes, beside, moved))
