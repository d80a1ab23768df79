"""Numbers as people read them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.page_axes import axis, log_limits, round_ticks
from tools.page_text import MISSING, count, mflop, number, percent, quantity, signed_percent


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.04119, "0.0412"), (1.2, "1.20"), (9.996, "10.0"), (41234, "41,200"), (0, "0"),
        (-3.14159, "−3.14"), (999.6, "1,000"), (None, MISSING), (math.nan, MISSING),
        (math.inf, MISSING),
    ],
)  # fmt: skip
def test_three_significant_digits_and_no_exponent(value, text):
    assert number(value) == text


@given(st.floats(min_value=1e-6, max_value=1e9))
def test_a_number_is_within_half_a_percent_of_what_is_shown(value):
    assert float(number(value).replace(",", "")) == pytest.approx(value, rel=0.0051)


def test_shares_are_in_percent_to_one_decimal():
    assert percent(0.0714) == "7.1"
    assert percent(math.nan) == MISSING
    assert signed_percent(-0.0041) == "−0.4 %"


def test_a_missing_quantity_has_no_unit():
    assert quantity(None, "ms") == MISSING
    assert quantity(1.2, "ms") == "1.20 ms"


def test_operations_are_in_millions():
    assert mflop(8_123_456) == "8.12"


def test_one_is_singular():
    assert (count(1, "trial"), count(1200, "trial")) == ("1 trial", "1,200 trials")


def test_an_axis_is_logarithmic_where_values_lie_far_apart():
    assert axis("x", [1, 100])["type"] == "log"
    assert axis("x", [1, 2])["type"] == "linear"
    assert axis("x", [0, 100])["type"] == "linear"
    assert axis("x", [])["type"] == "linear"


@given(st.floats(1e-4, 1e4), st.floats(1.05, 1e6))
def test_a_logarithmic_axis_has_a_readable_number_of_ticks_inside(low, ratio):
    limits = log_limits([low, low * ratio])
    ticks = round_ticks(*limits)
    assert limits[0] < low
    assert low * ratio < limits[1]
    assert all(limits[0] <= tick <= limits[1] for tick in ticks)
    assert len(ticks) <= 12
