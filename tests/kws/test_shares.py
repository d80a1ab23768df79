import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from kws.shares import Share


@st.composite
def shares(draw):
    of = draw(st.integers(1, 20_000))
    return Share(draw(st.integers(0, of)), of)


@given(shares())
def test_the_interval_is_scipys_by_wilson(share):
    theirs = binomtest(share.count, share.of).proportion_ci(0.95, method="wilson")
    assert share.interval == pytest.approx((theirs.low, theirs.high), abs=1e-12)


@given(shares())
def test_the_interval_holds_the_share_and_mirrors_that_of_the_rest(share):
    low, high = share.interval
    assert 0 <= low <= share.value <= high <= 1
    assert low < high
    rest_low, rest_high = Share(share.of - share.count, share.of).interval
    assert (rest_low, rest_high) == pytest.approx((1 - high, 1 - low), abs=1e-12)


def test_published_intervals_are_met():
    """Newcombe 1998, Statistics in Medicine 17, 857-872, table I, method 3."""
    for count, of, low, high in (
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ):
        found = Share(count, of).interval
        assert [round(end, 4) for end in found] == [low, high]


def test_nothing_has_no_share_and_any_share_agrees_with_it():
    assert Share(0, 0).value is None
    assert Share(0, 0).interval == (0.0, 1.0)
    assert str(Share(0, 0)) == "- (of 0)"


def test_it_is_written_with_its_interval_and_number():
    assert str(Share(81, 263)) == "30.8 % (25.5 to 36.6) of 263"
    assert Share(1, 2).json() == {
        "share": 0.5, "count": 1, "of": 2, "interval": list(Share(1, 2).interval)
    }  # fmt: skip


@pytest.mark.parametrize(("count", "of"), [(-1, 3), (4, 3), (1, 0)])
def test_more_than_all_is_no_share(count, of):
    with pytest.raises(ValueError, match="is no share"):
        Share(count, of)
