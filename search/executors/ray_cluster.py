"""The executor that trains on a Ray cluster, wherever it has processors and GPUs free.

Each training is one Ray task: a generator of its reports and of how it ended. Ray starts it on a
machine with room, and keeps the search's data once on each.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import math
import os
import platform
import socket
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from search.errors import InputError, StudyError
from search.evaluation import Evaluation, one_line
from search.executors.contract import Ended, Executor
from search.executors.ray_training import Broken, Over, training
from search.work import MakeTask, OnReport, Report, Work

LOOK_SECONDS = 2.0
"""Between two looks at whether the cluster's head is still there."""

HEAD_SECONDS = 10.0
"""That the head may be gone before the search gives up; Ray itself ends the process after 60."""

LOST = (
    "WorkerCrashedError", "NodeDiedError", "LocalRayletDiedError", "OutOfMemoryError",
    "ObjectLostError", "OwnerDiedError",
)  # fmt: skip
"""Errors of Ray that cost a training and say nothing of the candidate."""


SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".",
    "RAY_IGNORE_UNHANDLED_ERRORS": "1",
}
"""Variables that Ray reads when it is imported: it tells nobody of its use, writes no messages of
its own to standard output, which is for the search's result, and none of workers that die, since
the search tells of these."""


class RayExecutor(Executor):
    """Trains in Ray tasks that each take some processors and, perhaps, a GPU or a part of one.

    Uses the Ray that this process is connected to already, if any, and leaves it so.
    """

    def __init__(
        self,
        make_task: MakeTask,
        address: str | None,
        cpus: float = 1,
        gpus: float = 0,
        slots: int | None = None,
    ) -> None:
        """Connects, and places the task in the cluster's store.

        Args:
            make_task: Sent to the cluster once.
            address: ``host:port`` of the head, or ``auto`` for one on this machine; None starts a
                Ray on this machine for as long as the executor is open.
            cpus: Processors of a training.
            gpus: GPUs of a training, also a part of one.
            slots: Trainings at a time at most; None is what the cluster has room for.

        Raises:
            InputError: Ray is not installed, a number is out of range, or ``make_task`` cannot be
                sent.
            StudyError: No cluster answers, or it could never run a training.

        """
        if cpus < 0 or gpus < 0 or not cpus + gpus or (slots is not None and slots < 1):
            raise InputError(f"trainings of {cpus:g} processors and {gpus:g} GPUs, {slots} at once")
        self._needs = {"CPU": cpus, "GPU": gpus}
        self._most = slots
        self._out: dict[Any, Work] = {}
        self._ray = _imported()
        self._is_mine = not self._ray.is_initialized()
        self._is_open = True
        if self._is_mine:
            _connect(self._ray, address, math.ceil(cpus * (slots or 1)))
        try:
            self._head = _Head(self._ray.get_runtime_context().gcs_address)
            self._room = self._counted_room()
            self._make_task = self._placed(make_task)
        except BaseException:
            self.close()
            raise
        remote = self._ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=0, max_calls=0)
        self._training = remote(training).options(num_returns="streaming")

    @property
    def slots(self) -> int:
        """Follows the machines that join the cluster and leave it."""
        if self._head.is_there():
            with contextlib.suppress(StudyError):  # those that were there may come back
                self._room = self._counted_room()
        room = self._room if self._most is None else min(self._room, self._most)
        return max(room, len(self._out))

    @property
    def address(self) -> str:
        """``host:port`` of the cluster's head."""
        return self._head.address

    def start(self, work: Work) -> None:
        sent = dataclasses.replace(work, directory=work.directory.absolute())
        placed, key = [self._make_task], self._make_task.hex()
        stream = self._training.remote(placed, key, sent, Path.cwd(), sys.path)
        self._out[stream] = work

    def wait(self, on_report: OnReport) -> Ended:
        if not self._out:
            raise AssertionError("nothing is being trained")
        while True:
            self._head.look()
            ready, _ = self._ray.wait(list(self._out), num_returns=1, timeout=LOOK_SECONDS)
            for stream in ready:
                ended = self._hear(stream, on_report)
                if ended is not None:
                    self._out = {s: work for s, work in self._out.items() if s is not stream}
                    return ended
                self._out[stream] = self._out.pop(stream)  # the others' turn

    def close(self) -> None:
        if not self._is_open:
            return
        self._is_open = False
        for stream in self._out:
            with contextlib.suppress(Exception):
                self._ray.cancel(stream, force=True)
        self._out.clear()
        if self._is_mine:
            self._ray.shutdown()

    def _hear(self, stream: Any, on_report: OnReport) -> Ended | None:  # noqa: ANN401 - Ray's own
        """One thing that a training tells; its end, where its worker died."""
        work, here = self._out[stream], platform.node()
        try:
            told = self._ray.get(next(stream))
        except StopIteration:
            return Ended(work, Evaluation("lost", {}, "worker died"), here)
        except Exception as error:
            return Ended(work, self._lost(error), here)
        match told:
            case Over():
                return Ended(work, told.evaluation, told.host)
            case Broken():
                raise StudyError(f"a worker cannot make the task: {told.why}")
            case Report():
                on_report(told)
        return None

    def _lost(self, error: Exception) -> Evaluation:
        """The end of a training whose worker died. Raises StudyError for any other failure."""
        if isinstance(error, tuple(getattr(self._ray.exceptions, name) for name in LOST)):
            return Evaluation("lost", {}, f"worker died ({type(error).__name__})")
        cause = getattr(error, "cause", None) or error
        raise StudyError(
            f"the cluster cannot train: {one_line(cause)}; each of its machines needs this "
            "version of ponas: docs/cluster.md"
        ) from error

    def _placed(self, make_task: MakeTask) -> Any:  # noqa: ANN401 - Ray's own
        """A reference to ``make_task``, in the cluster's store."""
        try:
            return self._ray.put(make_task)
        except Exception as error:
            text = one_line(error.__cause__ or error.__context__ or error)
            raise InputError(
                f"the task cannot be sent to other processes ({text}): make it of plain data"
            ) from error

    def _counted_room(self) -> int:
        """Trainings that the cluster's machines hold at a time."""
        machines = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        room = sum(_fitting(self._needs, machine) for machine in machines)
        if not room:
            wanted = " and ".join(f"{n:g} {kind}" for kind, n in self._needs.items() if n)
            has = "; ".join(
                ", ".join(f"{machine.get(kind, 0):g} {kind}" for kind in self._needs)
                for machine in machines
            )
            raise StudyError(f"no machine of the cluster has {wanted} for a training: {has}")
        return room


