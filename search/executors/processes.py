"""The executor that trains in processes on this machine, each on cores of its own."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import platform
from collections.abc import Iterator, Sequence
from multiprocessing import connection
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import cast

from search.errors import InputError, StudyError
from search.evaluation import Evaluation
from search.executors import process_worker
from search.executors.contract import Ended, Executor
from search.work import MakeTask, OnReport, Report, Work

THREAD_VARIABLES = (
    "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS"
)  # fmt: skip
"""What OpenMP (and with it torch), MKL, OpenBLAS and numexpr read once, when they are imported."""

BAD_STARTS = 3
"""Workers in a row that may die before they have made the task: once may be chance."""

LAST_SECONDS = 5.0
"""That a worker may take to be gone whose pipe has ended."""


class ProcessExecutor(Executor):
    """Spawned processes, begun when there is work for them; the task is made once in each.

    A script that uses it must keep what it runs below ``if __name__ == "__main__":``, as for
    every spawned process.
    """

    def __init__(self, make_task: MakeTask, workers: int, threads: int = 1) -> None:
        """Does not start them yet.

        Args:
            make_task: Pickled, so of a module's top level.
            workers: How many processes.
            threads: Of each. Where this process may use ``workers * threads`` cores, each
                worker is held to its own.

        Raises:
            InputError: A number below 1, or a ``make_task`` that cannot be pickled.

        """
        if workers < 1 or threads < 1:
            raise InputError(f"{workers} workers of {threads} threads: 1 is the least of both")
        self._make_task = pickled(make_task)
        self._threads = threads
        self._workers: list[_Worker | None] = [None] * workers
        self._cpus = _cores(workers, threads)
        self._bad_starts = 0

    @property
    def slots(self) -> int:
        return len(self._workers)

    @property
    def pids(self) -> list[int]:
        """Of the workers that are alive."""
        alive = [worker for worker in self._workers if worker and worker.process.is_alive()]
        return [cast(int, worker.process.pid) for worker in alive]

    def start(self, work: Work) -> None:
        for slot, worker in enumerate(self._workers):
            if worker is None or worker.work is None:
                self._idle(slot).give(work)
                return
        raise AssertionError(f"all {self.slots} workers are training")

    def wait(self, on_report: OnReport) -> Ended:
        while True:
            busy = {worker.pipe: worker for worker in self._workers if worker and worker.work}
            if not busy:
                raise AssertionError("nothing is being trained")
            for pipe in connection.wait(list(busy)):
                ended = self._hear(busy[cast(Connection, pipe)], on_report)
                if ended is not None:
                    return ended

    def close(self) -> None:
        workers = [worker for worker in self._workers if worker is not None]
        self._workers = [None] * self.slots
        for worker in workers:
            worker.process.kill()
        for worker in workers:
            worker.end()

    def _idle(self, slot: int) -> _Worker:
        """The slot's worker; another one where it has died."""
        worker = self._workers[slot]
        if worker is not None and worker.process.is_alive():
            return worker
        if worker is not None:
            worker.end()
        worker = _Worker(self._make_task, self._threads, self._cpus[slot])
        self._workers[slot] = worker
        return worker

    def _hear(self, worker: _Worker, on_report: OnReport) -> Ended | None:
        """One thing that a worker tells; the end of its training, where it has died."""
        try:
            told: process_worker.Told = worker.pipe.recv()
        except (EOFError, OSError):
            return self._lost(worker)
        match told:
            case Report():
                on_report(told)
            case Evaluation():
                return Ended(worker.done(), told, platform.node())
            case "ready":
                worker.is_ready = True
                self._bad_starts = 0
            case why:
                raise StudyError(f"a worker cannot make the task: {why}")
        return None

    def _lost(self, worker: _Worker) -> Ended:
        self._workers[self._workers.index(worker)] = None
        how = f"worker died ({worker.end()})"
        if not worker.is_ready:
            self._bad_starts += 1
            if self._bad_starts >= BAD_STARTS:
                raise StudyError(
                    f"{how}, and so did {BAD_STARTS - 1} before it, before the task was made; "
                    "what it wrote above says why"
                )
        return Ended(worker.done(), Evaluation("lost", {}, how), platform.node())


class _Worker:
    """One process and this end of its pipe."""

    def __init__(self, make_task: bytes, threads: int, cpus: Sequence[int]) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process: SpawnProcess = context.Process(
            target=process_worker.serve, args=(theirs, make_task, cpus, Path.cwd()), daemon=True
        )
        self.work: Work | None = None
        self.is_ready = False
        with _environment(dict.fromkeys(THREAD_VARIABLES, str(threads))):
            self.process.start()
        theirs.close()

    def give(self, work: Work) -> None:
        self.work = work
        with contextlib.suppress(OSError):  # it has just died, as `wait` will see
            self.pipe.send(work)

    def done(self) -> Work:
        """What it was at, which is over."""
        work, self.work = self.work, None
        if work is None:
            raise AssertionError("a worker told of a training that it was not given")
        return work

    def end(self) -> str:
        """Sees to it that it is gone; says how it went."""
        self.pipe.close()
        self.process.join(LAST_SECONDS)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        code = self.process.exitcode or 0
        return f"signal {-code}" if code < 0 else f"exit status {code}"


def pickled(make_task: MakeTask) -> bytes:
    """Raises InputError, in one line, where that cannot be."""
    try:
        return pickle.dumps(make_task)
    except Exception as error:
        text = " ".join(str(error).split())
        raise InputError(
            f"the task cannot be sent to other processes ({text}): make it with a function or "
            "class at the top level of a module"
        ) from error


def _cores(workers: int, threads: int) -> list[tuple[int, ...]]:
    """Of each worker: its own among those that this process may use; none if they are too few."""
    allowed = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if len(allowed) < workers * threads:
        return [()] * workers
    return [tuple(allowed[n * threads : (n + 1) * threads]) for n in range(workers)]


@contextlib.contextmanager
def _environment(changes: dict[str, str]) -> Iterator[None]:
    """Changes this process's environment, which a child inherits, and puts it back."""
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
