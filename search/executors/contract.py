"""What every executor does; `tests/search/executor_contract.py` holds them to it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from search.evaluation import Evaluation
from search.work import OnReport, Work


@dataclass(frozen=True)
class Ended:
    """A training that is over."""

    work: Work
    evaluation: Evaluation
    """State ``lost`` where the worker died: the search gives the work out again."""
    host: str
    """Name of the machine that it ran on."""


class Executor(ABC):
    """Trains candidates, `slots` at a time.

    Used from the search's thread alone. Work that is given out runs on its own; what it reports
    is heard only in `wait`. A worker that dies (killed, out of memory) costs the work that it
    was at, which comes back as ``lost``, and is replaced. When this process dies, however it
    does, its workers end too: none may write into a trial's folder after that. A context manager
    that closes.
    """

    @property
    @abstractmethod
    def slots(self) -> int:
        """How many candidates can be trained at a time, at least 1."""

    @abstractmethod
    def start(self, work: Work) -> None:
        """Gives out ``work``; called only while fewer than `slots` are being trained."""

    @abstractmethod
    def wait(self, on_report: OnReport) -> Ended:
        """Blocks until one of those given out is over; tells reports in the meantime.

        Called only while there is one. The reports of a piece of work come before its end, in
        their order, each once. Raises StudyError where no worker can be had any more.
        """

    @abstractmethod
    def close(self) -> None:
        """Ends every worker, at once, also in the middle of a training; may be called twice."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:  # fmt: skip
        self.close()
