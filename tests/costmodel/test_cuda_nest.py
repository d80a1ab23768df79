import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from costmodel.schedules.cuda_nest import ravel, unravel

extents = st.lists(st.integers(1, 5), min_size=1, max_size=4)


@given(extents)
def test_ravel_and_unravel_are_numpys(extents):
    for indices in itertools.product(*map(range, extents)):
        position = ravel(list(zip(indices, extents, strict=True)))
        assert position == np.ravel_multi_index(indices, extents)
        assert unravel(position, tuple(extents)) == indices


@given(extents, st.integers(1, 200))
def test_below_an_extent_nothing_changes_where_the_position_is_below_it(extents, extent):
    for indices in itertools.product(*map(range, extents)):
        places = list(zip(indices, extents, strict=True))
        if ravel(places) < extent:
            assert ravel(places, extent) == ravel(places)


def test_an_index_that_is_zero_below_the_extent_is_left_out():
    unused = object()  # no arithmetic is done with it
    assert ravel([(unused, 4), (3, 8)], extent=8) == 3
    assert ravel([(unused, 1), (3, 8)]) == 3
