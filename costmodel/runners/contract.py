"""What every runner promises: jobs in, one outcome each, whatever happens on the device."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from costmodel.kernels import Kernel
from costmodel.program import Program
from costmodel.protocol import Protocol, undisturbed_seconds
from costmodel.schedules.family import Schedule
from costmodel.target import Target


@dataclass(frozen=True)
class KernelJob:
    """One kernel under one schedule, to be timed on random data."""

    kernel: Kernel
    schedule: Schedule
    target: Target

    @property
    def key(self) -> str:
        """Text that is equal for equal jobs."""
        return f"{self.kernel.key} | {self.schedule}"


@dataclass(frozen=True)
class NetworkJob:
    """A whole network, to be timed end to end."""

    key: str
    program: Program

    @property
    def target(self) -> Target:
        """What the program is compiled for."""
        return self.program.target


Job = KernelJob | NetworkJob


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a job: samples, or the reason why there are none."""

    key: str
    rounds: tuple[tuple[float, ...], ...] = ()
    """Seconds of one run: the samples of each round."""
    error: str | None = None
    pace: float = 1.0
    """How much longer the device took for everything than at the runner's start."""

    @property
    def seconds(self) -> float:
        """The time of one run that the samples speak for, at the pace of the runner's start."""
        return undisturbed_seconds(self.rounds) / self.pace


OnOutcome = Callable[[Outcome], None]


class Runner(ABC):
    """Builds jobs, runs them on a device and brings their times back.

    `measure` is called from one thread at a time. It calls ``on_outcome`` exactly once for each
    job, from the calling thread, as soon as the job's figures are final; a job that cannot be
    built or run, or whose process dies or hangs, has an outcome with an error and costs no other
    job its outcome. Raises DeviceError where no job at all could be run, where the device is gone
    or where its speed drifts for good; outcomes that were final by then have been given.
    """

    reference: dict[str, float]
    """Seconds of each sentinel when the runner began, what later times are compared with (see
    `costmodel.runners.pace`). Empty until measured; set it to go on from an earlier runner."""

    @abstractmethod
    def measure(self, jobs: Sequence[Job], protocol: Protocol, on_outcome: OnOutcome) -> None:
        """Measures ``jobs``, whose keys are distinct."""

    @abstractmethod
    def files(self, patterns: Sequence[str]) -> dict[str, str]:
        """Text of the device's files that match shell ``patterns``, by path; see the doctor.

        A file that cannot be read is left out. Raises DeviceError where the device is gone.
        """

    @abstractmethod
    def close(self) -> None:
        """Gives back what the runner holds (processes, connections)."""

    def __enter__(self) -> Runner:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
