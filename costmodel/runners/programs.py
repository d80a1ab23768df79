"""A lane of static programs: jobs linked into one, brought to a device, timed there.

Used by the runners `command` and `ssh`, which differ in how a program gets to its device and is
started (`Transport`). One start of the program times many kernels and says each one's times as
soon as they are known; a kernel that crashes or hangs ends that start, and the others are timed by
another one.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypedDict

from costmodel.crossbuild.messages import TimeSettings, fault_of, parse_file, parse_timing
from costmodel.crossbuild.platforms import platform_of
from costmodel.crossbuild.toolchain import Toolchain
from costmodel.errors import DeviceError, InputError
from costmodel.protocol import WARM_UPS, Protocol
from costmodel.runners.contract import Job
from costmodel.runners.linking import LinkedProgram
from costmodel.runners.object_pool import ObjectPool
from costmodel.runners.rounds import Answer, Lane
from costmodel.runners.transport import Started, Transport, TransportError
from costmodel.target import CpuTarget

KERNEL_TIMEOUT_SECONDS = 60.0
"""That a kernel may take beyond three times what the protocol asks for."""
GRACE_SECONDS = 10.0
"""Then the program, which ends itself after that time, must have been heard of."""
_ENDING_SECONDS = 3.0
"""That a program may take to end when it has said everything."""
REACH_SECONDS = 60.0
"""How long a device that has been lost is tried to be reached again."""
LOSSES = 2
"""Times that a device may be lost while it runs one kernel, which then is at fault."""
_PAUSES_SECONDS = (0.2, 1.0, 2.0, 5.0)
"""Between two tries to reach a device; the last one again and again."""
_FAST_CLOCK, _FAST_CLOCK_SECONDS = 1.5, 5.0
"""A device that claims more time than has passed here, times the first, plus the second, is wrong:
its clock has jumped. Lines may come late, never early."""
_BAD_ARGUMENTS = 2
"""The program's status where what it was asked for cannot be on this device, for any kernel."""
_PROGRAM = "ponas-kernels"
"""The programs' file name: one that a killed run has left on a device is overwritten."""


@dataclass(frozen=True)
class _End:
    """How a start of the program ended before it had answered everything."""

    reason: str
    certain: bool = False
    """Whether the kernel is at fault without doubt: the program itself says so."""
    lost: bool = False
    """Whether the device was lost, so that the kernel may have nothing to do with it."""


class LaneSettings(TypedDict, total=False):
    """What runners of programs hand on to their lane as they get it; see `ProgramLane`."""

    pool: ObjectPool | None
    toolchain: Toolchain | None
    kernel_timeout_s: float
    reach_s: float


