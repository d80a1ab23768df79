"""The executor of a search that trains in its own process, one candidate at a time."""

from __future__ import annotations

import platform

from search.executors.contract import Ended, Executor
from search.work import OnReport, Task, Work, perform


class InlineExecutor(Executor):
    """Trains in `wait`, in the thread that calls it; a candidate that crashes ends the search."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._work: list[Work] = []

    @property
    def slots(self) -> int:
        return 1

    def start(self, work: Work) -> None:
        self._work.append(work)

    def wait(self, on_report: OnReport) -> Ended:
        work = self._work.pop(0)
        return Ended(work, perform(self._task, work, on_report), platform.node())

    def close(self) -> None:
        self._work.clear()
