import numpy as np
import pytest

from search.errors import SpaceExhaustedError
from search.sampler import (
    START_NEIGHBOURS,
    Foreseen,
    Observation,
    RandomSampler,
    Sampler,
    suggest_unseen,
    trial_seed,
)
from search.sampling.front_sampler import FrontSampler
from search.sampling.tpe import TpeSampler
from search.space import Choice, Integer, Space, candidate_key

SPACE = Space((Integer("a", 1, 4), Choice("b", ("x", "y", "z"))))
LARGE = Space(tuple(Integer(f"x{i}", 0, 99) for i in range(5)))
SAMPLERS = [
    RandomSampler,
    lambda: TpeSampler(startup=3),
    lambda: FrontSampler(startup=3, pool=4),
]


def foresee(candidate):
    """The second of two costs: a number that is in the candidate."""
    return Foreseen((None, float(next(iter(candidate.values())))), 0.0)


class StubbornSampler(Sampler):
    """Proposes the first candidate of the space for ever."""

    def draw(self, space, *_):
        return next(space.candidates())


def walk(sampler, space, trials, seed=1, start=None):
    history = []
    for number in range(trials):
        candidate = suggest_unseen(
            sampler, space, history, seed=seed, number=number, start=start, foresee=foresee
        )
        cost = foresee(candidate).costs[1]
        history.append(Observation(candidate, (float(number * 7 % 5), cost)))
    return [each.parameters for each in history]


@pytest.mark.parametrize("make", [*SAMPLERS, StubbornSampler])
def test_a_small_space_is_walked_to_its_end_without_a_repeat(make):
    candidates = walk(make(), SPACE, SPACE.size())
    assert len({candidate_key(each) for each in candidates}) == SPACE.size() == 12
    history = [Observation(each, (0.0, 0.0)) for each in candidates]
    with pytest.raises(SpaceExhaustedError, match="all 12 candidates"):
        suggest_unseen(
            make(), SPACE, history, seed=1, number=12, start=candidates[0], foresee=foresee
        )


def test_a_large_space_gives_an_unseen_candidate_to_a_sampler_that_repeats_itself():
    candidates = walk(StubbornSampler(), LARGE, 20)
    assert len({candidate_key(each) for each in candidates}) == 20


def test_what_was_found_outside_the_frozen_space_does_not_exhaust_it():
    history = [Observation(each, (0.0,)) for each in SPACE.candidates() if each["b"] != "x"]
    frozen = SPACE.freeze({"b": "x"})
    found = suggest_unseen(
        RandomSampler(), frozen, history, seed=1, number=8, start=None, foresee=foresee
    )
    assert found["b"] == "x"


def test_the_second_trials_are_neighbours_of_the_start():
    start = {f"x{i}": 50 for i in range(5)}
    found = walk(RandomSampler(), LARGE, 2 + START_NEIGHBOURS, start=start)
    changed = [sum(each[name] != start[name] for name in start) for each in found]
    assert changed[0] == 0
    assert all(1 <= each <= 5 for each in changed[1:])
    assert np.mean(changed[1 : 1 + START_NEIGHBOURS]) < 4
    assert changed[-1] >= 4


def test_neighbours_of_the_start_that_are_infeasible_are_left_out():
    start = {f"x{i}": 50 for i in range(5)}
    history = [Observation(start, (0.0, 0.0))]
    for seed in range(30):
        found = suggest_unseen(
            RandomSampler(), LARGE, history, seed=seed, number=1, start=start,
            foresee=lambda each: Foreseen((None, 0.0), abs(each["x0"] - 50.0)),
        )  # fmt: skip
        assert found["x0"] == 50


def test_a_pending_candidate_is_not_suggested_again():
    history = [Observation(each, None, pending=True) for each in list(SPACE.candidates())[:11]]
    for make in SAMPLERS:
        found = suggest_unseen(
            make(), SPACE, history, seed=1, number=11, start=None, foresee=foresee
        )
        assert found == list(SPACE.candidates())[11]


@pytest.mark.parametrize("make", SAMPLERS)
def test_the_start_comes_first(make):
    start = {"a": 3, "b": "y"}
    candidates = walk(make(), SPACE, 5, start=start)
    assert candidates[0] == start
    assert start not in candidates[1:]


@pytest.mark.parametrize("make", SAMPLERS)
def test_a_suggestion_is_a_function_of_seed_number_and_history(make):
    assert walk(make(), LARGE, 8) == walk(make(), LARGE, 8)
    assert walk(make(), LARGE, 8) != walk(make(), LARGE, 8, seed=2)


@pytest.mark.parametrize("make", SAMPLERS)
def test_candidates_are_plain_python_and_valid(make):
    space = Space((Integer("a", 10, 50, 10), Choice("b", (1, 2.5, "x", True)), Integer("c", 0, 30)))
    for candidate in walk(make(), space, 15):
        assert space.validate(candidate) == candidate
        assert all(type(value) in (int, float, str, bool) for value in candidate.values())


@pytest.mark.parametrize("make", SAMPLERS)
def test_a_draw_holds_frozen_settings_whatever_the_history(make):
    history = [
        Observation({"a": 1, "b": "x"}, (1.0, 2.0)),
        Observation({"a": 2, "b": "y"}, None, 0.5),
        Observation({"a": 3, "b": "z"}, None, float("inf")),
        Observation({"a": 4, "b": "z"}, (2.0, 1.0)),
    ]
    drawn = make().draw(SPACE.freeze({"b": "y"}), history, np.random.SeedSequence(5), foresee)
    assert drawn["b"] == "y"


def test_random_draws_reach_every_setting_alike():
    seeds = map(np.random.SeedSequence, range(1200))
    drawn = [RandomSampler().draw(SPACE, (), seed, foresee)["a"] for seed in seeds]
    counts = [drawn.count(value) for value in (1, 2, 3, 4)]
    assert min(counts) > 240
    assert max(counts) < 360


def test_trial_seeds_differ_by_number_and_by_study():
    seeds = {trial_seed(study, number) for study in range(20) for number in range(20)}
    assert len(seeds) == 400
    assert all(0 <= seed < 2**32 for seed in seeds)
