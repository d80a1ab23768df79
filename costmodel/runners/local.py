"""Runner `local`: this machine, in child processes of their own.

As many children as cores build at once; then one at a time is timed while the others wait. A
child that dies or hangs costs the job it was at: its other jobs go to a fresh child.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path

from costmodel.protocol import Protocol
from costmodel.runners import local_worker
from costmodel.runners.children import start_child
from costmodel.runners.contract import Job, KernelJob
from costmodel.runners.local_worker import Request
from costmodel.runners.rounds import Answer, Lane, RoundsRunner

BUILD_TIMEOUT_SECONDS = 120.0
TIME_TIMEOUT_SECONDS = 60.0


class LocalRunner(RoundsRunner):
    """See the module and `Runner`."""

    def __init__(self, *, workers: int | None = None, seed: int = 0) -> None:
        """``workers`` None: one for each core that this process may use."""
        cores = sorted(_usable_cores())
        lanes = []
        for index in range(workers or len(cores)):
            turn = index % max(len(cores), 1)
            lanes.append(LocalLane(f"core {index}", (*cores[turn:], *cores[:turn])))
        super().__init__(lanes, together=False, seed=seed)


@dataclass
class _Child:
    """A worker process and the jobs that are built inside it."""

    process: SpawnProcess
    pipe: Connection
    built: set[str] = field(default_factory=set)

    def stop(self) -> None:
        self.process.kill()
        self.process.join()
        self.pipe.close()


class LocalLane(Lane):
    """One child process, started again where it has died."""

    def __init__(self, name: str, cores: Sequence[int]) -> None:
        """``cores``: those to time on, the first ones first."""
        self.name = name
        self._cores = tuple(cores)
        self._jobs: dict[str, Job] = {}
        self._child: _Child | None = None

    def build(self, jobs: Sequence[Job]) -> dict[str, str]:
        errors = {}
        for job in jobs:
            error = self._build(job).error
            if error is None:
                self._jobs[job.key] = job
            else:
                errors[job.key] = error
        return errors

    def time(self, keys: Sequence[str], protocol: Protocol) -> Iterator[Answer]:
        for key in keys:
            job = self._jobs[key]
            if self._child is None or key not in self._child.built:
                answer = self._build(job)
                if answer.error is not None:
                    yield answer
                    continue
            yield self._ask(Request("time", key, protocol=protocol), job, TIME_TIMEOUT_SECONDS)

    def forget(self) -> None:
        self._jobs.clear()
        if self._child is not None:
            self._child.built.clear()
            self._send(Request("forget", ""))

    def files(self, patterns: Sequence[str]) -> dict[str, str]:
        return {path: text for pattern in patterns for path, text in _read(pattern)}

    def close(self) -> None:
        if self._child is not None:
            self._child.stop()
            self._child = None

    def _build(self, job: Job) -> Answer:
        answer = self._ask(Request("build", job.key, job=job), job, BUILD_TIMEOUT_SECONDS)
        if answer.error is None and self._child is not None:
            self._child.built.add(job.key)
        return answer

    def _ask(self, request: Request, job: Job, timeout_s: float) -> Answer:
        """The child's answer; where it dies or hangs, an error, and it is stopped."""
        if not self._send(request) or self._child is None:
            return Answer(job.key, error="the measuring process does not start")
        try:
            if self._child.pipe.poll(timeout_s):
                answer: Answer = self._child.pipe.recv()
                return answer
            what = f"gave no answer in {timeout_s:g} s"
        except (EOFError, OSError):
            what = "crashed"
        self.close()
        name = job.kernel.title if isinstance(job, KernelJob) else "network"
        return Answer(job.key, error=f"the process measuring {name} {what}")

    def _send(self, request: Request) -> bool:
        """Sends to the child, started afresh where it is missing or dead."""
        for _ in range(2):
            if self._child is None:
                self._child = self._start()
            try:
                self._child.pipe.send(request)
            except (BrokenPipeError, OSError):
                self.close()
            else:
                return True
        return False

    def _start(self) -> _Child:
        return _Child(*start_child(local_worker.__name__, local_worker.serve.__name__, self._cores))


def _read(pattern: str) -> Iterator[tuple[str, str]]:
    for path in sorted(glob.glob(pattern)):  # noqa: PTH207 - absolute patterns
        try:
            yield path, Path(path).read_text(errors="replace")
        except OSError:
            continue


def _usable_cores() -> set[int]:
    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0)
    return set(range(os.cpu_count() or 1))
