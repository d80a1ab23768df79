"""Proposes the candidate that promises most for the front, its cost known before its training.

Many suggestions are drawn, from TPE and around the front. A model of the finished trials tells what
error to expect of each and how uncertain that is; those that seem to promise most have their cost
computed, exactly; and the one with the highest expected gain of hypervolume is proposed. So none
is trained that does not fit the constraints, nor one that is dominated for certain.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from threadpoolctl import ThreadpoolController

from search.sampler import (
    STARTUP_TRIALS,
    Foresee,
    Foreseen,
    Observation,
    Sampler,
    random_candidate,
)
from search.sampling.encoding import Codes, decode, encode
from search.sampling.neighbours import neighbours
from search.sampling.outlook import Learners, Outlook
from search.sampling.past import Past
from search.sampling.proposals import proposals, unseen
from search.sampling.tpe import TpeSampler, estimate
from search.space import Space, Value

POOL = 32
"""Candidates whose cost is computed for each that is proposed."""

WIDE = 8
"""Candidates drawn for each of those. On a ZDT1 of 6 parameters (80 trials, 4 seeds) 1 and 16 found
11.732 and 11.739 of 11.739; on a problem of 12 kernel sizes and filter counts (150 trials, 6 seeds)
16 and 64 found 3.75 and 3.72, with a deviation of 0.09: more is no better."""

LEAST_LEARNT = 4
"""Feasible trials from which something is learnt."""

ROUNDS = 4
"""Pools in a row looked at where all candidates are infeasible: each time the neighbours of those
that are so the least."""


class FrontSampler(Sampler):
    """After ``startup`` feasible random trials, the most promising candidate of a ``pool``.

    Where no cost is known before training, or no cost needs any, it is `TpeSampler`. Trials that do
    not share the frozen settings inform the model as all others do. Candidates that are being
    trained are taken to come out a little worse than expected, so that several at a time spread.

    What it remembers, the model's hyper-parameters, it would find again from the same history.
    """

    def __init__(self, startup: int = STARTUP_TRIALS, pool: int = POOL) -> None:
        self._startup, self._pool = startup, pool
        self._plain = TpeSampler(startup)
        self._learners = Learners()
        self._threads = ThreadpoolController()

    def draw(
        self,
        space: Space,
        history: Sequence[Observation],
        seed: np.random.SeedSequence,
        foresee: Foresee,
    ) -> dict[str, Value]:
        rng = np.random.default_rng(seed)
        feasible = [each for each in history if each.feasible]
        if len(history) < self._startup or len(feasible) < LEAST_LEARNT:
            return self._at_random(space, history, rng, foresee)
        needing = [cost is None for cost in foresee(feasible[0].parameters).costs]
        trained = tuple(i for i, needs in enumerate(needing) if needs)
        if len(trained) in (0, len(needing)):
            return self._plain.draw(space, history, seed, foresee)
        # The matrices are too small for several threads to be any use.
        with self._threads.limit(limits=1, user_api="blas"):
            found = self._most_promising(space, history, trained, rng, foresee)
        return found or self._plain.draw(space, history, seed, foresee)

    def _at_random(
        self,
        space: Space,
        history: Sequence[Observation],
        rng: np.random.Generator,
        foresee: Foresee,
    ) -> dict[str, Value]:
        """A random candidate; of a pool of them, one that is infeasible the least."""
        drawn = encode(space, (random_candidate(space, rng) for _ in range(self._pool)))
        rows = unseen(space, drawn, Past(space, history).seen)
        candidates = [decode(space, row) for row in rows]
        least = float("inf")
        best = random_candidate(space, rng)
        for each in candidates:
            violation = foresee(each).violation
            if violation == 0:
                return each
            if violation < least:
                best, least = each, violation
        return best

    def _most_promising(
        self,
        space: Space,
        history: Sequence[Observation],
        trained: tuple[int, ...],
        rng: np.random.Generator,
        foresee: Foresee,
    ) -> dict[str, Value] | None:
        """The most promising feasible unseen candidate; None where none unseen was drawn."""
        past = Past(space, history)
        outlook = self._learners.outlook(past, trained, foresee)
        drawn = proposals(
            space, estimate(past), outlook.front_codes, past.seen, rng, WIDE * self._pool
        )
        if not len(drawn):
            return None
        if len(drawn) > self._pool:
            guesses = self._learners.guessed(past, trained, drawn)
            drawn = drawn[outlook.best_first(drawn, guesses)[: self._pool]]
        for _ in range(ROUNDS):
            foreseen = [foresee(decode(space, row)) for row in drawn]
            least = np.argsort([each.violation for each in foreseen], kind="stable")
            if foreseen[least[0]].violation == 0:
                return decode(space, _best(outlook, drawn, foreseen))
            nearest = decode(space, drawn[least[0]])
            parents = drawn[least[: max(1, self._pool // 4)]]
            around = neighbours(space, np.resize(parents, (self._pool, parents.shape[1])), rng)
            drawn = unseen(space, np.concatenate([parents, around]), past.seen)
        return nearest


def _best(outlook: Outlook, codes: Codes, foreseen: Sequence[Foreseen]) -> Codes:
    """Of the feasible ones (n x p) the one that promises most."""
    feasible = np.array([each.violation == 0 for each in foreseen])
    known = np.array([each.costs for each in foreseen], dtype=np.float64)[feasible]
    best: Codes = codes[feasible][outlook.best_first(codes[feasible], known)[0]]
    return best
