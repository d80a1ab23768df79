import itertools
import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search.freeze import LEVEL, chance_of_margin, judge, most_common
from search.space import Choice, Integer, Space

SPACE = Space((Integer("a", 1, 5), Choice("b", ("x", "y", "z")), Integer("c", 1, 5)))


def front(*members):
    return [dict(zip("abc", member, strict=True)) for member in members]


def frozen(judged):
    return [each.parameter for each in judged if each.frozen]


def drawn_blindly(space, members, seed):
    chance = random.Random(seed)
    return [
        {p.name: p.at(chance.randrange(p.count)) for p in space.parameters} for _ in range(members)
    ]


# The most common setting.


def test_the_most_common_setting_comes_with_its_count_share_and_margin():
    members = front((3, "x", 1), (3, "y", 2), (3, "x", 3), (1, "z", 4), (2, "x", 5))
    found = most_common(SPACE.parameter("a"), members)
    assert (found.parameter, found.value, found.count, found.front) == ("a", 3, 3, 5)
    assert found.share == 3 / 5
    assert found.margin == (3 - 1) / 5
    assert found.chance == chance_of_margin(members=5, settings=5, margin=2)


def test_a_front_that_agrees_wins_by_all_of_it():
    found = most_common(SPACE.parameter("b"), front((1, "y", 1), (2, "y", 2)))
    assert (found.share, found.margin, found.runner_up) == (1, 1, 0)


def test_of_equally_common_settings_the_first_in_the_space_is_taken():
    found = most_common(SPACE.parameter("b"), front((1, "z", 1), (2, "y", 2)))
    assert (found.value, found.margin) == ("y", 0)


# The chance of a margin.


def margins(members, options):
    """Of every draw that there is: by how much the winner leads."""
    for draw in itertools.product(range(options), repeat=members):
        second, first = sorted(map(draw.count, range(options)))[-2:]
        yield first - second


@pytest.mark.parametrize("options", [2, 3, 4, 5])
@pytest.mark.parametrize("members", [1, 2, 5, 6])
def test_the_chance_of_a_margin_is_its_share_of_all_draws(members, options):
    found = list(margins(members, options))
    for margin in range(members + 1):
        share = sum(each >= margin for each in found) / len(found)
        assert chance_of_margin(members, options, margin) == pytest.approx(share, rel=1e-9)


@pytest.mark.parametrize(("members", "options", "margin"), [(12, 9, 3), (40, 3, 8), (150, 10, 7)])
def test_the_chance_of_a_margin_is_how_often_it_is_drawn(members, options, margin):
    draws = np.random.default_rng(3).multinomial(members, [1 / options] * options, size=200_000)
    first, second = np.sort(draws, axis=1)[:, [-1, -2]].T
    share = np.mean(first - second >= margin)
    deviation = math.sqrt(share * (1 - share) / len(draws))
    assert chance_of_margin(members, options, margin) == pytest.approx(share, abs=4 * deviation)


def test_the_chance_of_a_large_margin_is_exact_where_it_is_tiny():
    assert chance_of_margin(200, 2, 200) == pytest.approx(2 * 0.5**200, rel=1e-9)
    assert chance_of_margin(30, 100, 30) == pytest.approx(100 / 100.0**30, rel=1e-9)
    nearly_all = 100 * 30 * (1 / 100) ** 29 * (99 / 100) + 100 / 100.0**30
    assert chance_of_margin(30, 100, 28) == pytest.approx(nearly_all, rel=1e-9)


@settings(deadline=None)
@given(st.integers(1, 200), st.integers(2, 100), st.integers(0, 199))
def test_a_larger_margin_is_never_more_likely(members, options, margin):
    margin %= members + 1
    smaller, larger = (chance_of_margin(members, options, m) for m in (margin, margin + 1))
    assert 0 <= larger <= smaller * (1 + 1e-9) <= 1 + 1e-9
    assert chance_of_margin(members, options, 0) == 1
    assert chance_of_margin(members, options, members + 1) == 0


# What is frozen.


def test_what_a_front_agrees_on_beyond_chance_is_frozen_all_of_it():
    members = front(*((3, "xyz"[i % 3], 4 if i < 9 else 1) for i in range(12)))
    judged = judge(SPACE, members, at_most=None, always=False)
    assert [each.parameter for each in judged] == ["a", "c", "b"]
    assert frozen(judged) == ["a", "c"]
    assert (judged[1].value, judged[1].count, judged[1].runner_up) == (4, 9, 3)


def test_what_is_no_more_than_chance_is_not_frozen():
    members = front((1, "x", 2), (1, "x", 3), (2, "y", 4), (1, "x", 5))
    judged = judge(SPACE, members, at_most=None, always=False)
    assert frozen(judged) == []
    assert [each.parameter for each in judged] == ["a", "b", "c"]
    assert min(each.chance for each in judged) > LEVEL / 3


