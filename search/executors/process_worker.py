"""A worker process: makes the task once, then trains what it is handed until nobody listens.

Imports no more than the task does, so that it starts quickly.
"""

from __future__ import annotations

import os
import pickle
import queue
import signal
import threading
from collections.abc import Iterable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Literal

from search.evaluation import Evaluation, one_line
from search.work import MakeTask, Report, Task, Work, perform

Ready = Literal["ready"]
Told = Ready | Report | Evaluation | str
"""What a worker tells: that it is ready, reports, how a training ended; or, in place of ready and
as its last word, the line that says why the task could not be made."""


def serve(pipe: Connection, make_task: bytes, cpus: Iterable[int], folder: Path) -> None:
    """Runs in the worker; returns never but when its task cannot be made.

    Args:
        pipe: Brings work and takes what is told. Its end is the end of this process, whatever
            it is doing: the search is over, or was killed.
        make_task: The pickled `MakeTask`.
        cpus: Cores to stay on; empty for any.
        folder: Working directory.

    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # ctrl-C is the search's to handle
    given: queue.SimpleQueue[Work] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(pipe, given), daemon=True).start()
    os.dup2(2, 1)  # the search's standard output is for its result
    os.chdir(folder)
    if cpus:
        os.sched_setaffinity(0, cpus)
    try:
        task = _made(make_task)
    except Exception as error:
        pipe.send(one_line(error))
        return
    try:
        pipe.send("ready")
        while True:
            pipe.send(perform(task, given.get(), pipe.send))
    except OSError:
        os._exit(0)  # the pipe is gone, as in `_listen`, which may hear of it later


def _made(pickled: bytes) -> Task:
    make_task: MakeTask = pickle.loads(pickled)  # noqa: S301 - this search's own, by its pipe
    return make_task()


def _listen(pipe: Connection, given: queue.SimpleQueue[Work]) -> None:
    """Takes in work; ends the process with the pipe."""
    try:
        while True:
            given.put(pipe.recv())
    except (EOFError, OSError):
        os._exit(0)
