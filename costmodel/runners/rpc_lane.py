"""A lane of kernels in shared libraries, timed by TVM's RPC server on a board."""

from __future__ import annotations

import importlib.metadata
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from costmodel.crossbuild.platforms import platform_of
from costmodel.crossbuild.shared import board_library, link_shared
from costmodel.crossbuild.toolchain import Toolchain
from costmodel.errors import DeviceError, InputError
from costmodel.kernels import Array
from costmodel.protocol import WARM_UPS, Protocol
from costmodel.runners.contract import Job
from costmodel.runners.object_pool import BuiltObject
from costmodel.runners.rounds import Answer, Lane
from costmodel.runners.rpc_messages import Call, Failure, Read, Request, Run, Time
from costmodel.runners.rpc_session import Session, SessionLostError
from costmodel.runners.rpc_tracker import Grant
from costmodel.runners.transport import TransportError
from costmodel.target import CpuTarget, Target

KERNEL_TIMEOUT_SECONDS = 60.0
"""That a kernel may take beyond three times what the protocol asks for."""
REACH_SECONDS = 60.0
"""How long a board that has been lost, or that others use, is tried to be reached."""
LOSSES = 2
"""Sessions that may end while they run one kernel, which then is at fault."""
SESSION_KERNELS = 2
"""A session lasts as long as so many kernels may take at most. It is begun again where what is left
of it is too short for one more: a server ends it then, and so a kernel that hangs."""
_PAUSES_SECONDS = (0.2, 1.0, 2.0, 5.0)
"""Between two tries to reach a board; the last one again and again."""


class Board(ABC):
    """One board, and how it is asked for."""

    name: str
    """The same from day to day."""

    @abstractmethod
    def grant(self, until: float) -> Grant:
        """Where it is, and the key to it, waited for ``until`` then (monotonic seconds).

        Raises TransportError where it cannot be had.
        """


class Builder(ABC):
    """Compiles jobs into object files; used from several lanes at a time."""

    @abstractmethod
    def build(self, jobs: Sequence[Job], folder: Path) -> dict[str, BuiltObject | str]:
        """See `costmodel.runners.object_pool.ObjectPool.build`."""


@dataclass(frozen=True)
class _Built:
    call: Call
    objects: BuiltObject


