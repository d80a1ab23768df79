"""Runs for TensorBoard: a folder of event files each, its settings as hyperparameters."""

from __future__ import annotations

import importlib.util
import io
import os
import platform
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from search.errors import InputError
from tools.tracking import Point, Run, State, Tracker, TrackingError

if TYPE_CHECKING:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary

SUFFIX = ".ponas"
_STATES: dict[str, State] = {"finished": "finished", "stopped": "stopped", "failed": "failed"}
_STATE = "state"
"""Tag of the text that says how a run ended."""


class TensorBoardLog(Tracker):
    """Below a folder one for the study, in it one a run.

    Event files are read back at the beginning: what they hold is what has been told. One that a
    kill has cut short is read up to there, and a new one is written beside it.
    """

    name = "TensorBoard's folder"

    def __init__(self, folder: Path) -> None:
        """Raises InputError where TensorBoard is missing or the folder cannot be made."""
        _check_installed()
        self._folder = self._study = folder
        self._file = (
            f"events.out.tfevents.{time.time():.0f}.{platform.node()}.{os.getpid()}{SUFFIX}"
        )
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(
                f"--tensorboard: folder {folder} cannot be made ({error.strerror}); name another"
            ) from None

    def open(self, study: str) -> None:
        self._study = self._folder / study

    def state(self, run: str) -> State | None:
        found = None
        for value, _ in self._values(run):
            if value.tag == _STATE and value.tensor.string_val:
                found = _STATES.get(value.tensor.string_val[0].decode())
        return found

    def points(self, run: str) -> set[tuple[str, int]]:
        return {(value.tag, step) for value, step in self._values(run)}

    def write(self, run: Run, points: Sequence[Point]) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.plugins.hparams.summary_v2 import hparams_pb

        events = [
            Event(
                wall_time=point.at, step=point.step,
                summary=Summary(value=[Summary.Value(tag=point.key, simple_value=point.value)]),
            )
            for point in points
        ]  # fmt: skip
        if not events:
            return
        if run.parameters and not (self._study / run.name).exists():
            settings = hparams_pb(dict(run.parameters), run.name, run.started)
            events.insert(0, Event(wall_time=run.started, summary=settings))
        self._append(run.name, events)

    def end(self, run: Run, state: State, at: float) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.plugins.text.summary_v2 import text_pb

        summaries = [text_pb(_STATE, state), *([_session_end(state, at)] if run.parameters else [])]
        self._append(run.name, [Event(wall_time=at, summary=each) for each in summaries])

    def close(self) -> None:
        pass

    def _values(self, run: str) -> Iterator[tuple[Any, int]]:
        """Every value of the run's files and its step, in the order they were written."""
        from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

        for path in sorted((self._study / run).glob(f"events.*{SUFFIX}")):
            for event in EventFileLoader(str(path)).Load():
                yield from ((value, event.step) for value in event.summary.value)

    def _append(self, run: str, events: Sequence[Event]) -> None:
        """Adds to this process's file of the run, whole or not at all."""
        from tensorboard.summary.writer.record_writer import RecordWriter

        records = io.BytesIO()
        path = self._study / run / self._file
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            before = path.stat().st_size if path.exists() else 0
            writer = RecordWriter(records)
            for event in (*([] if before else [_version()]), *events):
                writer.write(event.SerializeToString())
            with path.open("ab") as file:
                try:
                    file.write(records.getvalue())
                    file.flush()
                except OSError:
                    os.truncate(path, before)  # a piece of a record would hide all that follow
                    raise
        except OSError as error:
            raise TrackingError(f"{path} cannot be written: {error.strerror}") from error


def _version() -> Event:
    """What an event file begins with. Source: TensorFlow's ``core/util/event.proto``."""
    from tensorboard.compat.proto.event_pb2 import Event

    return Event(wall_time=time.time(), file_version="brain.Event:2")


def _session_end(state: State, at: float) -> Summary:
    """That the settings' session is over, for the table of hyperparameters."""
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2

    status = api_pb2.STATUS_FAILURE if state == "failed" else api_pb2.STATUS_SUCCESS
    data = plugin_data_pb2.HParamsPluginData(
        session_end_info=plugin_data_pb2.SessionEndInfo(status=status, end_time_secs=at)
    )
    value = Summary.Value(
        tag=metadata.SESSION_END_INFO_TAG,
        metadata=metadata.create_summary_metadata(data),
        tensor=metadata.NULL_TENSOR,
    )
    return Summary(value=[value])


def _check_installed() -> None:
    if importlib.util.find_spec("tensorboard") is None:
        raise InputError(
            "--tensorboard needs the package tensorboard; "
            "install it with: pip install 'ponas[tensorboard]'"
        )
