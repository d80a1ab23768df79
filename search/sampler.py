"""What a sampler is, and how a search takes unseen candidates from one."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from search.errors import SpaceExhaustedError
from search.sampling.encoding import decode, encode, encode_all, keys, shares_frozen
from search.sampling.neighbours import neighbours
from search.space import Space, Value

STARTUP_TRIALS = 10
"""Random trials before a model of them is any use. Of 5, 10 and 20, the best on a ZDT1 of 6
parameters with 80 trials (mean hypervolume over 6 seeds: 10.86, 10.98, 10.74)."""

REDRAWS = 8
"""Draws taken from the sampler before its insistence on known candidates is given up; a TPE draw
costs about 20 ms, a trial seconds to minutes."""

START_NEIGHBOURS = 6
"""Trials after the first that are neighbours of the start. Mean hypervolume over 6 seeds with 0, 3,
6, 9 of them, of 10 startup trials, on a problem of 12 kernel sizes and filter counts: after 20
trials 3.570, 3.608, 3.636, 3.612, after 80 alike (deviation 0.03)."""

ENUMERATE_UP_TO = 20_000
"""Spaces up to this size are walked through to find what is left; larger ones are never so full
that a random draw would not find an unseen candidate at once."""


@dataclass(frozen=True)
class Foreseen:
    """What is known of a candidate before it is trained."""

    costs: tuple[float | None, ...]
    """One an objective, to be minimised; None where it needs training."""
    violation: float
    """How far the known costs are from feasible (0: feasible so far)."""


Foresee = Callable[[Mapping[str, Value]], Foreseen]
"""Tells what is known of a candidate; costs up to some milliseconds a call."""


@dataclass(frozen=True)
class Observation:
    """What a sampler learns of a trial: of one that has ended, or that it is under way."""

    parameters: Mapping[str, Value]
    costs: tuple[float, ...] | None
    """One number an objective, to be minimised; None when the trial was not trained, failed, or
    is being trained."""
    violation: float = 0.0
    """How far from feasible (0: feasible, infinite: failed)."""
    pending: bool = False
    """Whether it is being trained now."""

    @property
    def feasible(self) -> bool:
        """Whether it can be on a front."""
        return self.costs is not None and self.violation == 0


class Sampler(ABC):
    """Proposes the next candidate from those already evaluated.

    Called by the search, in its own thread, between two trials. A sampler keeps no state that
    changes what it draws: the draw is a function of the arguments alone, and that is what makes
    a killed and resumed study end with the same trials as an undisturbed one.
    """

    @abstractmethod
    def draw(
        self,
        space: Space,
        history: Sequence[Observation],
        seed: np.random.SeedSequence,
        foresee: Foresee,
    ) -> dict[str, Value]:
        """A candidate of ``space``, its frozen settings held; it may be a known one.

        Args:
            space: Has at least two candidates.
            history: All trials so far, oldest first; also those that do not share the frozen
                settings, infeasible, failed and pending ones.
            seed: Source of every random choice in the draw.
            foresee: What is known of a candidate before it is trained; a pure function.

        """


class RandomSampler(Sampler):
    """Every candidate with the same chance."""

    def draw(
        self,
        space: Space,
        history: Sequence[Observation],  # noqa: ARG002 (part of the contract)
        seed: np.random.SeedSequence,
        foresee: Foresee,  # noqa: ARG002
    ) -> dict[str, Value]:
        return random_candidate(space, np.random.default_rng(seed))


def random_candidate(space: Space, rng: np.random.Generator) -> dict[str, Value]:
    """Each free parameter at any of its settings, all with the same chance."""
    return space.candidate({p.name: int(rng.integers(p.count)) for p in space.free})


def suggest_unseen(
    sampler: Sampler,
    space: Space,
    history: Sequence[Observation],
    *,
    seed: int,
    number: int,
    start: Mapping[str, Value] | None,
    foresee: Foresee,
    near: int = START_NEIGHBOURS,
) -> dict[str, Value]:
    """The candidate of trial ``number``: one that ``history`` does not hold.

    ``start``, when given, is the first one, and ``near`` of its neighbours come next. After that
    the sampler is asked, with derived seeds while it repeats itself; then any unseen candidate is
    taken at random.

    Raises SpaceExhaustedError when ``history`` holds every candidate of the space.
    """
    codes = encode_all(space, [each.parameters for each in history])
    seen = set(keys(codes))
    if start is not None and space.holds(start):
        source = _seed(seed, number, REDRAWS + 1) if number <= near else None
        candidate = _at_start(space, start, seen, source, foresee)
        if candidate is not None:
            return candidate
    left = space.size()
    if left <= len(history) + 1:
        left -= len(set(keys(codes[shares_frozen(space, codes)])))
    if left == 0:
        raise SpaceExhaustedError(f"all {space.size()} candidates of the space have been evaluated")
    if left > 1:
        for attempt in range(REDRAWS):
            candidate = sampler.draw(space, history, _seed(seed, number, attempt), foresee)
            if keys(encode(space, [candidate]))[0] not in seen:
                return candidate
    return _random_unseen(space, seen, _seed(seed, number, REDRAWS))


def _at_start(
    space: Space,
    start: Mapping[str, Value],
    seen: set[bytes],
    seed: np.random.SeedSequence | None,
    foresee: Foresee,
) -> dict[str, Value] | None:
    """The start, or with a seed an unseen feasible neighbour of it; None where none is found."""
    own = encode(space, [start])
    if keys(own)[0] not in seen:
        return dict(start)
    if seed is None:
        return None
    for row in neighbours(space, np.repeat(own, REDRAWS, axis=0), np.random.default_rng(seed)):
        candidate = decode(space, row)
        if keys(row[None])[0] not in seen and foresee(candidate).violation == 0:
            return candidate
    return None


def trial_seed(study_seed: int, number: int) -> int:
    """Seed of everything random within a trial, in 0..2³²-1."""
    return int(np.random.SeedSequence([study_seed, number]).generate_state(1)[0])


def _seed(study_seed: int, number: int, attempt: int) -> np.random.SeedSequence:
    return np.random.SeedSequence([study_seed, number, 1 + attempt])


def _random_unseen(
    space: Space, seen: set[bytes], seed: np.random.SeedSequence
) -> dict[str, Value]:
    if space.size() <= ENUMERATE_UP_TO:
        every = list(space.candidates())
        left = [i for i, key in enumerate(keys(encode(space, every))) if key not in seen]
        return every[left[int(np.random.default_rng(seed).integers(len(left)))]]
    rng = np.random.default_rng(seed)
    drawn = (random_candidate(space, rng) for _ in itertools.count())
    return next(each for each in drawn if keys(encode(space, [each]))[0] not in seen)
