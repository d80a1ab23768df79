"""A bundle for a processor: one static program, a shell script, nothing to install."""

from __future__ import annotations

import hashlib
import math
import shlex
import shutil
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from costmodel.bundle.contents import Built, Contents
from costmodel.bundle.manifest import Batch, Manifest
from costmodel.crossbuild.platforms import Platform, platform_of
from costmodel.crossbuild.toolchain import Toolchain
from costmodel.doctor.facts import PATTERNS
from costmodel.errors import DeviceError
from costmodel.runners.contract import Job
from costmodel.runners.linking import LinkedProgram
from costmodel.runners.object_pool import BuiltObject, ObjectPool
from costmodel.target import CpuTarget

PROGRAM, SETTLE = "kernels", "settle"
"""File names of the program of all kernels, and of the one that tells which to time again."""


class ProgramContents(Contents):
    """See the module and `Contents`."""

    def __init__(
        self, target: CpuTarget, pool: ObjectPool | None = None, toolchain: Toolchain | None = None
    ) -> None:
        """InputError for a target that no static program can be built for."""
        self.cores = target.cores
        self._platform = platform_of(target)
        self._pool = pool
        self._toolchain = toolchain or Toolchain()

    @property
    def kind(self) -> Literal["program"]:
        return "program"

    def build(self, jobs: Sequence[Job], folder: Path) -> Built:
        pool = self._pool or ObjectPool()
        program, settle = folder / PROGRAM, folder / SETTLE
        try:
            with TemporaryDirectory(prefix="ponas-") as scratch:
                failed: dict[str, str] = {}
                objects: dict[str, BuiltObject] = {}
                for key, found in pool.build(jobs, Path(scratch)).items():
                    if isinstance(found, str):
                        failed[key] = found
                    else:
                        objects[key] = found
                linked = LinkedProgram(program, self._platform, self._toolchain)
                failed.update(linked.add(objects))
                linked.ensure()
        finally:
            if self._pool is None:
                pool.close()
        shutil.copyfile(settle_program(self._platform, self._toolchain), settle)
        settle.chmod(0o755)
        signatures = {key: b.signature for key, b in objects.items() if key not in failed}
        return Built(signatures, failed, (program, settle))

    def add_scripts(self, manifest: Manifest, folder: Path) -> None:
        protocol = manifest.batches[0].protocol
        limit_c = protocol.max_temperature_c
        facts = {
            "BUNDLE": manifest.bundle,
            "TITLE": manifest.title,
            "PLATFORM": self._platform.name,
            "STEPS": str(manifest.steps),
            "GOVERNOR": shlex.quote(protocol.governor),
            "CPUS": " ".join(map(str, protocol.cpus)),
            "COOL_DOWN_S": str(math.ceil(protocol.cool_down_ms / 1e3)),
            "MAX_TEMPERATURE_MC": "0" if limit_c is None else f"{1000 * limit_c:.0f}",
            "BATCHES": "\n".join(_case(i, b, self.cores) for i, b in enumerate(manifest.batches)),
            "COUNT": str(len(manifest.batches)),
            "FILES": " ".join(f"'{pattern}'" for pattern in PATTERNS),
        }
        script = folder / "run.sh"
        script.write_text(filled("run.sh", facts), encoding="utf-8")
        script.chmod(0o755)
        facts["COUNT"] = str(len(manifest.jobs))
        (folder / "README.txt").write_text(filled("README.program.txt", facts), encoding="utf-8")


def settle_program(platform: Platform, toolchain: Toolchain) -> Path:
    """The program of `settle.c`, from the toolchain's cache; DeviceError where zig fails."""
    source = files(__package__).joinpath("settle.c").read_bytes()
    digest = hashlib.sha256(source).hexdigest()[:16]
    program = toolchain.cache / f"settle-{platform.name}-{digest}"
    if program.exists():
        return program
    try:
        toolchain.cache.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=toolchain.cache) as folder:
            text, made = Path(folder) / "settle.c", Path(folder) / "settle"
            text.write_bytes(source)
            toolchain.cc(platform, ["-static", "-s", str(text), "-o", str(made)])
            made.replace(program)
    except OSError as error:
        raise DeviceError(f"cannot build {program}: {error.strerror}") from error
    return program


def filled(template: str, facts: dict[str, str]) -> str:
    """A file of this package, each ``@NAME@`` of ``facts`` replaced."""
    text = files(__package__).joinpath(template).read_text(encoding="utf-8")
    for name, value in facts.items():
        text = text.replace(f"@{name}@", value)
    return text


def _case(number: int, batch: Batch, cores: int) -> str:
    """What the shell has to know of a batch."""
    protocol = batch.protocol
    words = batch.settings(cores).arguments([])[1:]
    return (
        f"    {number}) passes={protocol.passes} rounds={protocol.max_rounds}"
        f" agreement={protocol.agreement!r} drift={protocol.drift!r}"
        f' options="{" ".join(words)}" ;;'
    )
