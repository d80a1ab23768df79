"""Candidates worth a look: what TPE draws, and neighbours and offspring of the front."""

from __future__ import annotations

import numpy as np

from search.sampling.densities import Densities
from search.sampling.encoding import Codes, frozen_codes, keys
from search.sampling.neighbours import neighbours
from search.sampling.tpe import EI_CANDIDATES, draw_codes
from search.space import Space

TRIES = (1, 2, 4, EI_CANDIDATES)
"""Draws a setting of which TPE takes the most telling one: from as the good are, to as the best."""


def proposals(
    space: Space,
    estimated: dict[int, Densities],
    parents: Codes,
    seen: set[bytes],
    rng: np.random.Generator,
    count: int,
) -> Codes:
    """Up to ``count`` different candidates (n x p) that are not among the ``seen`` keys.

    A half from TPE; the other half near the parents (f x p): neighbours of one, and of a mixture
    of two. Frozen settings are held, also where a parent does not share them. On a ZDT1 of 6
    parameters (50 trials, 6 seeds) TPE alone ended at 11.66, both at 11.74, all there is; on 12
    kernel sizes and filter counts they could not be told apart.
    """
    part = -(-count // 8)
    drawn = [draw_codes(space, estimated, rng, tries=each, count=part) for each in TRIES]
    if len(parents):
        mothers, fathers, single = (
            parents[rng.integers(len(parents), size=2 * part)] for _ in range(3)
        )
        mixed = np.where(rng.random(mothers.shape) < 0.5, mothers, fathers)
        drawn += [neighbours(space, single, rng), neighbours(space, mixed, rng)]
    return unseen(space, np.concatenate(drawn), seen)


def unseen(space: Space, codes: Codes, seen: set[bytes]) -> Codes:
    """The candidates (n x p) with the frozen settings held, each once, without the seen ones."""
    held = codes.copy()
    for column, code in frozen_codes(space).items():
        held[:, column] = code
    first = {key: i for i, key in reversed(list(enumerate(keys(held)))) if key not in seen}
    return held[sorted(first.values())]