class RpcLane(Lane):
    """See the module and `Lane`."""

    def __init__(
        self,
        board: Board,
        target: CpuTarget,
        builder: Builder,
        *,
        toolchain: Toolchain | None = None,
        kernel_timeout_s: float = KERNEL_TIMEOUT_SECONDS,
        reach_s: float = REACH_SECONDS,
    ) -> None:
        """``target``: of the board; InputError where no library can be built for it."""
        self.name = board.name
        self._platform = platform_of(target)
        self._board = board
        self._builder = builder
        self._toolchain = toolchain or Toolchain()
        self._kernel_timeout_s = kernel_timeout_s
        self._reach_s = reach_s
        self._scratch = TemporaryDirectory(prefix="ponas-")
        self._built: dict[str, _Built] = {}
        self._libraries = 0
        self._session = Session()
        self._has_worked = False

    def build(self, jobs: Sequence[Job]) -> dict[str, str]:
        errors = {job.key: error for job in jobs if (error := self._unfit(job.target))}
        fitting = {job.key: job for job in jobs if job.key not in errors}
        built = {}
        folder = Path(self._scratch.name) / f"objects-{self._libraries}"
        for key, found in self._builder.build(list(fitting.values()), folder).items():
            if isinstance(found, str):
                errors[key] = found
            else:
                built[key] = found
        errors.update(
            self._link(built, {key: _threads(job.target) for key, job in fitting.items()})
        )
        return errors

    def time(self, keys: Sequence[str], protocol: Protocol) -> Iterator[Answer]:
        for key in keys:
            yield self._timed(key, protocol)

    def run(self, key: str, arrays: Sequence[Array]) -> Array:
        """The output of a built job for all its other arguments, in their shapes.

        Raises DeviceError where the job fails or the board is gone.
        """
        built = self._built[key]
        expected = list(built.call.shapes[:-1])
        if [array.shape for array in arrays] != expected:
            raise InputError(f"this job takes {expected}, got {[array.shape for array in arrays]}")
        found: Array = self._asked(Run(built.call, tuple(arrays)))
        return found

    def forget(self) -> None:
        for built in self._built.values():
            built.objects.path.unlink(missing_ok=True)
            built.call.library.unlink(missing_ok=True)
        self._built.clear()
        self._session.end()  # others may have the board until the next batch

    def files(self, patterns: Sequence[str]) -> dict[str, str]:
        found: dict[str, str] = self._asked(Read(tuple(patterns)))
        return found

    def close(self) -> None:
        self._session.close()
        self._built.clear()
        self._scratch.cleanup()

    def _unfit(self, target: Target) -> str | None:
        """Why a job cannot be in this board's libraries."""
        if not isinstance(target, CpuTarget):
            return "it is for a GPU, this device is a processor"
        try:
            platform = platform_of(target)
        except InputError as error:
            return str(error)
        fits = platform == self._platform
        return None if fits else f"it is for {platform.name}, this device is {self._platform.name}"

    def _link(self, built: Mapping[str, BuiltObject], threads: Mapping[str, int]) -> dict[str, str]:
        """Makes libraries of ``built``; one line by key for each that cannot be in one."""
        if not built:
            return {}
        self._libraries += 1
        library = Path(self._scratch.name) / f"kernels-{self._libraries}.so"
        try:
            link_shared([b.path for b in built.values()], self._platform, library, self._toolchain)
        except DeviceError as error:
            if len(built) == 1:
                return {key: str(error) for key in built}
            errors: dict[str, str] = {}
            for key in built:
                errors |= self._link({key: built[key]}, threads)
            if len(errors) == len(built):
                raise  # it is not the objects
            return errors
        for key, found in built.items():
            call = Call(library, found.signature.name, found.signature.shapes, threads[key])
            self._built[key] = _Built(call, found)
        return {}

    def _timed(self, key: str, protocol: Protocol) -> Answer:
        samples_ms = protocol.samples * protocol.min_repeat_ms
        warm_ups_ms = WARM_UPS * protocol.warm_up_ms
        limit_s = 3e-3 * (samples_ms + warm_ups_ms) + self._kernel_timeout_s
        request = Time(self._built[key].call, protocol)
        reason = ""
        for _ in range(LOSSES):
            self._ready(limit_s)
            begin = time.monotonic()
            try:
                answer = self._session.ask(request, math.inf)
            except SessionLostError as error:
                reason = str(error)
                continue
            if not isinstance(answer, Failure):
                return Answer(key, samples=answer)
            if answer.kind == "board":
                raise DeviceError(f"{self.name}: {answer.line}")
            if answer.kind == "overdue":
                took = time.monotonic() - begin
                return Answer(key, error=f"it gave no answer in {took:.0f} s")
            return Answer(key, error=answer.line)
        return Answer(
            key, error=f"the board was lost {LOSSES} times while it ran this kernel ({reason})"
        )

    def _asked(self, request: Request) -> Any:  # noqa: ANN401 - as the request
        """The answer to a request that is no kernel's fault; DeviceError where there is none."""
        reason = ""
        for _ in range(LOSSES):
            self._ready(self._kernel_timeout_s)
            try:
                answer = self._session.ask(request, self._kernel_timeout_s)
            except SessionLostError as error:
                reason = str(error)
                continue
            if isinstance(answer, Failure):
                raise DeviceError(f"{self.name}: {answer.line}")
            return answer
        raise DeviceError(f"{self.name} was lost {LOSSES} times: {reason}")

    def _ready(self, seconds: float) -> None:
        """Has a session with at least so many seconds left. Raises DeviceError.

        A board that has worked before is waited for: it may have been started again.
        """
        if self._session.seconds_left > seconds:
            return
        until, tries = time.monotonic() + self._reach_s, 0
        while True:
            try:
                self._open(math.ceil(SESSION_KERNELS * seconds), until)
            except TransportError as error:
                pause = _PAUSES_SECONDS[min(tries, len(_PAUSES_SECONDS) - 1)]
                if error.lasting or not self._has_worked:
                    raise
                if time.monotonic() + pause > until:
                    raise DeviceError(f"{error} (for {self._reach_s:g} s now)") from error
                time.sleep(pause)
                tries += 1
            else:
                self._has_worked = True
                return

    def _open(self, seconds: int, until: float) -> None:
        """Raises TransportError where there is no session, or not with our TVM."""
        library = board_library(self._platform, self._toolchain)
        self._session.prepare()
        grant = self._board.grant(until)
        ours = importlib.metadata.version("apache-tvm")
        try:
            theirs = self._session.open(grant.address, grant.key, seconds, library)
        except TransportError as error:
            if not error.lasting:
                raise
            wanted = f"is it {self._platform.name} with TVM {ours}?"
            raise TransportError(f"{error}; {wanted}", lasting=True) from error
        if theirs and _release(theirs) != _release(ours):
            self._session.end()
            raise TransportError(
                f"{self.name} has TVM {theirs}, this machine {ours}; install there: "
                f"pip install apache-tvm=={ours}",
                lasting=True,
            )


def _threads(target: Target) -> int:
    return target.cores if isinstance(target, CpuTarget) else 1


def _release(version: str) -> str:
    """Without what follows the release: later wheels of one release take the same libraries."""
    return version.partition(".post")[0]
