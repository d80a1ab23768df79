import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from costmodel.analysis.footprint import Footprint, distinct, touched
from costmodel.loopnest import Access, Loop, LoopKind, Statement

SERIAL = LoopKind.SERIAL


def loops_of(*extents):
    return tuple(Loop(extent, SERIAL) for extent in extents)


def statement_of(extents, **strides):
    loads = tuple(Access(name, s, None) for name, s in strides.items())
    return Statement(loops_of(*extents), Access("out", (0,) * len(extents), None), loads, 2, False)


def named(extents, strides):
    """Every element that the loops name: the slow, obvious way."""
    turns = itertools.product(*map(range, extents))
    return {sum(t * s for t, s in zip(turn, strides, strict=True)) for turn in turns}


@settings(deadline=None)
@given(st.data())
def test_elements_of_a_convolutions_input_are_counted_exactly(data):
    """Rows, columns and channels of [H, W, C] under any window and stride that leaves no holes."""
    rows, columns, channels, kh, kw = (data.draw(st.integers(2, 5)) for _ in range(5))
    sh, sw = data.draw(st.integers(1, kh)), data.draw(st.integers(1, kw))
    width = (columns - 1) * sw + kw
    row = width * channels
    extents = (rows, columns, kh, kw, channels)
    strides = (sh * row, sw * channels, row, channels, 1)
    order = data.draw(st.permutations(range(5)))
    extents, strides = ([given_[i] for i in order] for given_ in (extents, strides))
    access = Access("x", tuple(strides), None)
    assert distinct(loops_of(*extents), access) == len(named(extents, strides))


def test_a_loop_that_moves_nothing_adds_nothing():
    assert distinct(loops_of(3, 50, 4), Access("x", (4, 0, 1), None)) == 12


def test_a_row_fills_lines_and_scattered_elements_one_each():
    assert touched(loops_of(64), Access("x", (1,), None), 64) == [256, 64]
    assert touched(loops_of(64), Access("x", (1000,), None), 64) == [64 * 64, 64]


def test_elements_less_than_a_line_apart_share_lines():
    """Every other of 64 elements lies in the same four lines of 64 bytes."""
    assert touched(loops_of(32), Access("x", (2,), None), 64)[0] == pytest.approx(4 * 63)


def test_a_buffer_that_is_read_twice_counts_once():
    twice = statement_of((4, 16), x=(16, 1))
    both = Statement(twice.loops, twice.store, twice.loads * 2, 2, guarded=False)
    assert Footprint(both, both.loads, 64).total == Footprint(twice, twice.loads, 64).total


def matrix_product(n=256):
    """Rows of a, columns of b side by side: b is wanted again for each row of a."""
    return statement_of((n, n, n), a=(n, 0, 1), b=(0, 1, n))


def traffic(statement, cache_bytes):
    return Footprint(statement, statement.loads, 64).traffic(cache_bytes)


def test_a_cache_that_holds_all_fetches_each_byte_once():
    assert traffic(matrix_product(), 2**30) == 2 * 4 * 256**2


def test_without_a_cache_everything_is_fetched_again():
    """Each of 256³ turns reads a line of each matrix."""
    assert traffic(matrix_product(), 8) == pytest.approx(256**3 * 2 * 64)


@given(st.integers(3, 25), st.integers(3, 25))
def test_a_larger_cache_never_fetches_more(one, other):
    small, large = sorted((2**one, 2**other))
    assert traffic(matrix_product(), large) <= traffic(matrix_product(), small) * (1 + 1e-9)
