"""When a training is stopped: what is known of the others decides."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.early_stopping import LEAST_TRAININGS, SAFETY, Training, limits, projected

NUMBERS = st.floats(0, 1)
TRAININGS = st.lists(
    st.builds(
        Training,
        costs=st.tuples(NUMBERS),
        value=NUMBERS,
        rungs=st.fixed_dictionaries({0.25: NUMBERS, 0.5: NUMBERS}),
    ),
    min_size=LEAST_TRAININGS,
    max_size=12,
)


def training(cost, value, *rungs):
    return Training((cost,), value, dict(zip((0.25, 0.5), rungs, strict=False)))


FIVE = [training(cost, 0.5 - cost / 10, 0.9 - cost / 10, 0.6) for cost in (1, 2, 3, 4, 5)]


def test_it_may_be_above_the_best_that_costs_no_more_by_the_largest_jump_and_some():
    """The best within a cost of 3.5 is 0.2; values fell by 0.4 after a quarter."""
    found = limits((0.25, 0.5), FIVE, (3.5,))
    assert found[0.25] == pytest.approx(0.2 + SAFETY * 0.4)
    assert found[0.5] == pytest.approx(0.2 + SAFETY * (0.6 - 0.0))


def test_what_is_cheaper_than_all_others_is_never_stopped():
    assert limits((0.25,), FIVE, (0.5,)) == {0.25: math.inf}


def test_nothing_is_stopped_before_enough_is_known():
    assert limits((0.25,), FIVE[:-1], (9,)) == {0.25: math.inf}
    assert limits((0.75,), FIVE, (9,)) == {0.75: math.inf}


def test_a_rival_must_be_as_cheap_in_every_respect():
    trainings = [Training((1.0, 9.0), 0.1, {0.5: 0.3})] * LEAST_TRAININGS
    assert limits((0.5,), trainings, (1.0, 8.0)) == {0.5: math.inf}
    assert limits((0.5,), trainings, (1.0, 9.0))[0.5] == pytest.approx(0.1 + SAFETY * 0.2)


@given(TRAININGS)
def test_no_training_seen_that_is_on_the_front_would_have_been_stopped(trainings):
    for each in trainings:
        others = [t for t in trainings if t.costs[0] <= each.costs[0]]
        if all(each.value <= other.value for other in others):
            found = limits((0.25, 0.5), trainings, each.costs)
            assert all(each.rungs[share] <= limit + 1e-12 for share, limit in found.items())


def test_a_stopped_training_is_projected_from_its_last_rung_by_the_usual_jump():
    assert projected({0.25: 0.8}, FIVE) == pytest.approx(0.8 - 0.4)
    jumps = sorted(each.rungs[0.5] - each.value for each in FIVE)
    assert projected({0.25: 0.8, 0.5: 0.7}, FIVE) == pytest.approx(0.7 - jumps[2])
    assert projected({}, FIVE) == math.inf