class ProgramLane(Lane):
    """See the module and `Lane`. Owns its transport and its pool."""

    def __init__(
        self,
        transport: Transport,
        target: CpuTarget,
        *,
        pool: ObjectPool | None = None,
        toolchain: Toolchain | None = None,
        kernel_timeout_s: float = KERNEL_TIMEOUT_SECONDS,
        reach_s: float = REACH_SECONDS,
    ) -> None:
        """``target``: of the device; InputError where no static program can be built for it."""
        platform = platform_of(target)
        self.name = transport.describe()
        self._transport = transport
        self._pool = pool or ObjectPool()
        self._kernel_timeout_s = kernel_timeout_s
        self._reach_s = reach_s
        self._scratch = TemporaryDirectory(prefix="ponas-")
        path = Path(self._scratch.name) / _PROGRAM
        self._program = LinkedProgram(path, platform, toolchain or Toolchain())
        self._cores: dict[str, int] = {}
        self._is_placed = self._has_worked = False

    def build(self, jobs: Sequence[Job]) -> dict[str, str]:
        errors = {job.key: error for job in jobs if (error := self._unfit(job))}
        fitting = [job for job in jobs if job.key not in errors]
        built = {}
        for key, found in self._pool.build(fitting, self._program.path.parent).items():
            if isinstance(found, str):
                errors[key] = found
            else:
                built[key] = found
        if built:
            self._is_placed = False
            errors.update(self._program.add(built))
        for job in fitting:
            self._cores[job.key] = job.target.cores if isinstance(job.target, CpuTarget) else 1
        return errors

    def time(self, keys: Sequence[str], protocol: Protocol) -> Iterator[Answer]:
        for cores, group in groupby(keys, key=self._cores.__getitem__):
            waiting, losses = deque(group), 0
            while waiting:
                first = waiting[0]
                end = yield from self._time_some(waiting, protocol, cores)
                if end is None:
                    continue
                losses = losses if waiting[0] == first else 0
                if not end.certain and self._was_away(lost=end.lost):
                    losses += 1
                    if losses < LOSSES:
                        continue
                    end = _End(f"the device was lost {LOSSES} times while it ran this kernel")
                yield Answer(waiting.popleft(), error=end.reason)
                losses = 0

    def forget(self) -> None:
        self._program.clear()
        self._cores.clear()
        self._is_placed = False

    def files(self, patterns: Sequence[str]) -> dict[str, str]:
        self._ready()
        try:
            return self._read(patterns)
        except DeviceError:  # perhaps it has been started again
            self._is_placed = False
        self._ready()
        return self._read(patterns)

    def close(self) -> None:
        self.forget()
        self._transport.remove()
        self._pool.close()
        self._scratch.cleanup()

    def _read(self, patterns: Sequence[str]) -> dict[str, str]:
        """The device's files, asked for once."""
        started = self._transport.start(["files", *patterns])
        try:
            until, found = time.monotonic() + self._kernel_timeout_s, {}
            while line := started.line(until):
                if line[0].startswith("{"):
                    path, text = parse_file(line[0])
                    found[path] = text
            if started.wait(_ENDING_SECONDS) != 0:
                raise DeviceError(f"{self.name} does not tell what is in files: {started.reason}")
            return found
        except TimeoutError:
            raise DeviceError(
                f"{self.name} has not told in {self._kernel_timeout_s:g} s what is in files"
            ) from None
        finally:
            self._transport.halt(started)

    def _unfit(self, job: Job) -> str | None:
        """Why a job cannot be in this device's program."""
        if not isinstance(job.target, CpuTarget):
            return None  # the pool says so
        try:
            platform = platform_of(job.target)
        except InputError as error:
            return str(error)
        wanted = self._program.platform
        fits = platform == wanted
        return None if fits else f"it is for {platform.name}, this device is {wanted.name}"

    def _ready(self) -> None:
        """Has the program on the device, tried there. Raises DeviceError where it is gone.

        A device that has worked before is waited for: it may have been started again.
        """
        self._program.ensure()
        until, tries = time.monotonic() + self._reach_s, 0
        while not self._is_placed:
            try:
                self._transport.place(self._program.path)
                self._try_program()
                self._is_placed = self._has_worked = True
            except TransportError as error:
                pause = _PAUSES_SECONDS[min(tries, len(_PAUSES_SECONDS) - 1)]
                if error.lasting or not self._has_worked:
                    raise
                if time.monotonic() + pause > until:
                    raise DeviceError(f"{error} (for {self._reach_s:g} s now)") from error
                time.sleep(pause)
                tries += 1

    def _try_program(self) -> None:
        """Raises TransportError where the program does not run on the device at all."""
        started = self._transport.start(["list"])
        try:
            until, known = time.monotonic() + self._kernel_timeout_s, 0
            while line := started.line(until):
                known += line[0].startswith('{"kernel":')
            status, wanted = started.wait(_ENDING_SECONDS), len(self._program.objects)
            if known != wanted or status is None or (status and not wanted):
                raise TransportError(
                    f"{self.name} cannot run the program for {self._program.platform.name}: "
                    f"{self._transport.explain(started)}"
                )
        except TimeoutError:
            raise TransportError(
                f"{self.name} says nothing for {self._kernel_timeout_s:g} s"
            ) from None
        finally:
            self._transport.halt(started)

    def _was_away(self, *, lost: bool) -> bool:
        """Whether the device had to be reached again. Raises DeviceError where it is gone."""
        if not lost:
            try:
                self._try_program()
            except TransportError:
                lost = True
        if lost:
            self._is_placed = False
            self._ready()
        return lost

    def _time_some(
        self, waiting: deque[str], protocol: Protocol, cores: int
    ) -> Generator[Answer, None, _End | None]:
        """Starts the program for ``waiting`` keys and takes off those that it answers."""
        self._ready()
        limit_s = self._limit_s(protocol)
        settings = TimeSettings.of(protocol, cores, math.ceil(limit_s))
        keys = {self._program.objects[key].signature.name: key for key in waiting}
        try:
            started = self._transport.start(settings.arguments(list(keys)))
        except TransportError as error:
            return _End(str(error), lost=True)
        begin, claimed, said = time.monotonic(), 0.0, ""
        try:
            while waiting:
                try:
                    until = time.monotonic() + limit_s + GRACE_SECONDS
                    line, came, noise = started.answer(until)
                except TimeoutError:
                    return _End(f"it gave no answer in {limit_s:g} s")
                said = noise or said
                if line is None:
                    return self._ended(started, said)
                try:
                    timing = parse_timing(line)
                except DeviceError as error:  # perhaps cut off: what follows is not to be trusted
                    over = started.wait(_ENDING_SECONDS) is not None
                    return _End(str(error), lost=over and self._transport.lost(started))
                key = keys.get(timing.kernel)
                if key not in waiting:
                    return _End(f"the device answered {line[:60]!r}, not asked for", certain=True)
                while waiting[0] != key:
                    reason = f"the device answered {said[:60]!r}" if said else "it has no answer"
                    yield Answer(waiting.popleft(), error=reason)
                fault = fault_of(timing, settings)
                allowed = _FAST_CLOCK * (came - begin) + _FAST_CLOCK_SECONDS
                if fault is None and claimed + timing.elapsed > allowed:
                    fault = (
                        f"the device's clock jumped: it claims {timing.elapsed:.3g} s for what "
                        f"took less than {came - begin:.3g} s"
                    )
                waiting.popleft()
                if fault is None:
                    claimed += timing.elapsed
                    yield Answer(key, samples=timing.seconds)
                else:
                    yield Answer(key, error=fault)
            started.wait(_ENDING_SECONDS)
            return None
        finally:
            self._transport.halt(started)

    def _ended(self, started: Started, said: str) -> _End:
        """The end of a start without an answer to what is waiting."""
        status = started.wait(_ENDING_SECONDS)
        if started.complaint and status == _BAD_ARGUMENTS:
            raise DeviceError(f"{self.name}: {started.complaint}")
        if started.complaint:
            return _End(started.complaint, certain=True)
        reason = f"the device answered {said[:60]!r}" if said and not status else started.reason
        return _End(reason, lost=self._transport.lost(started))

    def _limit_s(self, protocol: Protocol) -> float:
        """Seconds that one kernel may take."""
        samples_ms = protocol.samples * protocol.min_repeat_ms
        warm_ups_ms = WARM_UPS * protocol.warm_up_ms
        return 3e-3 * (samples_ms + warm_ups_ms) + self._kernel_timeout_s
