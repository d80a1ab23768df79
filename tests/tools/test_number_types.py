"""Numbers on the command line are finite, within bounds, and the bounds are said in words."""

import click
import pytest

from tools.number_types import Number, Whole


def converted(kind, text):
    return kind.convert(text, None, None)


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (Whole(1, 9), "9", 9),
        (Whole(min=0), "0", 0),
        (Number(0, 1), "1", 1.0),
        (Number(min=0, min_open=True), "1e-9", 1e-9),
        (Number(0, 100, min_open=True, max_open=True), "99.9", 99.9),
        (Number(), "-5", -5.0),
    ],
)
def test_what_is_within_the_bounds_is_taken(kind, text, value):
    assert converted(kind, text) == value


@pytest.mark.parametrize(
    ("kind", "text", "said"),
    [
        (Whole(1, 5000), "0", "0 is out of range; allowed: 1 to 5,000"),
        (Whole(1, 5000), "5001", "5001 is out of range; allowed: 1 to 5,000"),
        (Whole(min=1), "1.5", "'1.5' is no whole number; allowed: at least 1"),
        (Whole(max=3), "4", "4 is out of range; allowed: at most 3"),
        (Number(min=0, min_open=True), "0", "0.0 is out of range; allowed: above 0"),
        (Number(0, 9, min_open=True, max_open=True), "9", "allowed: above 0 and below 9"),
        (Number(min=0), "nan", "'nan' is no number; allowed: at least 0"),
        (Number(min=0), "inf", "'inf' is no number; allowed: at least 0"),
        (Number(), "much", "'much' is no number; allowed: any number"),
    ],
)
def test_what_is_not_is_refused_with_what_is_allowed(kind, text, said):
    with pytest.raises(click.BadParameter) as refused:
        converted(kind, text)
    assert said in refused.value.message