def test_a_front_of_one_says_nothing():
    judged = judge(SPACE, front((1, "x", 2)), at_most=None, always=False)
    assert [each.chance for each in judged] == [1, 1, 1]
    assert frozen(judged) == []


def test_an_empty_front_freezes_nothing():
    assert judge(SPACE, [], at_most=None, always=True) == ()


def test_as_in_the_paper_the_most_common_is_frozen_whatever_its_margin():
    members = front((1, "x", 1), (1, "x", 2), (2, "x", 3), (3, "y", 4))
    judged = judge(SPACE, members, at_most=1, always=True)
    assert frozen(judged) == ["b"]
    assert "not beyond chance" in judged[0].reason
    assert "frozen all the same, as asked" in judged[0].reason


def test_of_equal_shares_the_larger_margin_comes_first_and_then_the_space():
    members = front((1, "x", 1), (1, "x", 2), (2, "y", 3), (2, "z", 4))
    judged = judge(SPACE, members, at_most=1, always=True)
    assert [each.parameter for each in judged] == ["b", "a", "c"]
    judged = judge(SPACE, front((1, "x", 1)), at_most=1, always=True)
    assert [each.parameter for each in judged] == ["a", "b", "c"]


def test_no_more_are_frozen_than_asked_for_and_the_most_agreed_on_are():
    members = front(*((3 if i else 4, "z", 5) for i in range(12)))
    judged = judge(SPACE, members, at_most=2, always=False)
    assert frozen(judged) == ["b", "c"]
    assert judged[2].parameter == "a"
    assert "not frozen: enough are in this phase" in judged[2].reason


def test_what_is_frozen_is_not_judged_again():
    members = front((1, "x", 1), (1, "x", 2), (2, "x", 3))
    judged = judge(SPACE.freeze({"b": "x"}), members, at_most=None, always=False)
    assert [each.parameter for each in judged] == ["a", "c"]
    everything = SPACE.freeze({"a": 1, "b": "x", "c": 1})
    assert judge(everything, members, at_most=None, always=True) == ()


def test_a_parameter_with_a_single_setting_is_frozen_at_it():
    space = Space((Integer("a", 3, 3), Integer("b", 1, 5)))
    judged = judge(space, [{"a": 3, "b": 1}, {"a": 3, "b": 2}], at_most=None, always=False)
    assert frozen(judged) == ["a"]
    assert judged[0].reason == "its only setting"


def test_the_more_parameters_are_looked_at_the_more_is_asked_of_each():
    def named(count):
        return Space(tuple(Integer(f"p{i}", 1, 2) for i in range(count)))

    # 9 of 10 with one of two settings: 22 in 1024, once and for each of many.
    members = [{f"p{i}": 2 - (m > 0 if i == 0 else m % 2) for i in range(9)} for m in range(10)]
    assert chance_of_margin(10, 2, 8) == pytest.approx(22 / 1024)
    assert frozen(judge(named(1), members, at_most=None, always=False)) == ["p0"]
    assert frozen(judge(named(9), members, at_most=None, always=False)) == []


def test_blind_fronts_freeze_something_in_no_more_cases_than_the_level():
    space = Space(tuple(Integer(f"p{i}", 1, 5) for i in range(6)))
    wrong = sum(
        bool(frozen(judge(space, drawn_blindly(space, 15, seed), at_most=None, always=False)))
        for seed in range(600)
    )
    # Of 600 at 5 %, more than 46 come about in less than one case in a thousand.
    assert wrong <= 46


def test_a_reason_tells_the_counts_and_the_chance():
    members = front(*((3 if i < 9 else 1 + i // 11, "xyz"[i % 3], 1 + i % 5) for i in range(12)))
    judged = judge(SPACE, members, at_most=None, always=False)
    [a, b, _] = judged
    assert (a.count, a.runner_up) == (9, 2)
    cases = 100 * chance_of_margin(12, 5, 7)
    assert a.reason == (
        f"9 of 12 on the front, next 2: chance alone would do that in {cases:.2g} % of cases"
    )
    assert b.reason == (
        "4 of 12 on the front, next 4: not beyond chance, "
        "which alone would do that in 100 % of cases for each of the 3 parameters"
    )


def test_a_large_front_is_judged_the_same_whatever_its_order():
    sizes = [2, 3, 5, 10, 20, 50, 64, 99, 100]
    space = Space(tuple(Integer(f"p{i}", 1, sizes[i % 9]) for i in range(18)))
    members = drawn_blindly(space, 200, seed=1)
    judged = judge(space, members, at_most=None, always=False)
    assert judged == judge(space, members[::-1], at_most=None, always=False)
    assert len(judged) == 18
    assert [each.share for each in judged] == sorted((j.share for j in judged), reverse=True)
