"""What a bundle says of itself: one JSON line, which the results of its runs begin with."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from costmodel.crossbuild.messages import TimeSettings
from costmodel.errors import InputError
from costmodel.operators import Shape
from costmodel.protocol import WARM_UPS, Protocol
from costmodel.runners.contract import Job, KernelJob

FORMAT: Final = 1


class BundledJob(BaseModel):
    """A job as it lies in a bundle."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    key: str
    name: str
    """In the program, or of its module's file."""
    batch: int
    """Which batch it is timed with; of a sentinel, which is timed with all, -1."""
    code: str
    """See `code_of`."""
    shapes: tuple[Shape, ...]
    """Of its arguments, float32, the output last."""


class Batch(BaseModel):
    """Jobs that are timed together, round after round, before the next ones are begun."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    protocol: Protocol
    timeout_s: int
    """That one timing of one job may take."""

    def settings(self, cores: int) -> TimeSettings:
        """How each round times a job."""
        return TimeSettings.of(self.protocol, cores, self.timeout_s)


class Manifest(BaseModel):
    """See the module."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    bundle: str = ""
    """Digest of everything below. It comes first: scripts look for it."""
    format: Literal[1] = FORMAT
    kind: Literal["program", "modules"]
    """One static program of all jobs, or a TVM module of each."""
    title: str
    target: str
    """Digest of the target."""
    facts: dict[str, Any]
    """All that the target says."""
    cores: int
    """Threads of a kernel."""
    batches: tuple[Batch, ...]
    jobs: tuple[BundledJob, ...]
    sentinels: tuple[BundledJob, ...]
    failed: dict[str, str]
    """Jobs that could not be built, by key, with the reason."""
    steps: int
    """Timings in all, at most."""
    files: dict[str, str]
    """SHA-256 of the files that are run."""
    versions: dict[str, str]
    """Of the packages that it was written with."""

    def sealed(self) -> Manifest:
        """The same with its digest."""
        return self.model_copy(update={"bundle": self._digest()})

    def line(self) -> str:
        """Its JSON, without a line feed."""
        return self.model_dump_json()

    def _digest(self) -> str:
        text = self.model_copy(update={"bundle": ""}).model_dump_json()
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @staticmethod
    def parse(line: str) -> Manifest:
        """The manifest that is this line; InputError, without a subject, where it is none."""
        try:
            manifest = Manifest.model_validate_json(line)
        except (ValidationError, InputError, RecursionError):
            raise InputError(_what_else(line)) from None
        if manifest.bundle != manifest._digest():
            raise InputError("its first line, the bundle's manifest, was damaged on the way")
        return manifest


def code_of(job: Job) -> str:
    """Digest of what is compiled for a job: a network's key says nothing of its schedules."""
    if isinstance(job, KernelJob):
        parts: list[Any] = [job.key]
    else:
        program = job.program
        kernels = [step.kernel.key for step in program.steps]
        parts = [program.input_shape, kernels, [str(s) for s in program.schedules]]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def timeout_of(protocol: Protocol, beyond_s: float) -> int:
    """Seconds that one timing may take: three times what is asked for, and ``beyond_s``."""
    asked_ms = protocol.samples * protocol.min_repeat_ms + WARM_UPS * protocol.warm_up_ms
    return max(1, round(3e-3 * asked_ms + beyond_s))


def _what_else(line: str) -> str:
    """Why a line is no manifest of ours."""
    try:
        said = json.loads(line)
    except (ValueError, RecursionError):
        said = None
    if not line.startswith('{"bundle":"'):
        return "its first line is not a bundle's manifest"
    if isinstance(said, dict) and said.get("format") != FORMAT:
        return f"it is of a bundle of format {said.get('format')!r}; this version reads {FORMAT}"
    return "its first line, the bundle's manifest, was damaged on the way"
