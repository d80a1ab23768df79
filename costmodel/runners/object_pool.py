"""Jobs compiled into object files, in processes of their own.

As many children as cores compile at once. A compiler that crashes or hangs costs the job it was
at: the others go to a fresh child.
"""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path

from costmodel.crossbuild.objects import symbol_of, write_object
from costmodel.crossbuild.signature import Signature, read_signature
from costmodel.errors import CostModelError, InputError
from costmodel.lowering import lower
from costmodel.program import assemble
from costmodel.runners.children import start_child
from costmodel.runners.contract import Job, KernelJob
from costmodel.target import CpuTarget

COMPILE_TIMEOUT_SECONDS = 120.0
"""Until a compiler counts as hung; a kernel takes 30 to 140 ms, a network some seconds."""


@dataclass(frozen=True)
class BuiltObject:
    """A job as machine code, to be linked into a program or a library."""

    path: Path
    """The object file; its symbols clash with those of no other job's."""
    symbol: str
    """Its entry: ``int symbol(void *self, TVMFFIAny *arguments, int32_t count, TVMFFIAny *)``."""
    signature: Signature
    """Its name (from the job's key) and the shapes of its arguments, the output last."""


class ObjectPool:
    """Processes that compile. Used from one thread at a time."""

    def __init__(self, workers: int | None = None) -> None:
        """``workers`` None: as many as cores that this process may use."""
        self._compilers = [_Compiler() for _ in range(workers or _usable_cores())]

    def build(self, jobs: Sequence[Job], folder: Path) -> dict[str, BuiltObject | str]:
        """Compiles ``jobs``, whose keys are distinct, into ``folder``.

        By key an object file, or one line that says why there is none.
        """
        if not jobs:
            return {}
        folder.mkdir(parents=True, exist_ok=True)
        waiting = deque(jobs)
        found: dict[str, BuiltObject | str] = {}

        def work(compiler: _Compiler) -> None:
            while True:
                try:
                    job = waiting.popleft()
                except IndexError:
                    return
                found[job.key] = compiler.build(job, folder)

        count = min(len(self._compilers), len(jobs))
        with ThreadPoolExecutor(count) as threads:
            try:
                for done in [threads.submit(work, c) for c in self._compilers[:count]]:
                    done.result()
            except BaseException:  # ctrl-C: nothing is waited for
                waiting.clear()
                self.close()
                raise
        return {job.key: found[job.key] for job in jobs}

    def close(self) -> None:
        """Ends the processes; another `build` starts them again."""
        for compiler in self._compilers:
            compiler.stop()


class _Compiler:
    """One child process, started when needed and again where it has died."""

    def __init__(self) -> None:
        self._child: tuple[SpawnProcess, Connection] | None = None

    def build(self, job: Job, folder: Path) -> BuiltObject | str:
        name = job.kernel.title if isinstance(job, KernelJob) else "a network"
        pipe = self._send(job, folder)
        if pipe is None:
            return f"the process compiling {name} does not start"
        try:
            if pipe.poll(COMPILE_TIMEOUT_SECONDS):
                answer: BuiltObject | str = pipe.recv()
                return answer
            what = f"gave no answer in {COMPILE_TIMEOUT_SECONDS:g} s"
        except (EOFError, OSError):
            what = "crashed"
        self.stop()
        return f"the process compiling {name} {what}"

    def stop(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            process, pipe = child
            process.kill()
            process.join()
            pipe.close()

    def _send(self, job: Job, folder: Path) -> Connection | None:
        """The pipe that answers; None where no process takes the job."""
        for _ in range(2):
            _, pipe = self._child = self._child or start_child(__name__, serve.__name__)
            try:
                pipe.send((job, folder))
            except OSError:  # it died while it had nothing to do
                self.stop()
            else:
                return pipe
        return None


def serve(pipe: Connection) -> None:
    """The child: compiles until the other end is gone."""
    while True:
        try:
            job, folder = pipe.recv()
        except (EOFError, OSError):
            return
        answer: BuiltObject | str
        try:
            answer = _compiled(job, folder)
        except Exception as error:  # whatever it is, it is this job's outcome
            lines = str(error).strip().splitlines() or [""]
            ours = isinstance(error, CostModelError)
            answer = lines[-1] if ours else f"{type(error).__name__}: {lines[-1]}"
        pipe.send(answer)


def _compiled(job: Job, folder: Path) -> BuiltObject:
    if not isinstance(job.target, CpuTarget):
        raise InputError("object files are for processors; a GPU's kernels cannot be in one")
    name = f"k{hashlib.sha256(job.key.encode()).hexdigest()[:16]}"
    if isinstance(job, KernelJob):
        module = lower(job.kernel, job.schedule, job.target).module
    else:
        module = assemble(job.program)
    signature = read_signature(name, module)
    path = folder / f"{name}.o"
    write_object(module, name, job.target, path)
    return BuiltObject(path, symbol_of(name), signature)


def _usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
