import json

import pytest

from search.errors import InputError
from search.settings import Settings


def test_json_gives_the_same_settings_back():
    settings = Settings(seed=5, budgets=({"iterations": 4}, {}), minutes=1.5, max_phases=2)
    assert Settings.from_json(json.loads(json.dumps(settings.to_json()))) == settings


def test_the_paper_is_the_default():
    assert [Settings().planned_trials(phase) for phase in range(3)] == [300, 500, 500]


def test_the_last_budget_serves_all_later_phases():
    settings = Settings(budgets=({"iterations": 1}, {"iterations": 2}))
    assert [settings.budget(phase)["iterations"] for phase in range(4)] == [1, 2, 2, 2]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"seed": -1}, "seed must be a whole number of at least 0, got -1"),
        ({"initial_trials": 0}, "initial_trials must be"),
        ({"refine_trials": 1.5}, "refine_trials must be"),
        ({"max_trials": True}, "max_trials must be"),
        ({"freeze_per_phase": 0}, "freeze_per_phase must be"),
        ({"pool": 0}, "pool must be"),
        ({"growth": 0}, "growth must be a positive number"),
        ({"phase_minutes": -3}, "phase_minutes must be a positive number"),
        ({"rungs": (0.5, 1.0)}, "rungs are shares of a training, above 0 and below 1: not 1.0"),
        ({"minutes": 0}, "minutes must be a positive number, got 0"),
        ({"finetune_minutes": -1}, "finetune_minutes must be a positive number, got -1"),
        ({"minutes": float("nan")}, "minutes must be"),
        ({"budgets": ()}, "budgets must name"),
    ],
)
def test_settings_that_cannot_be_are_refused_by_name(settings, said):
    with pytest.raises(InputError, match=said):
        Settings(**settings)


def test_an_unknown_setting_is_named():
    with pytest.raises(InputError, match="unknown setting 'trails'; known are budgets"):
        Settings.from_json({"trails": 5})


def test_a_budget_grows_with_the_share_of_the_space_that_is_frozen():
    settings = Settings(budgets=({"iterations": 100},), growth=4.0)
    assert [settings.budget(0, share)["iterations"] for share in (0, 0.5, 1)] == [100, 200, 400]
    assert Settings.from_json(settings.to_json()) == settings
