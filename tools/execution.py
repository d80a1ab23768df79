"""Where a search trains its candidates: here, in processes beside it, or on a Ray cluster."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Literal

from search.errors import InputError
from search.executors.contract import Executor
from search.work import MakeTask, Task


@dataclass(frozen=True, kw_only=True)
class Execution:
    """How a run of a search trains; another run of the same study may do it in another way."""

    executor: Literal["local", "ray"] = "local"
    workers: int | None = None
    """Candidates trained at a time; None is one for ``local``, and as many as the cluster has room
    for with ``ray``."""
    address: str | None = None
    """Of the Ray cluster; None starts one on this machine."""
    gpus: float = 0
    """Share of a GPU that a training takes on the cluster, or whole ones."""

    def __post_init__(self) -> None:
        if self.executor == "local" and (self.address is not None or self.gpus):
            raise InputError("--address and --gpus are of a cluster: add --executor ray")

    def threads(self, asked: int | None) -> int:
        """CPU threads of a training; by default the cores are shared among those at a time."""
        if asked is not None:
            return asked
        if self.executor == "ray":
            return 1
        return max(1, len(os.sched_getaffinity(0)) // (self.workers or 1))

    def open(self, task: Task, make_task: MakeTask, threads: int) -> Executor:
        """The executor. ``task`` is what trains in this process, ``make_task`` makes it elsewhere.

        Raises StudyError where the cluster cannot be reached, InputError where Ray is missing.
        """
        if self.executor == "ray":
            from search.executors.ray_cluster import RayExecutor

            return RayExecutor(
                make_task, self.address, cpus=threads, gpus=self.gpus, slots=self.workers
            )
        if (self.workers or 1) == 1:
            from search.executors.inline import InlineExecutor

            return InlineExecutor(task)
        from search.executors.processes import ProcessExecutor

        return ProcessExecutor(make_task, self.workers or 1, threads)
