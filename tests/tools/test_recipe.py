"""How networks are trained, however long, and what of it may be searched."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kws.training_settings import PAPER_FINETUNE, TrainingSettings
from search.space import Space
from tools.recipe import (
    FINETUNE_DROP_EVERY,
    SEARCH_DROP_EVERY,
    TUNING,
    Recipe,
    after,
    modern,
    tuning_parameters,
    tuning_start,
)

RECIPE = Recipe(learning_rate=2e-3, batch=24, drop_every=SEARCH_DROP_EVERY)


@dataclass(frozen=True)
class Asked:
    learning_rate: float
    batch: int


def test_without_anything_tuned_a_training_has_the_recipes_settings():
    settings = RECIPE.settings(400, {"u1_m": 30})
    assert (settings.learning_rate, settings.batch, settings.iterations) == (2e-3, 24, 400)
    assert [settings.rate_at(i) for i in (0, 279, 280, 399)] == pytest.approx(
        [2e-3, 2e-3, 6e-4, 6e-4]
    )
    assert settings.evaluate_iterations == 400
    assert settings.curve_iterations == 20


def test_the_papers_fine_tuning_is_a_recipe_of_40000_iterations():
    recipe = Recipe(learning_rate=5e-4, batch=100, drop_every=FINETUNE_DROP_EVERY)
    settings = recipe.settings(40_000, {})
    assert settings.decay_iterations == PAPER_FINETUNE.decay_iterations
    assert settings.decay == PAPER_FINETUNE.decay


@given(
    rate=st.floats(1e-6, 1),
    batch=st.integers(1, 500),
    choices=st.lists(st.integers(0, 100), min_size=4, max_size=4),
    iterations=st.integers(1, 50_000),
)
def test_every_option_trains_and_none_on_more_clips_than_the_defaults(
    rate, batch, choices, iterations
):
    found = {
        p.name: p.at(i % p.count)
        for p, i in zip(tuning_parameters(Asked(rate, batch)), choices, strict=True)
    }
    assert tuple(found) == TUNING
    recipe = Recipe(learning_rate=rate, batch=batch, drop_every=SEARCH_DROP_EVERY)
    settings = recipe.settings(iterations, found, (0.25, 0.5))
    budget = recipe.settings(iterations, {})
    assert settings.batch * settings.iterations <= budget.batch * budget.iterations + settings.batch
    assert isinstance(settings, TrainingSettings)


@given(rate=st.floats(1e-6, 1), batch=st.integers(1, 500), iterations=st.integers(1, 50_000))
def test_the_start_is_among_the_options_and_is_the_recipe_itself(rate, batch, iterations):
    asked = Asked(rate, batch)
    start = Space(tuning_parameters(asked)).validate(tuning_start(asked))
    recipe = Recipe(learning_rate=rate, batch=batch, drop_every=SEARCH_DROP_EVERY)
    assert recipe.settings(iterations, start) == recipe.settings(iterations, {})


def test_the_modern_recipe_warms_up_falls_to_nothing_and_keeps_the_best_average():
    settings = modern(RECIPE).settings(1_000, {})
    rates = [settings.rate_at(iteration) for iteration in range(1_000)]
    assert max(rates) == rates[50] == 6e-3
    assert rates[0] < 2e-4
    assert rates[-1] < 1e-6
    assert settings.averaging == pytest.approx(0.95)
    assert (settings.evaluate_iterations, settings.keep_best) == (50, True)


@pytest.mark.parametrize("iterations", [1, 2, 7])
def test_a_modern_recipe_may_be_as_short_as_one_likes(iterations):
    assert modern(RECIPE).settings(iterations, {}).iterations == iterations


def test_another_batch_sees_as_many_clips():
    assert RECIPE.settings(400, {"batch": 48}).iterations == 200
    assert RECIPE.settings(400, {"batch": 12, "iterations_share": 0.5}).iterations == 400


def test_evaluations_come_after_the_shares_of_this_very_training():
    assert RECIPE.settings(400, {}, (0.25, 0.5)).evaluate_at == (100, 200)
    assert RECIPE.settings(400, {"batch": 48}, (0.25, 0.5)).evaluate_at == (50, 100)
    assert after(0.25, 1) == 1
