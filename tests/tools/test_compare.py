"""`ponas compare`: both objectives are searched alike, and it can be interrupted."""

from pathlib import Path

import pytest

from search.errors import InputError
from tools.commands import compare
from tools.execution import Execution
from tools.job import Request

REQUEST = Request(
    profile="host-cpu", objective="latency", data="generated", candidates=4, iterations=20,
    finetune_iterations=0, seed=7,
)  # fmt: skip


@pytest.fixture
def asked(monkeypatch):
    """The searches that are asked for, by study; none is run."""
    searches = {}
    monkeypatch.setattr("tools.commands.search.calibrate_if_needed", lambda name, progress: None)  # noqa: ARG005

    def search(path, request, execution, *, accept_changes):
        assert not accept_changes
        searches[path] = (request, execution)

    monkeypatch.setattr(compare, "_search", search)
    return searches


def test_objectives_are_searched_alike_from_each_seed(asked):
    execution = Execution(workers=2)
    paths = compare._search_all(REQUEST, 2, Path("out"), execution, accept_changes=False)
    assert paths == {
        "flops": [Path("out/flops-7.study"), Path("out/flops-8.study")],
        "latency": [Path("out/latency-7.study"), Path("out/latency-8.study")],
    }
    for seed, operations, latency in zip((7, 8), paths["flops"], paths["latency"], strict=True):
        one, other = (vars(asked[path][0]) for path in (operations, latency))
        assert {name for name in one if one[name] != other[name]} == {"objective"}
        assert one["seed"] == seed
        assert asked[operations][1] is execution


def test_what_was_begun_with_other_options_is_not_gone_on_with():
    other = Request(**{**vars(REQUEST), "candidates": 9})
    with pytest.raises(InputError, match="begun with another candidates; give another --output"):
        compare._check_asked(Path("flops-7.study"), other, REQUEST)
    compare._check_asked(Path("flops-7.study"), REQUEST, REQUEST)


def test_compare_takes_the_options_of_search():
    options = {parameter.name for parameter in compare.command.params}
    assert {"workers", "executor", "tuning", "pool", "grow", "seeds", "profile"} <= options
