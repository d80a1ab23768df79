import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.sampler import random_candidate
from search.sampling.encoding import encode
from search.sampling.error_model import REFIT_GROWTH, Learner, inputs_of, learnt_from, spread
from search.space import Choice, Integer, Space

SPACE = Space((Integer("a", 0, 10), Integer("b", 3, 3), Choice("c", ("x", "y"))))


def trials(count, seed=0):
    rng = np.random.default_rng(seed)
    codes = encode(SPACE, [random_candidate(SPACE, rng) for _ in range(count)])
    return codes, 100 + 3.0 * codes[:, 0] + 20 * codes[:, 2] + rng.normal(0, 1, count)


def learnt(codes, costs):
    return Learner().learn(SPACE, codes, costs, np.argsort(costs, kind="stable"))


def test_inputs_lie_in_the_unit_cube_and_options_have_a_column_each():
    codes = encode(SPACE, [{"a": 5, "b": 3, "c": "y"}, {"a": 10, "b": 3, "c": "x"}])
    assert inputs_of(SPACE, codes).tolist() == [[0.5, 0, 1], [1, 1, 0]]


def test_costs_are_predicted_in_their_own_unit():
    model = learnt(*trials(60))
    every = encode(SPACE, list(SPACE.candidates()))
    mean, deviation = model.predict(every)
    assert mean == pytest.approx(100 + 3.0 * every[:, 0] + 20 * every[:, 2], abs=2.0)
    assert deviation.max() < 2


def test_a_pending_candidate_leaves_less_to_learn_and_less_to_hope_for():
    codes, costs = trials(12)
    model = learnt(codes, costs)
    pending = encode(SPACE, [{"a": 10, "b": 3, "c": "y"}])
    before, after = model.predict(pending), model.with_pending(pending, 1.0).predict(pending)
    assert after[0][0] > before[0][0]
    assert after[1][0] < before[1][0]


def test_costs_that_are_all_alike_are_no_obstacle():
    codes, _ = trials(10)
    mean, _ = learnt(codes, np.full(10, 7.0)).predict(codes)
    assert mean == pytest.approx(np.full(10, 7.0))


@given(st.integers(2, 5000))
def test_hyperparameters_are_learnt_from_most_of_the_trials_and_seldom(count):
    seen = learnt_from(count)
    assert count / REFIT_GROWTH - 1 <= seen <= count
    assert learnt_from(seen) == seen


@given(st.permutations(range(40)), st.integers(2, 50))
def test_of_many_trials_those_near_the_front_are_kept(order, most):
    kept = spread(np.array(order), most)
    assert len(set(kept.tolist())) == len(kept) == min(40, most)
    assert set(order[: most // 2]) <= set(kept.tolist())
