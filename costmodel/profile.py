"""Profiles: a device by name, its target and protocol, and what its calibration found."""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

from boltons.fileutils import atomic_save
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from costmodel.calibration.card import ErrorCard
from costmodel.errors import InputError
from costmodel.protocol import Protocol
from costmodel.runners.reach import Reach
from costmodel.target import CpuTarget, GpuTarget
from costmodel.target_file import NamedTarget, StatedTarget, facts_of

PROFILE_FILE = "profile.json"
MODEL_FILE = "model.npz"
MEASUREMENTS_FILE = "measurements.jsonl"
CURE = "mend it, or delete this file to have the profile that ships"


class CalibrationFacts(BaseModel):
    """What a calibration found, and where its figures come from."""

    model_config = ConfigDict(extra="forbid")

    measured_at: str
    """Time in UTC, ISO 8601."""
    origin: str
    """Who measured, on which machine, with which TVM."""
    space: str
    """What the timed networks were drawn from."""
    target: StatedTarget
    kernels: int
    minutes: float
    seconds_per_kernel: float = Field(ge=0)
    seconds_per_byte: float = Field(ge=0)
    error: ErrorCard
    held_out: list[tuple[str, float, float]]
    """Name, predicted and measured milliseconds of the held-out networks."""
    failed: list[str]
    """Jobs that could not be measured, with the reason."""
    model_sha256: str
    """Of the model file beside."""
    schedules: Literal["fastest", "roofline"] = "fastest"
    """Which schedule speaks for a kernel: the fastest predicted, or, where a runtime of the user's
    own ran it, that of the smallest roofline (`costmodel.calibration.described`)."""


class ProfileFile(BaseModel):
    """``profile.json`` of a device."""

    model_config = ConfigDict(extra="forbid")

    format: Literal[2]
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")
    description: str
    runner: Reach | None = None
    """How kernels reach the device, as last calibrated; without one it is estimated only."""
    target: NamedTarget
    """``host`` and ``host-all``: read off the machine that asks."""
    sources: dict[str, str] = Field(default_factory=dict)
    """Fact of a stated target -> where its value comes from."""
    protocol: Protocol = Field(default_factory=Protocol)
    calibration: CalibrationFacts | None = None

    @model_validator(mode="after")
    def _each_fact_has_its_source(self) -> Self:
        """A number without its origin is not shown (and none is, that has no number)."""
        facts = set() if isinstance(self.target, str) else set(facts_of(self.target))
        for name in sorted(facts ^ self.sources.keys()):
            if name in facts:
                raise ValueError(f"sources do not say where target fact '{name}' comes from")
            raise ValueError(f"sources name '{name}', which is no fact of the target")
        return self


@dataclass(frozen=True)
class Profile:
    """A device by name; `folder` holds its files."""

    file: ProfileFile
    folder: Path

    @property
    def name(self) -> str:
        """What a person calls the device."""
        return self.file.name

    @property
    def protocol(self) -> Protocol:
        """How the device is measured."""
        return self.file.protocol

    def target(self) -> CpuTarget | GpuTarget:
        """The target to compile for."""
        if not isinstance(self.file.target, str):
            return self.file.target
        from costmodel.host import host_target, usable_cores

        return host_target(1 if self.file.target == "host" else usable_cores())

    @property
    def sources(self) -> dict[str, str]:
        """Fact of the target -> where its value comes from."""
        if not isinstance(self.file.target, str):
            return self.file.sources
        from costmodel.host import SOURCES

        return dict(SOURCES)

    def calibration(self) -> CalibrationFacts | None:
        """The calibration, where there is one and it is of this very target.

        A `host` profile that was calibrated on another machine counts as uncalibrated here.
        """
        facts = self.file.calibration
        if facts is None or facts.target.digest != self.target().digest:
            return None
        return facts

    @property
    def digest(self) -> str:
        """Short name of everything that decides this profile's estimates."""
        facts = self.calibration()
        decisive = [
            self.name,
            self.target().digest,
            facts.model_dump(mode="json") if facts else None,
        ]
        return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()[:16]


class ProfileStore:
    """Profiles in folders, one a device; those of earlier roots hide those of later ones."""

    def __init__(self, roots: Sequence[Path]) -> None:
        """``roots``: the user's own first (it is written to), then what ships."""
        self._roots = tuple(roots)

    def names(self) -> tuple[str, ...]:
        """All known devices, sorted."""
        found = {
            path.parent.name for root in self._roots for path in root.glob(f"*/{PROFILE_FILE}")
        }
        return tuple(sorted(found))

    def get(self, name: str) -> Profile:
        """The profile of that name.

        Raises InputError for an unknown name (with those nearest to it) or a corrupt file (with
        the field).
        """
        if name not in self.names():
            near = difflib.get_close_matches(name, self.names(), n=2, cutoff=0.4)
            hint = f"did you mean {' or '.join(near)}? " if near else ""
            raise InputError(f"unknown profile '{name}'; {hint}list them with: ponas profiles")
        folder = next(r / name for r in self._roots if (r / name / PROFILE_FILE).is_file())
        file = _parse(folder / PROFILE_FILE)
        if file.name != name:
            raise InputError(
                f"profile {folder / PROFILE_FILE} is corrupt at 'name': it says '{file.name}', "
                f"its folder '{name}'; {CURE}"
            )
        return Profile(file, folder)

    def save(self, file: ProfileFile) -> Profile:
        """Writes ``profile.json`` into the user's root, whole or not at all."""
        folder = self.folder(file.name)
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_save(str(folder / PROFILE_FILE), overwrite_part=True) as stream:
            stream.write(f"{file.model_dump_json(indent=1)}\n".encode())
        return Profile(file, folder)

    def folder(self, name: str) -> Path:
        """Where the user's own files of a device lie, whether or not there are any."""
        return self._roots[0] / name


def _parse(path: Path) -> ProfileFile:
    try:
        return ProfileFile.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise InputError(_told(path, error.errors()[0])) from None
    except OSError as error:
        raise InputError(f"profile {path} cannot be read: {error.strerror}; {CURE}") from None


def _told(path: Path, error: ErrorDetails) -> str:
    if error["loc"] == ("format",) and error.get("input") == 1:
        return (
            f"profile {path} has format 1, which this version no longer reads; delete its folder "
            f"and calibrate again: ponas calibrate {path.parent.name}"
        )
    # The tag that chose the kind of target is no field of the file.
    tagged = (i for i, part in enumerate(error["loc"]) if i and error["loc"][i - 1] == "target")
    tag = next(tagged, None)
    where = ".".join(str(part) for i, part in enumerate(error["loc"]) if i != tag) or "file"
    message = error["msg"].removeprefix("Value error, ")
    return f"profile {path} is corrupt at '{where}': {message}; {CURE}"
