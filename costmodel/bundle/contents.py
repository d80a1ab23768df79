"""What is built for a bundle, whatever the device: code by job, and the files that run it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from costmodel.bundle.manifest import Manifest
from costmodel.crossbuild.signature import Signature
from costmodel.runners.contract import Job


@dataclass(frozen=True)
class Built:
    """Code that lies in a folder."""

    signatures: Mapping[str, Signature]
    """By key of a job."""
    failed: Mapping[str, str]
    """By key, one line that says why there is none."""
    files: tuple[Path, ...]
    """Those that are run."""


class Contents(ABC):
    """One kind of bundle: how a job's code is made, and what runs it on the device."""

    cores: int
    """Threads of a kernel."""

    @property
    @abstractmethod
    def kind(self) -> Literal["program", "modules"]:
        """As the manifest has it."""

    @abstractmethod
    def build(self, jobs: Sequence[Job], folder: Path) -> Built:
        """Puts the code of ``jobs``, whose keys are distinct, into ``folder``.

        Raises DeviceError where nothing can be built, whatever the job.
        """

    @abstractmethod
    def add_scripts(self, manifest: Manifest, folder: Path) -> None:
        """Puts there what runs the code and tells people how."""
