"""Measurements as they are kept: one JSON line each, appended the moment it is known."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any, Literal, get_args

from boltons.fileutils import atomic_save
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from costmodel.errors import InputError
from costmodel.kernels import Kernel
from costmodel.protocol import undisturbed_seconds
from costmodel.runners.contract import Outcome
from costmodel.schedules.family import Schedule

Role = Literal["kernel", "overhead", "watched", "held_out"]


class KernelRecord(BaseModel):
    """A kernel and the schedule that it ran under."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: str
    """``kind`` of the kernel's class."""
    workload: dict[str, Any]
    """The kernel's fields."""
    schedule: str

    @staticmethod
    def of(kernel: Kernel, schedule: Schedule) -> KernelRecord:
        """The record of a scheduled kernel."""
        workload = TypeAdapter(type(kernel)).dump_python(kernel, mode="json")
        return KernelRecord(kind=kernel.kind, workload=workload, schedule=str(schedule))

    def scheduled(self) -> tuple[Kernel, Schedule]:
        """The kernel and schedule that were recorded; ValidationError where they are none."""
        kernel: Kernel = _ADAPTERS[self.kind].validate_python(self.workload)
        return kernel, Schedule.parse(self.schedule)


_ADAPTERS: dict[str, TypeAdapter[Any]] = {
    kernel.kind: TypeAdapter(kernel) for kernel in get_args(Kernel)
}


class Measurement(BaseModel):
    """One timed kernel or network, with every sample."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    key: str
    role: Role
    kernels: tuple[KernelRecord, ...] = Field(min_length=1)
    """The kernel, or all kernels of the network in order."""
    rounds: tuple[tuple[float, ...], ...] = ()
    """Seconds of one run, by round of measuring."""
    pace: float = Field(default=1.0, gt=0)
    """How much longer the device took for everything than at the runner's start."""
    error: str | None = None

    @property
    def seconds(self) -> float:
        """The time of one run that the samples speak for, at the pace of the runner's start."""
        return undisturbed_seconds(self.rounds) / self.pace

    @staticmethod
    def of(role: Role, kernels: Sequence[KernelRecord], outcome: Outcome) -> Measurement:
        """The measurement that an outcome is of."""
        return Measurement(
            key=outcome.key,
            role=role,
            kernels=tuple(kernels),
            rounds=outcome.rounds,
            pace=outcome.pace,
            error=outcome.error,
        )


class Choice(BaseModel):
    """What was chosen to be timed at one step, so that a later run does not choose again."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    choice: str
    """The step."""
    kernels: tuple[KernelRecord, ...]
    """In order; of a network, all of its kernels."""


class Reference(BaseModel):
    """Seconds of the runner's sentinels at its start, which all paces are relative to."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    reference: dict[str, float]


Line = Measurement | Choice | Reference
_LINE: TypeAdapter[Line] = TypeAdapter(Line)


class Header(BaseModel):
    """First line of a journal: what its measurements are of."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    journal: int = 1
    """Format."""
    target: str
    """Digest of the target."""
    settings: str
    """What was to be measured and how; another answer to this is another journal."""


class Journal:
    """An append-only file of a calibration; a torn last line is as if it had not been written."""

    def __init__(self, path: Path, header: Header) -> None:
        """Opens the journal, or starts it afresh where there is none of the same header.

        One of another header that has measurements is set aside under another name.
        """
        self._lines: list[Line] = []
        self.set_aside: Path | None = None
        """Where the journal of another header is now."""
        lines = list(_whole_lines(path))
        if lines and lines[0] == header.model_dump_json():
            self._lines = [_parse(path, n, line) for n, line in enumerate(lines[1:], 2)]
        elif len(lines) > 1:
            self.set_aside = path.replace(_free_name(path))
        self.measurements = [line for line in self._lines if isinstance(line, Measurement)]
        """Every attempt, in order."""
        self.choices = {
            line.choice: line.kernels for line in self._lines if isinstance(line, Choice)
        }
        """What was chosen at each step."""
        self.reference: dict[str, float] = {}
        """Seconds of the sentinels, as last written."""
        for line in self._lines:
            if isinstance(line, Reference):
                self.reference = dict(line.reference)
        path.parent.mkdir(parents=True, exist_ok=True)
        text = "".join(f"{line}\n" for line in [header.model_dump_json(), *self._dumped()])
        with atomic_save(str(path), overwrite_part=True) as file:
            file.write(text.encode())
        self._file = path.open("a", encoding="utf-8")

    def add(self, measurement: Measurement) -> None:
        """Keeps a measurement: it is on disk when this returns."""
        self.measurements.append(measurement)
        self._write(measurement)

    def choose(self, step: str, kernels: Sequence[KernelRecord]) -> None:
        """Keeps what was chosen at a step."""
        self.choices[step] = tuple(kernels)
        self._write(Choice(choice=step, kernels=tuple(kernels)))

    def refer(self, reference: Mapping[str, float]) -> None:
        """Keeps the sentinels' seconds where they are not the ones kept already."""
        if dict(reference) != self.reference:
            self.reference = dict(reference)
            self._write(Reference(reference=self.reference))

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def _write(self, line: Line) -> None:
        self._file.write(f"{line.model_dump_json()}\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def _dumped(self) -> Iterator[str]:
        return (line.model_dump_json() for line in self._lines)


def read_measurements(path: Path) -> tuple[Measurement, ...]:
    """The measurements of a finished calibration; InputError where the file is not one."""
    lines = list(_whole_lines(path))
    if not lines:
        raise InputError(f"the measurements {path} are missing or empty; calibrate again")
    parsed = (_parse(path, number, line) for number, line in enumerate(lines[1:], 2))
    return tuple(line for line in parsed if isinstance(line, Measurement))


def _free_name(path: Path) -> Path:
    """``journal-1.jsonl`` beside ``journal.jsonl``, or the first such name that is free."""
    names = (path.with_stem(f"{path.stem}-{number}") for number in count(1))
    return next(name for name in names if not name.exists())


def _whole_lines(path: Path) -> Iterator[str]:
    if not path.is_file():
        return
    with path.open(encoding="utf-8", errors="replace") as file:
        yield from (line.rstrip("\n") for line in file if line.endswith("\n"))


def _parse(path: Path, number: int, line: str) -> Line:
    try:
        return _LINE.validate_json(line)
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(
            f"{path} line {number} is not a measurement ({first['msg']}); "
            "delete the file and calibrate again"
        ) from error
