"""What MLflow finds in its store, by its own client."""

import importlib.util
import itertools

import pytest
from tracker_contract import TrackerContract, check_outage

from search.errors import InputError
from tools import mlflow_log
from tools.mlflow_log import MlflowLog

NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """One SQLite file for all tests: making its tables takes seconds."""
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/mlflow.db"


class TestMlflow(TrackerContract):
    @pytest.fixture(autouse=True)
    def place(self, store, monkeypatch):
        self.store, self.experiment = store, f"test {next(NUMBERS)}"
        monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", self.experiment)

    def make(self):
        return MlflowLog(self.store)

    def kept(self):
        from mlflow.tracking import MlflowClient

        client = MlflowClient(self.store)
        experiment = client.get_experiment_by_name(self.experiment)
        studies, parents = {}, {}
        for run in client.search_runs([experiment.experiment_id], max_results=1000):
            tags, number = run.data.tags, run.info.run_id
            values = {
                key: [(each.step, each.value) for each in client.get_metric_history(number, key)]
                for key in run.data.metrics
            }
            name, runs = tags["ponas.run"], studies.setdefault(tags["ponas.study"], {})
            assert name not in runs, "a run was made twice"
            runs[name] = (values, run.data.params, tags.get("ponas.state"))
            parents[number] = (name, tags["ponas.study"], tags.get("mlflow.parentRunId"))
        for name, study, parent in parents.values():
            assert (parent is None) == (name == "search")
            assert parent is None or parents[parent][:2] == ("search", study)
        return studies

    def test_an_outage_costs_nothing_but_a_line(self, tmp_path):
        check_outage(self, tmp_path / "a.study")


def test_a_place_where_nothing_can_be_kept_is_told_of(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    for uri in ("http://127.0.0.1:9", str(tmp_path / "mlruns")):
        with pytest.raises(InputError, match=r"--mlflow: nothing can be kept at .* \(.+\)$"):
            MlflowLog(uri)


def test_without_the_package_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(InputError, match=r"install it with: pip install 'ponas\[mlflow\]'"):
        mlflow_log.MlflowLog("sqlite:///never.db")
