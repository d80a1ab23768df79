"""Runs for MLflow: an experiment, in it a run for the search and one below it for each training."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from search.errors import InputError
from tools.tracking import SEARCH, Point, Run, State, Tracker, TrackingError

if TYPE_CHECKING:
    from mlflow.entities import Run as MlflowRun
    from mlflow.tracking import MlflowClient

EXPERIMENT = "ponas"
"""Where MLflow's own variable MLFLOW_EXPERIMENT_NAME names no other."""
SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "15",
}
"""Variables that MLflow reads: it tells nobody of its use, and a server that is away for a while
does not keep a search waiting for minutes. Those that are set already stay as they are."""
_STUDY, _RUN, _STATE, _PARENT = "ponas.study", "ponas.run", "ponas.state", "mlflow.parentRunId"
"""Tags of ours, and MLflow's own for a run that is shown below another."""
_MOST_POINTS = 1000
"""Metrics that one request may carry. Source: MLflow's REST API, runs/log-batch."""
_PAGE = 1000


class MlflowLog(Tracker):
    """The runs of a study at one of MLflow's tracking URIs, told apart by our tags."""

    name = "MLflow"

    def __init__(self, uri: str) -> None:
        """Raises InputError where MLflow is missing or nothing can be kept at ``uri``."""
        _check_installed()
        for name, value in SETTINGS.items():
            os.environ.setdefault(name, value)
        from mlflow.tracking import MlflowClient

        self._study, self._runs = "", dict[str, "MlflowRun"]()
        try:
            self._client: MlflowClient = MlflowClient(uri)
            self._experiment = _experiment(self._client)
        except Exception as error:
            raise InputError(f"--mlflow: nothing can be kept at {uri} ({_first(error)})") from None

    def open(self, study: str) -> None:
        self._study, token, found = study, None, dict[str, "MlflowRun"]()
        with _translated():
            while True:
                page = self._client.search_runs(
                    [self._experiment], f"tags.`{_STUDY}` = '{study}'", max_results=_PAGE,
                    page_token=token,
                )  # fmt: skip
                found.update((run.data.tags[_RUN], run) for run in page)
                token = page.token
                if not token:
                    break
            self._runs = found
            if SEARCH in found:
                self._client.update_run(found[SEARCH].info.run_id, "RUNNING")

    def state(self, run: str) -> State | None:
        found = self._runs.get(run)
        text = found.data.tags.get(_STATE) if found else None
        for state in ("finished", "stopped", "failed"):
            if text == state:
                return state
        return None

    def points(self, run: str) -> set[tuple[str, int]]:
        if run not in self._runs:
            return set()
        number = self._runs[run].info.run_id
        with _translated():
            keys = self._client.get_run(number).data.metrics
            return {
                (key, each.step)
                for key in keys
                for each in self._client.get_metric_history(number, key)
            }

    def write(self, run: Run, points: Sequence[Point]) -> None:
        from mlflow.entities import Metric

        metrics = [Metric(p.key, p.value, round(1000 * p.at), p.step) for p in points]
        with _translated():
            number = self._number(run)
            for first in range(0, len(metrics), _MOST_POINTS):
                self._client.log_batch(number, metrics=metrics[first : first + _MOST_POINTS])

    def end(self, run: Run, state: State, at: float) -> None:
        with _translated():
            number = self._number(run)
            self._set(run)  # a kill may have come between the run and its settings
            status = "FAILED" if state == "failed" else "FINISHED"
            self._client.set_terminated(number, status, end_time=round(1000 * at))
            self._client.set_tag(number, _STATE, state)
            self._runs[run.name] = self._client.get_run(number)

    def close(self) -> None:
        if SEARCH in self._runs:
            with _translated():
                self._client.set_terminated(self._runs[SEARCH].info.run_id, "FINISHED")

    def _number(self, run: Run) -> str:
        """MLflow's name of a run, which is made where it is missing."""
        if run.name in self._runs:
            return str(self._runs[run.name].info.run_id)
        tags = {_STUDY: self._study, _RUN: run.name}
        title = self._study if run.name == SEARCH else run.name
        if run.name != SEARCH:
            tags[_PARENT] = self._number(Run(SEARCH, run.started))
        made = self._client.create_run(
            self._experiment, start_time=round(1000 * run.started), tags=tags, run_name=title
        )
        self._runs[run.name] = made
        self._set(run)
        return str(made.info.run_id)

    def _set(self, run: Run) -> None:
        """Tells the run's settings, which MLflow keeps once however often they are told."""
        from mlflow.entities import Param

        parameters = [Param(name, str(value)) for name, value in run.parameters.items()]
        if parameters:
            self._client.log_batch(self._runs[run.name].info.run_id, params=parameters)


def _experiment(client: MlflowClient) -> str:
    """The experiment's number, of one that is made where it is missing."""
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME", EXPERIMENT)
    found = client.get_experiment_by_name(name)
    return str(found.experiment_id if found is not None else client.create_experiment(name))


def _check_installed() -> None:
    if importlib.util.find_spec("mlflow") is None:
        raise InputError(
            "--mlflow needs the package mlflow-skinny; install it with: pip install 'ponas[mlflow]'"
        )


@contextmanager
def _translated() -> Iterator[None]:
    """What MLflow raises, and what SQLAlchemy and requests do below it, as TrackingError."""
    try:
        yield
    except Exception as error:
        raise TrackingError(_first(error)) from error


def _first(error: Exception) -> str:
    """The first line of what an error says."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
