import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.encoding import decode, encode, keys, shares_frozen
from search.neighbours import neighbours
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
