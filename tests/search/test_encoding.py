import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.sampling.encoding import decode, encode, encode_all, keys, shares_frozen
from search.sampling.neighbours import neighbours
from search.space import Choice, Integer, Space

SPACE = Space((Integer("a", 10, 50, 10), Choice("b", (1, True, 1.0, "x")), Integer("c", -3, 3)))
EVERY = list(SPACE.candidates())


@given(st.lists(st.sampled_from(EVERY), max_size=5))
def test_what_is_encoded_is_decoded(candidates):
    codes = encode(SPACE, candidates)
    assert codes.shape == (len(candidates), 3)
    decoded = [decode(SPACE, code) for code in codes]
    assert decoded == candidates
    assert [type(each["b"]) for each in decoded] == [type(each["b"]) for each in candidates]


def test_each_candidate_has_a_key_of_its_own():
    assert len(set(keys(encode(SPACE, EVERY)))) == len(EVERY) == SPACE.size()


@given(st.sampled_from(EVERY), st.sampled_from(EVERY))
def test_which_share_the_frozen_settings_is_what_the_space_says(held, other):
    frozen = SPACE.freeze({"b": held["b"], "c": held["c"]})
    assert shares_frozen(frozen, encode(SPACE, [other])).tolist() == [frozen.holds(other)]


def test_nothing_frozen_is_shared_by_all():
    assert shares_frozen(SPACE, encode(SPACE, EVERY)).all()


@pytest.mark.parametrize("frozen", [{}, {"b": True}, {"a": 20, "b": "x"}])
def test_a_neighbour_differs_in_free_settings_alone_and_always_does(frozen):
    space = SPACE.freeze(frozen)
    codes = encode(space, list(space.candidates()) * 5)
    found = neighbours(space, codes, np.random.default_rng(0))
    assert (found != codes).any(axis=1).all()
    assert shares_frozen(space, found).all()
    assert all(SPACE.validate(decode(SPACE, row)) for row in found)


def test_most_neighbours_are_near():
    wide = Space((Integer("a", 0, 99), Integer("b", 0, 99)))
    codes = np.full((2000, 2), 50)
    moved = np.abs(neighbours(wide, codes, np.random.default_rng(0)) - codes)
    assert 0.4 < (np.count_nonzero(moved, axis=1) == 1).mean() < 0.6
    assert 10 < np.median(moved[moved > 0]) < 30


def test_a_space_without_a_free_setting_has_no_neighbours():
    space = SPACE.freeze(EVERY[0])
    codes = encode(space, EVERY[:1])
    assert neighbours(space, codes, np.random.default_rng(0)).tolist() == codes.tolist()


@given(st.lists(st.lists(st.sampled_from(EVERY), max_size=6), max_size=4))
def test_a_list_that_grew_or_changed_is_encoded_as_a_new_one(lists):
    for candidates in lists:
        for part in (candidates, candidates + EVERY[:2], candidates[1:]):
            copies = [dict(each) for each in part]
            assert encode_all(SPACE, copies).tolist() == encode(SPACE, part).tolist()
            longer = [*copies, EVERY[3]]
            assert encode_all(SPACE, longer).tolist() == encode(SPACE, longer).tolist()


def test_the_same_candidate_in_another_space_is_another_code():
    other = Space((Integer("a", 0, 50, 10), *SPACE.parameters[1:]))
    candidates = [EVERY[0]]
    assert encode_all(SPACE, candidates)[0, 0] == 0
    assert encode_all(other, candidates)[0, 0] == 1
