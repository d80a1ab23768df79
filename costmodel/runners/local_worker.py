"""The child process of the `local` runner: builds jobs and times them when told to."""

from __future__ import annotations

from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

from costmodel.protocol import Protocol
from costmodel.runners.contract import Job, KernelJob
from costmodel.runners.rounds import Answer

if TYPE_CHECKING:
    from costmodel.executable import Executable


@dataclass(frozen=True)
class Request:
    """``build`` a job, ``time`` a built one, or ``forget`` them all (no answer)."""

    action: str
    key: str
    job: Job | None = None
    protocol: Protocol | None = None


def serve(pipe: Connection, cores: tuple[int, ...]) -> None:
    """Answers requests until the other end is gone.

    Times on as many of ``cores`` as the job's target has, the first ones; anywhere without any.
    """
    built: dict[str, Executable] = {}
    while True:
        try:
            request: Request = pipe.recv()
        except (EOFError, OSError):
            return
        if request.action == "forget":
            built.clear()
            continue
        try:
            answer = _answer(request, built, cores)
        except Exception as error:  # whatever it is, it is this job's outcome
            lines = str(error).strip().splitlines() or [type(error).__name__]
            answer = Answer(request.key, error=lines[-1])
        pipe.send(answer)


def _answer(request: Request, built: dict[str, Executable], cores: tuple[int, ...]) -> Answer:
    from costmodel.executable import Executable, run_on
    from costmodel.lowering import lower

    if request.action == "build":
        job = request.job
        if isinstance(job, KernelJob):
            built[request.key] = Executable.of_kernel(lower(job.kernel, job.schedule, job.target))
        elif job is not None:
            built[request.key] = Executable.of_program(job.program)
        return Answer(request.key)
    executable = built[request.key]
    protocol = request.protocol or Protocol()
    run_on((protocol.cpus or cores)[: executable.cores])
    return Answer(request.key, samples=executable.time(protocol))