class _Head:
    """Whether the cluster's head is there; Ray alone would end the process without a word."""

    def __init__(self, address: str) -> None:
        self.address = address
        host, _, port = address.rpartition(":")
        if not port.isdigit():
            raise InputError(f"address {address!r} of a Ray cluster: HOST:PORT or auto is wanted")
        self._target = (host.strip("[]"), int(port))
        self._seen = self._looked = time.monotonic()

    def look(self) -> None:
        """Raises StudyError where it has been gone for long."""
        now = time.monotonic()
        if now - self._looked < LOOK_SECONDS:
            return
        self._looked = now
        if self.is_there():
            self._seen = now
        elif now - self._seen >= HEAD_SECONDS:
            raise StudyError(
                f"the Ray cluster's head at {self.address} is gone; "
                "start it again (docs/cluster.md) and resume the search"
            )

    def is_there(self) -> bool:
        """Whether it takes a connection."""
        try:
            socket.create_connection(self._target, timeout=LOOK_SECONDS).close()
        except OSError:
            return False
        return True


def _imported() -> Any:  # noqa: ANN401 - a package that need not be there
    os.environ.update(SETTINGS)
    try:
        return importlib.import_module("ray")
    except ImportError as error:
        raise InputError("a Ray cluster needs Ray: pip install 'ponas[ray]'") from error


def _connect(ray: Any, address: str | None, wanted_cpus: int) -> None:  # noqa: ANN401
    """Joins a cluster, or starts one here that has the processors wanted, be it on paper."""
    options: dict[str, Any] = {"address": address, "log_to_driver": False, "logging_level": "ERROR"}
    if address is None:
        cores = len(os.sched_getaffinity(0))
        options.update(
            address="local", include_dashboard=False, num_cpus=max(cores, wanted_cpus)
        )  # fmt: skip
    elif address.startswith("ray://"):
        raise InputError(f"address {address} is of Ray's client: give the head's own, HOST:6379")
    elif ":" in address and not _Head(address).is_there():  # Ray itself would try for a minute
        raise StudyError(f"no Ray cluster at {address}: nobody listens; see docs/cluster.md")
    try:
        ray.init(**options)
    except Exception as error:
        text = " ".join(str(error).split()) or type(error).__name__
        where = "on this machine" if address is None else f"at {address}"
        raise StudyError(
            f"no Ray cluster {where}: {text}; see docs/cluster.md, also for its token"
        ) from error


def _fitting(needs: Mapping[str, float], machine: Mapping[str, float]) -> int:
    """Trainings that a machine holds at a time."""
    rounding = 1e-9
    """Of parts of a GPU, such as ten of 0.1."""
    return int(min(machine.get(k, 0.0) / n + rounding for k, n in needs.items() if n))
