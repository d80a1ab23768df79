"""Profiles: a device by name, its target and protocol, and what its calibration found."""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from boltons.fileutils import atomic_save
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from costmodel.calibration.card import ErrorCard
from costmodel.errors import InputError
from costmodel.protocol import Protocol
from costmodel.target import CpuTarget, Target, freeze_tvm_target

PROFILE_FILE = "profile.json"
MODEL_FILE = "model.npz"
MEASUREMENTS_FILE = "measurements.jsonl"
CURE = "mend it, or delete its folder to have the one that ships"


class TargetFacts(BaseModel):
    """`Target` as it stands in a file."""

    model_config = ConfigDict(extra="forbid")

    tvm: dict[str, Any]
    vector_lanes: int
    vector_registers: int
    fma_per_cycle: float
    fma_latency: float
    loads_per_cycle: float
    issue_width: float
    out_of_order: bool
    frequency_mhz: float
    l1_bytes: int
    l2_bytes: int
    l2_bytes_per_cycle: float
    memory_gb_per_s: float
    filter_block: int
    cores: int

    @staticmethod
    def of(target: Target) -> TargetFacts:
        """The facts of a target."""
        return TargetFacts(**{**asdict(target), "tvm": target.tvm_dict()})

    def target(self) -> Target:
        """The target of these facts; InputError where they contradict each other."""
        facts = {name: getattr(self, name) for name in type(self).model_fields}
        return CpuTarget(**{**facts, "tvm": freeze_tvm_target(self.tvm)})


class CalibrationFacts(BaseModel):
    """What a calibration found, and where its figures come from."""

    model_config = ConfigDict(extra="forbid")

    measured_at: str
    """Time in UTC, ISO 8601."""
    origin: str
    """Who measured, on which machine, with which TVM."""
    space: str
    """What the timed networks were drawn from."""
    target: TargetFacts
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


class ProfileFile(BaseModel):
    """``profile.json`` of a device."""

    model_config = ConfigDict(extra="forbid")

    format: Literal[1]
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")
    description: str
    runner: Literal["local"]
    target: TargetFacts | Literal["host"]
    """``host``: read off the machine that asks."""
    protocol: dict[str, float] = Field(default_factory=dict)
    calibration: CalibrationFacts | None = None


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
        values: dict[str, float | int] = {}
        for field, value in self.file.protocol.items():
            whole = field != "agreement"
            if whole and value != int(value):
                raise InputError(
                    f"profile '{self.name}' has {value} for protocol field '{field}', "
                    "which is a whole number"
                )
            values[field] = int(value) if whole else value
        try:
            return Protocol(**values)  # type: ignore[arg-type]
        except TypeError as error:
            raise InputError(
                f"profile '{self.name}' has an unknown protocol field: {error}"
            ) from None

    def target(self) -> Target:
        """The target to compile for."""
        if self.file.target == "host":
            from costmodel.host import host_target

            return host_target()
        return self.file.target.target()

    def calibration(self) -> CalibrationFacts | None:
        """The calibration, where there is one and it is of this very target.

        A `host` profile that was calibrated on another machine counts as uncalibrated here.
        """
        facts = self.file.calibration
        if facts is None or facts.target.target().digest != self.target().digest:
            return None
        return facts

    @property
    def digest(self) -> str:
        """Short name of everything that decides this profile's estimates."""
        facts = self.calibration()
        decisive = [self.name, self.target().digest, facts.model_dump() if facts else None]
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
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "file"
        raise InputError(
            f"profile {path} is corrupt at '{where}': {first['msg']}; {CURE}"
        ) from None
    except OSError as error:
        raise InputError(f"profile {path} cannot be read: {error.strerror}; {CURE}") from None
