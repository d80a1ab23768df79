import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmodel.calibration.card import SPLIT, make_card


def test_a_card_by_hand():
    card = make_card([1.0, 1.04, 0.92, 1.2, 0.7], [1.0] * 5)
    assert card.mape == pytest.approx((0 + 0.04 + 0.08 + 0.2 + 0.3) / 5)
    assert card.bias == pytest.approx((0 + 0.04 - 0.08 + 0.2 - 0.3) / 5)
    assert (card.within_5, card.within_10, card.networks) == (0.4, 0.6, 5)
    assert card.interval == pytest.approx(0.3)  # rank ⌈6 × 0.8⌉ = 5
    assert card.split == SPLIT


def test_a_perfect_model_has_no_error():
    card = make_card([3.0, 5.0], [3.0, 5.0])
    assert (card.mape, card.bias, card.interval, card.within_5) == (0, 0, 0, 1)


@given(st.lists(st.floats(0.2, 5), min_size=1, max_size=60))
def test_the_interval_holds_at_least_four_in_five_of_what_it_was_made_from(predicted):
    card = make_card(predicted, [1.0] * len(predicted))
    sizes = np.abs(np.array(predicted) - 1)
    assert (sizes <= card.interval).mean() >= min(0.8, 1)
    assert card.interval in sizes
    assert abs(card.bias) <= card.mape + 1e-12


@given(st.integers(0, 2**32), st.floats(1e-6, 1e3))
def test_the_unit_of_time_does_not_matter(seed, unit):
    generator = np.random.default_rng(seed)
    predicted, measured = generator.uniform(1, 2, (2, 9))
    one, other = make_card(predicted, measured), make_card(unit * predicted, unit * measured)
    assert one.mape == pytest.approx(other.mape)


def test_the_conformal_interval_covers_four_in_five_new_ones():
    generator = np.random.default_rng(0)
    covered = []
    for _ in range(400):
        errors = 1 + 0.05 * generator.standard_normal(21)
        card = make_card(errors[:20], [1.0] * 20)
        covered.append(abs(errors[20] - 1) <= card.interval)
    assert 0.76 < np.mean(covered) < 0.88
