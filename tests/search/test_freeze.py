from search.freeze import most_common, next_frozen
from search.space import Choice, Integer, Space

SPACE = Space((Integer("a", 1, 5), Choice("b", ("x", "y", "z")), Integer("c", 1, 5)))


def front(*members):
    return [dict(zip("abc", member, strict=True)) for member in members]


def test_the_most_common_setting_comes_with_its_count_share_and_margin():
    members = front((3, "x", 1), (3, "y", 2), (3, "x", 3), (1, "z", 4), (2, "x", 5))
    found = most_common(SPACE.parameter("a"), members)
    assert (found.parameter, found.value, found.count, found.front) == ("a", 3, 3, 5)
    assert found.share == 3 / 5
    assert found.margin == (3 - 1) / 5


def test_a_front_that_agrees_wins_by_all_of_it():
    found = most_common(SPACE.parameter("b"), front((1, "y", 1), (2, "y", 2)))
    assert (found.share, found.margin, found.runner_up) == (1, 1, 0)


def test_of_equally_common_settings_the_first_in_the_space_is_taken():
    found = most_common(SPACE.parameter("b"), front((1, "z", 1), (2, "y", 2)))
    assert (found.value, found.margin) == ("y", 0)


def test_the_largest_share_is_frozen_first():
    members = front((1, "x", 1), (1, "x", 2), (2, "x", 3))
    assert [f.parameter for f in next_frozen(SPACE, members)] == ["b"]
    assert [f.parameter for f in next_frozen(SPACE, members, 2)] == ["b", "a"]


def test_of_equal_shares_the_larger_margin_is_frozen_first():
    members = front((1, "x", 1), (1, "x", 2), (2, "y", 3), (2, "z", 4))
    assert [f.parameter for f in next_frozen(SPACE, members)] == ["b"]


def test_of_equal_margins_the_first_in_the_space_is_frozen():
    assert [f.parameter for f in next_frozen(SPACE, front((1, "x", 1)), 3)] == ["a", "b", "c"]


def test_what_is_frozen_is_not_frozen_again():
    members = front((1, "x", 1), (1, "x", 2), (2, "x", 3))
    assert [f.parameter for f in next_frozen(SPACE.freeze({"b": "x"}), members)] == ["a"]
    assert next_frozen(SPACE.freeze({"a": 1, "b": "x", "c": 1}), members) == ()


def test_an_empty_front_freezes_nothing():
    assert next_frozen(SPACE, []) == ()
