"""Runner `local`: this machine, in child processes of their own.

As many children as cores build at once; then one at a time is timed while the others wait. A
child that dies or hangs costs the job it was at: its other jobs go to a fresh child.
"""

from __future__ import annotations

import multiprocessing
import os
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess

from costmodel.errors import DeviceError
from costmodel.protocol import Protocol
from costmodel.runners.contract import Job, KernelJob, OnOutcome, Outcome, Runner
from costmodel.runners.local_worker import Answer, Request, serve
from costmodel.runners.pace import Pace, sentinels
from costmodel.target import Target

BATCH = 64
"""Jobs built before they are timed: a round takes some seconds, so rounds see other moments."""
BUILD_TIMEOUT_SECONDS = 120.0
TIME_TIMEOUT_SECONDS = 60.0


_Paces = dict[int, dict[str, list[tuple[float, ...]]]]
"""Samples of the sentinels by child, key and round."""


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


class LocalRunner(Runner):
    """See the module and `Runner`."""

    def __init__(
        self, *, workers: int | None = None, seed: int = 0, follow_pace: bool = False
    ) -> None:
        """``workers`` None: one for each core that this process may use.

        ``follow_pace``: for measurements that take minutes and are compared with each other, see
        `costmodel.runners.pace`; outcomes then come at the end of each batch.
        """
        self._cores = sorted(_usable_cores())
        self._count = workers or len(self._cores)
        self._children: dict[int, _Child] = {}
        self._has_built = False
        self._follow_pace = follow_pace
        self._pace: dict[int, Pace] = {}
        self._random = random.Random(seed)  # noqa: S311 - an order of measuring, not a secret

    def measure(self, jobs: Sequence[Job], protocol: Protocol, on_outcome: OnOutcome) -> None:
        for start in range(0, len(jobs), BATCH):
            self._measure_batch(jobs[start : start + BATCH], protocol, on_outcome)

    def close(self) -> None:
        for child in self._children.values():
            child.stop()
        self._children.clear()

    def _measure_batch(
        self, jobs: Sequence[Job], protocol: Protocol, on_outcome: OnOutcome
    ) -> None:
        by_key = {job.key: job for job in jobs}
        errors = self._build(jobs)
        samples: dict[str, list[tuple[float, ...]]] = {key: [] for key in by_key}
        watch = self._build_sentinels(jobs[0].target) if self._follow_pace else {}
        paces: _Paces = {}
        order = [key for key in by_key if key not in errors]
        while order:
            turns: list[str | tuple[int, str]] = [*order, *watch]
            self._random.shuffle(turns)
            for turn in turns:
                if isinstance(turn, tuple):
                    self._time_sentinel(*turn, watch[turn], protocol, paces)
                    continue
                answer = self._time(by_key[turn], protocol)
                if answer.error is not None:
                    errors[turn] = answer.error
                    continue
                samples[turn].append(answer.samples)
                if protocol.settled(samples[turn]) and not watch:
                    on_outcome(Outcome(key=turn, rounds=tuple(samples[turn])))
            order = [
                key for key in order if key not in errors and not protocol.settled(samples[key])
            ]
        if watch:
            pace = {i: self._pace.setdefault(i, Pace()).of_batch(r) for i, r in paces.items()}
            for key in (key for key in by_key if key not in errors):
                rounds = tuple(samples[key])
                on_outcome(Outcome(key=key, rounds=rounds, pace=pace.get(self._holder(key), 1.0)))
        self._forget()
        for key, error in errors.items():
            on_outcome(Outcome(key=key, error=error))

    def _build_sentinels(self, target: Target) -> dict[tuple[int, str], Job]:
        """The sentinels, built in every child, by child and key."""
        built: dict[tuple[int, str], Job] = {}
        for job in sentinels(target):
            for index in sorted(self._children):
                key = f"sentinel {job.key}"
                if self._ask(index, Request("build", key, job=job), job).error is None:
                    built[index, key] = job
        return built

    def _time_sentinel(
        self, index: int, key: str, job: Job, protocol: Protocol, paces: _Paces
    ) -> None:
        """Adds a round of one sentinel in one child; one that fails says nothing of the pace."""
        answer = self._ask(index, Request("time", key, protocol=protocol), job)
        if answer.error is None:
            paces.setdefault(index, {}).setdefault(key, []).append(answer.samples)

    def _holder(self, key: str) -> int:
        """The child that a job is built in; the first where there is none."""
        return next((i for i, child in self._children.items() if key in child.built), 0)

    def _build(self, jobs: Sequence[Job]) -> dict[str, str]:
        """Builds all jobs, one at a time in each child; errors by key.

        Raises DeviceError where this runner has never built anything: then it is not the jobs.
        """
        errors: dict[str, str] = {}
        waiting = list(reversed(jobs))
        busy: dict[int, Job] = {}
        while waiting or busy:
            for index in range(self._count):
                if index not in busy and waiting:
                    job = waiting.pop()
                    if self._send(index, Request("build", job.key, job=job)):
                        busy[index] = job
                    else:
                        errors[job.key] = "the process that builds kernels does not start"
            for index, answer in self._answers(busy, BUILD_TIMEOUT_SECONDS) if busy else []:
                job = busy.pop(index)
                if answer.error is not None:
                    errors[job.key] = answer.error
                else:
                    self._children[index].built.add(job.key)
                    self._has_built = True
        if errors and not self._has_built:
            raise DeviceError(f"nothing could be built: {next(iter(errors.values()))}")
        return errors

    def _time(self, job: Job, protocol: Protocol) -> Answer:
        """Times one job alone, in the child that holds it (built again where that one died)."""
        index = self._holder(job.key)
        if index not in self._children or job.key not in self._children[index].built:
            answer = self._ask(index, Request("build", job.key, job=job), job)
            if answer.error is not None:
                return answer
            self._children[index].built.add(job.key)
        return self._ask(index, Request("time", job.key, protocol=protocol), job)

    def _ask(self, index: int, request: Request, job: Job) -> Answer:
        if not self._send(index, request):
            return Answer(request.key, error="the measuring process does not start")
        ((_, answer),) = self._answers({index: job}, TIME_TIMEOUT_SECONDS)
        return answer

    def _send(self, index: int, request: Request) -> bool:
        """Sends to child ``index``, started afresh where it is missing or dead."""
        for _ in range(2):
            if index not in self._children:
                self._children[index] = self._start(index)
            try:
                self._children[index].pipe.send(request)
            except (BrokenPipeError, OSError):
                self._children.pop(index).stop()
            else:
                return True
        return False

    def _answers(self, busy: dict[int, Job], timeout_s: float) -> list[tuple[int, Answer]]:
        """At least one answer from the busy children; one that dies or hangs answers an error."""
        pipes = {self._children[index].pipe: index for index in busy}
        ready = wait(list(pipes), timeout_s)
        if not ready:
            return [(i, self._lost(i, busy[i], f"gave no answer in {timeout_s:g} s")) for i in busy]
        answers = []
        for pipe, index in pipes.items():
            if pipe not in ready:
                continue
            try:
                answers.append((index, pipe.recv()))
            except (EOFError, OSError):
                answers.append((index, self._lost(index, busy[index], "crashed")))
        return answers

    def _lost(self, index: int, job: Job, what: str) -> Answer:
        self._children.pop(index).stop()
        name = job.kernel.title if isinstance(job, KernelJob) else "network"
        return Answer(job.key, error=f"the process measuring {name} {what}")

    def _forget(self) -> None:
        """Frees what the children have built."""
        for index, child in list(self._children.items()):
            child.built.clear()
            self._send(index, Request("forget", ""))

    def _start(self, index: int) -> _Child:
        context = multiprocessing.get_context("spawn")
        mine, theirs = context.Pipe()
        turn = index % max(len(self._cores), 1)
        cores = (*self._cores[turn:], *self._cores[:turn])
        process = context.Process(target=serve, args=(theirs, cores), daemon=True)
        process.start()
        theirs.close()
        return _Child(process, mine)


def _usable_cores() -> set[int]:
    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0)
    return set(range(os.cpu_count() or 1))
