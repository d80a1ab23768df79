import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search import pareto

coordinate = st.integers(0, 6).map(float)


def points(dimensions, largest=8):
    point = st.tuples(*[coordinate] * dimensions)
    return st.lists(point, min_size=1, max_size=largest)


some_points = st.integers(1, 3).flatmap(points)


def slow_dominates(a, b):
    return all(x <= y for x, y in zip(a, b, strict=True)) and tuple(a) != tuple(b)


def slow_volume(costs, corner):
    """Counts the unit cells of an integer grid that some point dominates."""
    cells = itertools.product(*(range(int(end)) for end in corner))
    return sum(
        any(all(p <= c for p, c in zip(pt, cell, strict=True)) for pt in costs) for cell in cells
    )


def test_a_point_that_is_worse_in_everything_is_not_on_the_front():
    assert pareto.front([(1, 2), (2, 1), (2, 2), (3, 3)]).tolist() == [True, True, False, False]


def test_equal_points_share_the_front():
    assert pareto.front([(1, 1), (1, 1), (1, 2)]).tolist() == [True, True, False]


def test_ranks_peel_fronts_one_after_the_other():
    assert pareto.ranks([(1, 4), (2, 2), (2, 5), (3, 3), (4, 4)]).tolist() == [0, 0, 1, 1, 2]


@given(some_points)
def test_the_front_is_what_no_other_point_dominates(costs):
    expected = [not any(slow_dominates(other, each) for other in costs) for each in costs]
    assert pareto.front(costs).tolist() == expected


@given(some_points)
def test_a_rank_is_one_more_than_the_worst_rank_that_dominates_it(costs):
    ranks = pareto.ranks(costs)
    for i, each in enumerate(costs):
        above = [ranks[j] for j, other in enumerate(costs) if slow_dominates(other, each)]
        assert ranks[i] == (max(above) + 1 if above else 0)


def test_two_boxes_overlap_once():
    assert pareto.hypervolume([(1, 3), (2, 1)], (4, 4)) == pytest.approx(3 * 1 + 2 * 3 - 2 * 1)


def test_points_beyond_the_reference_have_no_volume():
    assert pareto.hypervolume([(5, 0), (4, 4)], (4, 4)) == 0
    assert pareto.hypervolume([(5, 0), (2, 2)], (4, 4)) == 4


@given(some_points)
@settings(max_examples=60)
def test_the_volume_is_the_number_of_dominated_unit_cells(costs):
    corner = (7.0,) * len(costs[0])
    assert pareto.hypervolume(costs, corner) == pytest.approx(slow_volume(costs, corner))


@given(st.integers(2, 3).flatmap(points))
@settings(max_examples=60)
def test_a_contribution_is_what_the_volume_loses_without_the_point(costs):
    corner = (7.0,) * len(costs[0])
    found = pareto.contributions(costs, corner)
    for i in range(len(costs)):
        rest = costs[:i] + costs[i + 1 :]
        lost = slow_volume(costs, corner) - slow_volume(rest, corner)
        assert found[i] == pytest.approx(lost)


@given(some_points)
def test_every_point_lies_within_the_reference(costs):
    assert (np.array(costs) < pareto.reference_point(costs)).all()


def test_ranks_of_two_costs_are_those_of_the_general_way():
    rng = np.random.default_rng(0)
    for count in (1, 30, 300):
        costs = rng.integers(0, 20, (count, 2))
        third = np.concatenate([costs, np.zeros((count, 1))], axis=1)
        assert pareto.ranks(costs).tolist() == pareto.ranks(third).tolist()


def test_contributions_of_many_are_what_the_volume_loses():
    rng = np.random.default_rng(0)
    for costs in (rng.random((200, 2)), rng.integers(0, 30, (200, 2)).astype(float)):
        corner = costs.max(axis=0) * 0.9
        whole = pareto.hypervolume(costs, corner)
        rests = (np.delete(costs, i, axis=0) for i in range(len(costs)))
        lost = [whole - pareto.hypervolume(rest, corner) for rest in rests]
        assert pareto.contributions(costs, corner) == pytest.approx(np.array(lost), abs=1e-9)


def test_four_costs_are_volumes_too():
    assert pareto.hypervolume([(0, 0, 0, 0), (1, 1, 1, 1)], (2, 2, 2, 2)) == pytest.approx(16)
