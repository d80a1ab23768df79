import json

import pytest

from search.errors import InputError
from search.space import Choice, Integer, Space, candidate_key

SPACE = Space(
    (Integer("filters", 10, 50, 10), Choice("kernel", ("1x1", "3x3")), Integer("k", 1, 5))
)


def test_the_size_is_the_number_of_candidates():
    candidates = list(SPACE.candidates())
    assert SPACE.size() == len(candidates) == 5 * 2 * 5
    assert len({candidate_key(each) for each in candidates}) == 50
    assert all(SPACE.validate(each) == each for each in candidates)


def test_a_step_that_misses_the_upper_bound_stops_below_it():
    assert [Integer("m", 1, 10, 4).at(i) for i in range(3)] == [1, 5, 9]
    with pytest.raises(IndexError):
        Integer("m", 1, 10, 4).at(3)


def test_freezing_leaves_one_setting():
    frozen = SPACE.freeze({"kernel": "3x3"})
    assert [parameter.name for parameter in frozen.free] == ["filters", "k"]
    assert frozen.size() == 25
    assert {each["kernel"] for each in frozen.candidates()} == {"3x3"}
    assert SPACE.size() == 50


def test_a_space_holds_only_candidates_that_share_its_frozen_settings():
    frozen = SPACE.freeze({"kernel": "3x3", "k": 2})
    assert frozen.holds({"filters": 10, "kernel": "3x3", "k": 2})
    assert not frozen.holds({"filters": 10, "kernel": "1x1", "k": 2})


def test_json_gives_the_same_space_back():
    frozen = SPACE.freeze({"kernel": "3x3"})
    assert Space.from_json(json.loads(json.dumps(frozen.to_json()))) == frozen


@pytest.mark.parametrize(
    ("candidate", "said"),
    [
        ({"filters": 10, "kernel": "3x3"}, "'k' has no setting"),
        (
            {"filters": 15, "kernel": "3x3", "k": 1},
            "'filters' cannot be 15.*10 to 50 in steps of 10",
        ),
        ({"filters": True, "kernel": "3x3", "k": 1}, "'filters' cannot be True"),
        ({"filters": 10, "kernel": "7x7", "k": 1}, "'kernel' cannot be '7x7'.*'1x1', '3x3'"),
        ({"filters": 10, "kernel": "3x3", "k": 9}, "'k' cannot be 9.*from 1 to 5"),
        ({"filters": 10, "kernl": "3x3", "k": 1}, "'kernl'; did you mean 'kernel'"),
        ({"filters": 10, "zzz": "3x3", "k": 1}, "'zzz'; known are filters, kernel, k"),
    ],
)
def test_a_wrong_candidate_is_told_which_parameter_is_wrong(candidate, said):
    with pytest.raises(InputError, match=said) as caught:
        SPACE.validate(candidate)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Integer("m", 5, 1), "'m' are upside down"),
        (lambda: Integer("m", 1, 5, 0), "step of 'm'"),
        (lambda: Integer("m", 1.0, 5), "low of 'm'"),
        (lambda: Integer("", 1, 5), "needs a name"),
        (lambda: Choice("c", ()), "at least one option"),
        (lambda: Choice("c", (1, 1)), "twice"),
        (lambda: Choice("c", (None,)), "None of 'c'"),
        (lambda: Space(()), "at least one parameter"),
        (lambda: Space((Integer("m", 1, 5), Choice("m", (1,)))), "'m' stands twice"),
        (lambda: SPACE.freeze({"k": 9}), "'k' cannot be 9"),
        (lambda: Space.from_json({"parameters": [{"kind": "real"}]}), "kind of parameter 'real'"),
        (lambda: Space.from_json({}), "not a description"),
    ],
)
def test_a_space_that_cannot_be_is_refused(make, said):
    with pytest.raises(InputError, match=said):
        make()


def test_one_and_true_and_one_point_zero_are_three_options():
    choice = Choice("c", (1, True, 1.0))
    assert [choice.index(each) for each in (1, True, 1.0)] == [0, 1, 2]
    assert len({candidate_key({"c": each}) for each in choice.options}) == 3
