"""What a history lets one expect of candidates: models of the costs, the front, what is beyond."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from search import pareto
from search.sampler import Foresee
from search.sampling.encoding import Codes
from search.sampling.error_model import CostModel, Learner, learnt_from
from search.sampling.improvement import expected_gain, margin
from search.sampling.past import Past

NEAREST = 150
"""Trials, by rank, among which the front is looked for after the noise is taken off them."""

LIE = 1.0
"""Deviations by which a pending trial is taken to come out worse than expected: it is to repel
others, and not to be outdone in the end by what it may turn out to be."""

SHIFT = 0.05
"""Added, in ranges, to known costs before the logarithm: relative accuracy among cheap ones."""

COST_POINTS = 100
"""Trials that the guess of known costs is learnt from and rests on: it only chooses of which
candidates the costs are computed."""


@dataclass(frozen=True)
class Outlook:
    """From all the trials so far."""

    models: tuple[CostModel, ...]
    """Of the costs that need training, in their order."""
    front: pareto.Costs
    """Costs of the front's members [f, m], the trained ones as the models see them: without noise,
    of which the luckiest trials would otherwise make a front that nothing can reach."""
    front_codes: Codes
    """The members [f, p]."""
    reference: npt.NDArray[np.float64]
    """[m]."""

    def best_first(self, codes: Codes, known: pareto.Costs) -> npt.NDArray[np.int64]:
        """The order of candidates (n x p) by what they promise, from the most to the least.

        Their costs ``known`` [n, m] are NaN where they need training. Those that cannot be told to
        gain anything come last, by how far from it they are.
        """
        predictions = [each.predict(codes) for each in self.models]
        means = np.stack([mean for mean, _ in predictions], axis=1)
        deviations = np.stack([deviation for _, deviation in predictions], axis=1)
        gains = expected_gain(known, means, deviations, self.front, self.reference)
        margins = margin(known, means, deviations, self.front)
        return np.lexsort((-margins, -gains))


class Learners:
    """One for each cost; see `Learner` for what they remember."""

    def __init__(self) -> None:
        self._trained: dict[int, Learner] = {}
        self._known: dict[int, Learner] = {}

    def outlook(self, past: Past, trained: tuple[int, ...], foresee: Foresee) -> Outlook:
        """From a past in which at least two trials are feasible."""
        codes, costs, order = past.codes[past.feasible], past.costs, past.best_feasible
        models = [
            self._trained.setdefault(each, Learner()).learn(
                past.space, codes, costs[:, each], order
            )
            for each in trained
        ]
        members, member_costs = codes[order[:NEAREST]], costs[order[:NEAREST]]
        if past.pending.any():
            pending = past.codes[past.pending]
            models = [each.with_pending(pending, LIE) for each in models]
            foreseen = [foresee(each.parameters).costs for each in past.history if each.pending]
            members = np.concatenate([members, pending])
            member_costs = np.concatenate([member_costs, np.array(foreseen, dtype=np.float64)])
        for column, model in zip(trained, models, strict=True):
            member_costs[:, column] = model.predict(members)[0]
        on_front = pareto.front(member_costs)
        return Outlook(
            tuple(models),
            member_costs[on_front],
            members[on_front],
            pareto.reference_point(costs),
        )

    def guessed(self, past: Past, trained: tuple[int, ...], candidates: Codes) -> pareto.Costs:
        """Costs [c, m] of candidates (c x p) by those of the trials; NaN where trained."""
        codes, costs = past.codes[past.feasible], past.costs
        latest_first = np.arange(len(costs))[::-1]
        guesses = np.full((len(candidates), costs.shape[1]), np.nan)
        for column in sorted(set(range(costs.shape[1])) - set(trained)):
            own = costs[:, column]
            first = own[: learnt_from(len(own))]
            lowest, spread = first.min(), np.ptp(first)
            shift = SHIFT * (spread if spread > 0 else 1.0)
            learner = self._known.setdefault(column, Learner(COST_POINTS, COST_POINTS))
            logs = np.log(np.maximum(own - lowest, 0.0) + shift)
            model = learner.learn(past.space, codes, logs, latest_first)
            guesses[:, column] = np.exp(model.predict(candidates)[0]) - shift + lowest
        return guesses
