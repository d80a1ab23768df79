import pytest

from search.errors import InputError
from search.objective import Constraint, Objective, violation


def test_a_constraint_is_passed_by_a_share_of_its_bound():
    assert Constraint("latency", 4.0).violation({"latency": 5.0}) == 0.25
    assert Constraint("latency", 4.0).violation({"latency": 4.0}) == 0
    assert Constraint("latency", 4.0).violation({}) == 0
    assert Constraint("latency", -2.0).violation({"latency": -1.0}) == 0.5
    assert Constraint("latency", 0.0).violation({"latency": 3.0}) == 3


def test_violations_add_up():
    constraints = (Constraint("a", 1.0), Constraint("b", 2.0), Constraint("c", 3.0))
    assert violation(constraints, {"a": 2.0, "b": 3.0, "c": 1.0}) == 1.5


def test_what_is_maximised_costs_its_negative():
    best = Objective("top1", "%", lambda *_: 1.0, needs_training=True, direction="maximize")
    least = Objective("error", "%", lambda *_: 1.0, needs_training=True)
    assert (best.spec.cost(3.0), least.spec.cost(3.0)) == (-3.0, 3.0)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Objective("", "ms", lambda *_: 1.0, needs_training=False), "needs a name"),
        (
            lambda: Objective("e", "", lambda *_: 1.0, needs_training=False, direction="up"),
            "'e' is 'up': minimize or maximize",
        ),
        (lambda: Constraint("latency", float("nan")), "'latency' must be a finite number"),
    ],
)
def test_an_objective_or_bound_that_cannot_be_is_refused(make, said):
    with pytest.raises(InputError, match=said):
        make()
