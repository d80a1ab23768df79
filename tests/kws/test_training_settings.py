import math

import pytest

from kws.errors import InputError
from kws.training_settings import PAPER_FINETUNE, TrainingSettings


def test_defaults_are_those_of_the_papers_search_and_fine_tuning():
    search = TrainingSettings()
    assert (search.learning_rate, search.batch, search.iterations) == (1e-3, 25, 8_000)
    assert (PAPER_FINETUNE.learning_rate, PAPER_FINETUNE.batch) == (5e-4, 100)
    assert PAPER_FINETUNE.iterations == 40_000
    rates = [PAPER_FINETUNE.rate_at(i) for i in (0, 9_999, 10_000, 20_000, 39_999)]
    assert rates == pytest.approx([5e-4, 5e-4, 1.5e-4, 4.5e-5, 1.35e-5])


def test_a_cosine_falls_from_the_rate_to_nothing_and_is_half_of_it_in_the_middle():
    settings = TrainingSettings(learning_rate=1e-2, iterations=1_000, schedule="cosine")
    assert settings.rate_at(0) == 1e-2
    assert settings.rate_at(500) == pytest.approx(5e-3)
    assert settings.rate_at(250) == pytest.approx(5e-3 * (1 + math.sqrt(0.5)))
    assert 0 < settings.rate_at(999) < 1e-7
    rates = [settings.rate_at(iteration) for iteration in range(1_000)]
    assert rates == sorted(rates, reverse=True)


@pytest.mark.parametrize("schedule", ["steps", "cosine"])
def test_a_warm_up_rises_in_equal_steps_to_the_rate(schedule):
    settings = TrainingSettings(
        learning_rate=1e-2, iterations=100, schedule=schedule, warm_up_iterations=4
    )
    rates = [settings.rate_at(iteration) for iteration in range(5)]
    assert rates == pytest.approx([2e-3, 4e-3, 6e-3, 8e-3, 1e-2])


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"learning_rate": 0.0}, "learning_rate is 0.0; above 0"),
        ({"learning_rate": float("nan")}, "learning_rate is nan"),
        ({"batch": 0}, "batch is 0; whole numbers from 1"),
        ({"iterations": 1.5}, "iterations is 1.5"),
        ({"decay": 1.0}, "decay is 1.0; 0 and more, below 1"),
        ({"decay_iterations": 0}, "decay_iterations is 0"),
        ({"schedule": "linear"}, "schedule is 'linear'; steps or cosine is allowed"),
        ({"weight_decay": -0.1}, "weight_decay is -0.1; 0 and more, below 1"),
        ({"averaging": 1.0}, "averaging is 1.0; 0 and more, below 1"),
        ({"iterations": 5, "warm_up_iterations": 5}, "warm_up_iterations is 5; .* below the 5"),
        ({"evaluate_iterations": -1}, "evaluate_iterations is -1"),
        ({"evaluate_at": (100, 0)}, "evaluate_at is 0; whole numbers from 1"),
    ],
)
def test_impossible_settings_are_refused_where_they_are_made(setting, message):
    with pytest.raises(InputError, match=message):
        TrainingSettings(**setting)
