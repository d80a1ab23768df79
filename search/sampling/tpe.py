"""TPE for several objectives: hyperopt's estimators, trials ordered by place in the front."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from search.sampler import STARTUP_TRIALS, Foresee, Observation, Sampler, random_candidate
from search.sampling.densities import Densities, densities
from search.sampling.encoding import Codes, decode, frozen_codes
from search.sampling.past import Past
from search.space import Space, Value

GOOD_SHARE = 0.1
"""Share of the trials that TPE takes for good. Source: Ozaki et al. (2022). hyperopt's own rule, a
quarter of the square root, leaves 5 of 300: too few to stand for a front of a dozen."""

LEAST_GOOD = 8
"""Trials that TPE takes for good at least. Mean hypervolume over 8 seeds with 1, 5, 8: 466, 469,
470 (random search: 460) after 100 trials of a problem of 12 kernel sizes and filter counts, and
10.8, 10.7, 10.9 (random search: 9.8) after 80 of a ZDT1 of 6 parameters: a small gain, but both
ways; the standard deviation is 10 and 0.4."""

MOST_GOOD = 25
"""Trials that TPE takes for good at most; a limit of hyperopt's."""

EI_CANDIDATES = 24
"""Draws a parameter, of which the likeliest good one is taken; hyperopt's default. On few settings
it often is the same choice again, which `suggest_unseen` answers with further draws (1.5 a trial on
the problem above)."""


class TpeSampler(Sampler):
    """Tree-structured Parzen estimator of hyperopt, after ``startup`` random trials.

    Before each draw the losses are made anew: the non-domination rank of a trial, and within a
    rank less the more hypervolume the trial adds (Ozaki et al., Multiobjective Tree-Structured
    Parzen Estimator, 2022). Infeasible trials come after all feasible ones, by violation, and
    those that failed or are pending last, so that several at a time spread.

    Trials that do not share the frozen settings are told as well, with their free parameters
    alone: hyperopt's estimator looks at one parameter at a time, and they are what it knows of
    the free parameters at the start of a refined phase. Their losses are ranked after those of
    the trials that do share the settings, and of the same kind, so that what was good with other
    settings does not pass for good with these, yet is preferred to nothing.
    """

    def __init__(self, startup: int = STARTUP_TRIALS) -> None:
        self._startup = startup

    def draw(
        self,
        space: Space,
        history: Sequence[Observation],
        seed: np.random.SeedSequence,
        foresee: Foresee,  # noqa: ARG002 (part of the contract)
    ) -> dict[str, Value]:
        rng = np.random.default_rng(seed)
        if len(history) < self._startup:
            return random_candidate(space, rng)
        estimated = estimate(Past(space, history))
        [drawn] = draw_codes(space, estimated, rng, tries=EI_CANDIDATES, count=1)
        return decode(space, drawn)


def estimate(past: Past) -> dict[int, Densities]:
    """Densities of each free parameter, by its column."""
    order = np.argsort(past.losses, kind="stable")
    count = min(max(LEAST_GOOD, math.ceil(GOOD_SHARE * len(order))), MOST_GOOD)
    good, other = np.sort(order[:count]), np.sort(order[count:])
    return {
        column: densities(each, past.codes[good, column], past.codes[other, column])
        for column, each in enumerate(past.space.parameters)
        if each.name not in past.space.frozen
    }


def draw_codes(
    space: Space,
    estimated: dict[int, Densities],
    rng: np.random.Generator,
    *,
    tries: int,
    count: int,
) -> Codes:
    """Candidates (count x p): each free setting the most telling of ``tries`` good ones."""
    drawn = np.empty((count, len(space.parameters)), dtype=np.int64)
    for column, code in frozen_codes(space).items():
        drawn[:, column] = code
    for column, each in estimated.items():
        drawn[:, column] = each.draw(rng, tries, count)
    return drawn
