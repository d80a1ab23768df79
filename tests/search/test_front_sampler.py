import math

import numpy as np
import pytest

from search import pareto
from search.sampler import Foreseen, Observation, RandomSampler, suggest_unseen
from search.sampling.front_sampler import FrontSampler
from search.sampling.tpe import TpeSampler
from search.space import Choice, Integer, Space, candidate_key

# ZDT1 (Zitzler, Deb and Thiele, 2000) on whole numbers: the front has g = 1, all but x0 at 0.
ZDT = Space(tuple(Integer(f"x{i}", 0, 20) for i in range(5)))
REFERENCE = (11.0, 1.1)
SMALL = Space((Integer("a", 0, 9), Choice("b", ("x", "y", "z"))))


def error(candidate):
    x = [candidate[f"x{i}"] / 20 for i in range(5)]
    g = 1 + 9 * sum(x[1:]) / 4
    return g * (1 - math.sqrt(x[0] / g))


def cost(candidate):
    return candidate["x0"] / 20


def foresee(candidate):
    return Foreseen((None, cost(candidate)), 0.0)


def searched(sampler, seed, trials, foresee=foresee, space=ZDT):
    history = []
    for number in range(trials):
        candidate = suggest_unseen(
            sampler, space, history, seed=seed, number=number, start=None, foresee=foresee
        )
        history.append(Observation(candidate, (error(candidate), cost(candidate))))
    return history


def volume(history):
    return pareto.hypervolume([each.costs for each in history], REFERENCE)


def test_it_finds_in_half_the_trials_more_than_plain_tpe_in_all():
    for seed in range(2):
        ours = searched(FrontSampler(), seed, 40)
        assert volume(ours) > volume(searched(TpeSampler(), seed, 80))


def test_a_known_front_is_all_but_found():
    best = pareto.hypervolume([(1 - math.sqrt(i / 20), i / 20) for i in range(21)], REFERENCE)
    assert volume(searched(FrontSampler(), 0, 60)) > 0.99 * best


def test_the_memory_of_a_sampler_does_not_change_what_it_draws():
    sampler, history = FrontSampler(), searched(FrontSampler(), 1, 25)
    for number in (10, 15, 21, 25):
        asked = {"seed": 1, "number": number, "start": None, "foresee": foresee}
        used = suggest_unseen(sampler, ZDT, history[:number], **asked)
        fresh = suggest_unseen(FrontSampler(), ZDT, history[:number], **asked)
        assert used == fresh
        if number < 25:
            assert used == history[number].parameters


def test_infeasible_candidates_are_passed_over_where_there_are_others():
    def bounded(candidate):
        return Foreseen((None, cost(candidate)), max(0.0, cost(candidate) - 0.3))

    history = searched(FrontSampler(), 2, 40, bounded)
    assert all(each.costs[1] <= 0.3 for each in history)


def test_where_few_are_feasible_it_looks_around_those_that_nearly_are():
    def bounded(candidate):
        return Foreseen((None, cost(candidate)), float(sum(candidate.values())))

    history = searched(FrontSampler(pool=8), 2, 14, bounded)
    totals = [sum(each.parameters.values()) for each in history]
    assert max(totals[10:]) < min(totals[:10])


def test_what_is_dominated_for_certain_is_not_trained_while_there_is_another():
    space = Space((Integer("x0", 0, 10), Integer("x1", 0, 10)))

    def known(candidate):
        return Foreseen((None, float(candidate["x0"])), 0.0)

    history = []
    for number in range(22):
        candidate = suggest_unseen(
            FrontSampler(startup=10), space, history, seed=0, number=number, start=None,
            foresee=known,
        )  # fmt: skip
        x0, x1 = candidate["x0"], candidate["x1"]
        history.append(Observation(candidate, (float(10 - x0 + 5 * x1), float(x0))))
    later = [each.parameters["x1"] for each in history[12:]]
    assert sum(each == 0 for each in later) >= 7


def test_several_pending_candidates_spread():
    history = searched(FrontSampler(), 3, 30)
    for _ in range(4):
        number = len(history)
        candidate = suggest_unseen(
            FrontSampler(), ZDT, history, seed=3, number=number, start=None, foresee=foresee
        )
        history.append(Observation(candidate, None, pending=True))
    pending = [each.parameters for each in history[30:]]
    assert len({candidate_key(each) for each in pending}) == 4
    assert len({each["x0"] for each in pending}) >= 3


@pytest.mark.parametrize("known", [(None, None), (1.0, 2.0)])
def test_without_a_mixture_of_known_and_trained_costs_it_is_plain_tpe(known):
    history = searched(RandomSampler(), 0, 20)
    for seed in map(np.random.SeedSequence, range(5)):
        expected = TpeSampler().draw(ZDT, history, seed, lambda _: Foreseen(known, 0.0))
        drawn = FrontSampler().draw(ZDT, history, seed, lambda _: Foreseen(known, 0.0))
        assert drawn == expected


def test_trials_with_other_frozen_settings_inform_the_model():
    """All that is known of x1 comes from trials that do not share the frozen x0."""
    space = Space((Integer("x0", 0, 3), Integer("x1", 0, 20)))
    rng = np.random.default_rng(0)
    history = []
    for _ in range(40):
        candidate = {"x0": int(rng.integers(3)), "x1": int(rng.integers(21))}
        costs = (float((candidate["x1"] - 15) ** 2), float(candidate["x0"]))
        history.append(Observation(candidate, costs))
    drawn = FrontSampler().draw(
        space.freeze({"x0": 3}), history, np.random.SeedSequence(0),
        lambda each: Foreseen((None, float(each["x0"])), 0.0),
    )  # fmt: skip
    assert drawn["x0"] == 3
    assert abs(drawn["x1"] - 15) <= 1


def test_three_costs_of_which_two_need_training_are_searched_too():
    def known(candidate):
        return Foreseen((None, float(candidate["a"]), None), 0.0)

    history = []
    for number in range(14):
        candidate = suggest_unseen(
            FrontSampler(startup=6, pool=4), SMALL, history, seed=0, number=number, start=None,
            foresee=known,
        )  # fmt: skip
        a, b = candidate["a"], "xyz".index(candidate["b"])
        history.append(Observation(candidate, (float(9 - a + b), float(a), float(b))))
    later = [each.parameters["b"] for each in history[6:]]
    assert later.count("x") >= 4


def test_each_candidate_of_the_pool_is_foreseen_once():
    history, asked = searched(RandomSampler(), 0, 30), []

    def counting(candidate):
        asked.append(candidate_key(candidate))
        return foresee(candidate)

    FrontSampler(pool=16).draw(ZDT, history, np.random.SeedSequence(0), counting)
    assert len(asked) == len(set(asked)) == 1 + 16
    seen = {candidate_key(each.parameters) for each in history}
    assert len(seen.intersection(asked)) == 1
