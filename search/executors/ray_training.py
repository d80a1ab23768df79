"""What a Ray worker runs for one candidate: a generator of reports, and last of the end."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import platform
import queue
import shutil
import sys
import tempfile
import threading
import traceback
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from search.evaluation import Evaluation, one_line
from search.work import Report, Task, Work, perform


@dataclass(frozen=True)
class Over:
    """How a training ended, and on which machine."""

    evaluation: Evaluation
    host: str


@dataclass(frozen=True)
class Broken:
    """The last word of a worker that cannot make the task."""

    why: str


_made: dict[str, Task] = {}
"""The task of this process, by the key of what made it: at most one."""


def training(
    make_task: Sequence[Any], key: str, work: Work, folder: Path, path: Sequence[str]
) -> Iterator[Report | Over | Broken]:
    """Trains; the task is made once in each process, which Ray uses again.

    Args:
        make_task: One reference to the `MakeTask` in Ray's store: in a list, since only a process
            that has no task yet is to fetch it.
        key: Of that reference.
        work: The candidate. Where its folder is not there (another machine, and none shared), it
            is made on this one, and removed in the end.
        folder: The search's working directory; gone to where it is there.
        path: Where the search finds modules; looked at here too, after the worker's own places.

    """
    sys.path.extend(place for place in path if place not in sys.path)
    if folder.is_dir():
        os.chdir(folder)
    try:
        task = _task(make_task, key)
    except Exception as error:
        yield Broken(one_line(error))
        return
    with _directory(work) as placed:
        evaluation = yield from _reports(task, placed)
    yield Over(evaluation, platform.node())


def _task(make_task: Sequence[Any], key: str) -> Task:
    if key not in _made:
        import ray

        _made.clear()
        _made[key] = ray.get(make_task[0])()
    return _made[key]


@contextlib.contextmanager
def _directory(work: Work) -> Iterator[Work]:
    """The work with a folder that is there."""
    if work.directory.is_dir():
        yield work
        return
    directory = work.directory
    try:
        directory.mkdir(parents=True)
    except OSError:
        directory = Path(tempfile.mkdtemp(prefix="ponas-"))
    try:
        yield dataclasses.replace(work, directory=directory)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _reports(task: Task, work: Work) -> Generator[Report, None, Evaluation]:
    """Trains in a thread beside this generator, which gives each report at once."""
    told: queue.SimpleQueue[Report | Evaluation] = queue.SimpleQueue()

    def train() -> None:
        try:
            told.put(perform(task, work, told.put))
        except BaseException:  # no fault of the candidate's alone, which `perform` would tell
            traceback.print_exc()
            os._exit(1)

    threading.Thread(target=train, daemon=True).start()
    while True:
        each = told.get()
        if isinstance(each, Evaluation):
            return each
        yield each
