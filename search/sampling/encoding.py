"""Candidates as rows of setting numbers: what samplers compute with, in place of mappings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import cast

import numpy as np
import numpy.typing as npt

from search.space import Integer, Parameter, Space, Value

Codes = npt.NDArray[np.int64]
"""n candidates x p parameters: the number of each setting, in the order of the space."""


def encode(space: Space, candidates: Iterable[Mapping[str, Value]]) -> Codes:
    """The codes (n x p) of valid candidates; the frozen parameters have theirs too."""
    names = [each.name for each in space.parameters]
    chosen = [tuple(map(each.__getitem__, names)) for each in candidates]
    codes = np.empty((len(chosen), len(names)), dtype=np.int64)
    for column, (parameter, settings) in enumerate(
        zip(space.parameters, zip(*chosen, strict=True), strict=False)
    ):
        codes[:, column] = _numbers(parameter, settings)
    return codes


def encode_all(space: Space, candidates: Sequence[Mapping[str, Value]]) -> Codes:
    """As `encode`, of a list that grows: those at the beginning that it was given before are kept.

    A candidate is taken for the same when it is the same object, so none may be changed.
    """
    known, codes = _LAST.get(space.parameters, ([], encode(space, ())))
    same = 0
    for before, now in zip(known, candidates, strict=False):
        if before is not now:
            break
        same += 1
    codes = np.concatenate([codes[:same], encode(space, candidates[same:])])
    _LAST.clear()
    _LAST[space.parameters] = (list(candidates), codes)
    return codes


_LAST: dict[tuple[Parameter, ...], tuple[list[Mapping[str, Value]], Codes]] = {}
"""What `encode_all` was given last, and its answer; the objects live on, so none is mistaken."""


def decode(space: Space, code: Codes) -> dict[str, Value]:
    """The candidate of one row of codes (p)."""
    return {each.name: each.at(int(i)) for each, i in zip(space.parameters, code, strict=True)}


def frozen_codes(space: Space) -> dict[int, int]:
    """Column -> code of every frozen setting."""
    return {
        column: each.index(space.frozen[each.name])
        for column, each in enumerate(space.parameters)
        if each.name in space.frozen
    }


def shares_frozen(space: Space, codes: Codes) -> npt.NDArray[np.bool_]:
    """Which of the rows (n x p) have all the frozen settings of the space."""
    frozen = frozen_codes(space)
    return np.asarray((codes[:, list(frozen)] == list(frozen.values())).all(axis=1))


def keys(codes: Codes) -> list[bytes]:
    """A key for each row (n x p), which two rows share exactly when they are equal."""
    rows = np.ascontiguousarray(codes).view(np.dtype((np.void, codes.shape[1] * codes.itemsize)))
    return cast(list[bytes], rows.ravel().tolist())


def _numbers(parameter: Parameter, settings: Sequence[Value]) -> Codes:
    if isinstance(parameter, Integer):
        return (np.array(settings, dtype=np.int64) - parameter.low) // parameter.step
    known = {(type(each), each): i for i, each in enumerate(parameter.options)}
    return np.array([known[type(each), each] for each in settings], dtype=np.int64)
