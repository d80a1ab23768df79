"""TPE for several objectives: hyperopt's, fed with losses that stand for the place in the front."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from hyperopt import hp, tpe
from hyperopt.base import JOB_STATE_DONE, STATUS_OK, Domain, Trials, trials_from_docs

from search import pareto
from search.sampler import STARTUP_TRIALS, Observation, RandomSampler, Sampler
from search.space import Integer, Parameter, Space, Value

GOOD_SHARE = 0.1
"""Share of the trials that TPE takes for good; 25 trials at most, a limit of hyperopt's. Source:
Ozaki et al. (2022). hyperopt's own rule, a quarter of the square root, leaves 5 of 300: too few
to stand for a front of a dozen."""

LEAST_GOOD = 8
"""Trials that TPE takes for good at least. Mean hypervolume over 8 seeds with 1, 5, 8: 466, 469,
470 (random search: 460) after 100 trials of a problem of 12 kernel sizes and filter counts, and
10.8, 10.7, 10.9 (random search: 9.8) after 80 of a ZDT1 of 6 parameters: a small gain, but both
ways; the standard deviation is 10 and 0.4."""

EI_CANDIDATES = 24
"""Draws a parameter, of which the likeliest good one is taken; hyperopt's default. On few settings
it often is the same choice again, which `suggest_unseen` answers with further draws (1.5 a trial on
the problem above)."""

INSIDE_RANK = 0.999
"""Losses within a rank spread over this much of the distance to the next, so none reaches it."""


class TpeSampler(Sampler):
    """Tree-structured Parzen estimator of hyperopt, after ``startup`` random trials.

    Before each draw the losses are made anew: the non-domination rank of a trial, and within a
    rank less the more hypervolume the trial adds (Ozaki et al., Multiobjective Tree-Structured
    Parzen Estimator, 2022). Infeasible trials come after all feasible ones, by violation, and
    failed ones last.

    Trials that do not share the frozen settings are told as well, with their free parameters
    alone: hyperopt's estimator looks at one parameter at a time, and they are what it knows of
    the free parameters at the start of a refined phase. Their losses are ranked after those of
    the trials that do share the settings, and of the same kind, so that what was good with other
    settings does not pass for good with these, yet is preferred to nothing.
    """

    def __init__(self, startup: int = STARTUP_TRIALS) -> None:
        self._startup = startup
        self._domains: dict[tuple[Parameter, ...], Domain] = {}

    def draw(
        self, space: Space, history: Sequence[Observation], seed: np.random.SeedSequence
    ) -> dict[str, Value]:
        if len(history) < self._startup:
            return RandomSampler().draw(space, history, seed)
        if space.free not in self._domains:
            self._domains = {space.free: _domain(space.free)}
        domain = self._domains[space.free]
        number = len(history)
        [suggestion] = tpe.suggest(
            [number],
            domain,
            _trials(space, history, losses(space, history)),
            int(seed.generate_state(1)[0]),
            n_startup_jobs=0,
            n_EI_candidates=EI_CANDIDATES,
            gamma=_good(number) / math.sqrt(number),
            verbose=False,
        )
        return space.candidate(
            {each.name: _index(each, suggestion["misc"]["vals"][each.name]) for each in space.free}
        )


def losses(space: Space, history: Sequence[Observation]) -> npt.NDArray[np.float64]:
    """One number a trial, the smaller the better: the order in which TPE is to see them.

    The whole part is the group: ranks of the feasible, then the infeasible, then the failed.
    Within the feasible, trials that share the frozen settings of ``space`` are ranked first.
    """
    result = np.full(len(history), np.inf)
    level = 0
    for shares in (True, False):
        members = [
            i
            for i, each in enumerate(history)
            if each.feasible and space.holds(each.parameters) == shares
        ]
        if members:
            placed = _placed([history[i].costs or () for i in members])
            result[members] = level + placed
            level += int(placed.max()) + 1
    for i, each in enumerate(history):
        if not each.feasible and math.isfinite(each.violation):
            result[i] = level + INSIDE_RANK * each.violation / (1 + each.violation)
    return result


def _placed(costs: Sequence[Sequence[float]]) -> npt.NDArray[np.float64]:
    """Rank plus, in [0, 1), how little the point adds to the hypervolume of its rank."""
    points = pareto.as_costs(costs)
    spread = np.ptp(points, axis=0)
    points = (points - points.min(axis=0)) / np.where(spread > 0, spread, 1.0)
    reference = pareto.reference_point(points)
    ranks = pareto.ranks(points)
    result = ranks.astype(np.float64)
    for rank in range(int(ranks.max()) + 1):
        members = np.flatnonzero(ranks == rank)
        added = pareto.contributions(points[members], reference)
        most = added.max()
        result[members] += INSIDE_RANK * (1 - (added / most if most > 0 else added))
    return result


def _domain(free: Sequence[Parameter]) -> Domain:
    """What hyperopt sees: the numbers of settings, never the settings themselves."""
    return Domain(
        lambda _: 0.0,
        {
            each.name: hp.quniform(each.name, -0.5, each.count - 0.5, 1)
            if isinstance(each, Integer)
            else hp.randint(each.name, each.count)
            for each in free
        },
    )


def _trials(
    space: Space, history: Sequence[Observation], values: npt.NDArray[np.float64]
) -> Trials:
    def document(number: int, each: Observation) -> dict[str, Any]:
        indices = {p.name: [p.index(each.parameters[p.name])] for p in space.free}
        return {
            "tid": number,
            "state": JOB_STATE_DONE,
            "spec": None,
            "result": {"status": STATUS_OK, "loss": float(values[number])},
            "misc": {"tid": number, "idxs": {name: [number] for name in indices}, "vals": indices},
            "exp_key": None,
        }

    return trials_from_docs([document(i, each) for i, each in enumerate(history)], validate=False)


def _index(parameter: Parameter, drawn: Sequence[float]) -> int:
    """The number of a setting from hyperopt's NumPy scalar; rounding may pass the last by one."""
    return min(max(round(float(drawn[0])), 0), parameter.count - 1)


def _good(trials: int) -> int:
    """How many of the trials TPE takes for good."""
    return max(LEAST_GOOD, math.ceil(GOOD_SHARE * trials))
