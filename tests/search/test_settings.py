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
        ({"freeze_per_phase": None}, "freeze_per_phase must be"),
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
