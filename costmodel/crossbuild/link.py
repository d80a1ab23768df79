"""Many kernels, one static program."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import tvm

from costmodel.crossbuild.objects import symbol_of, write_object
from costmodel.crossbuild.platforms import Platform, platform_of
from costmodel.crossbuild.signature import Signature, read_signature, table
from costmodel.crossbuild.toolchain import Toolchain
from costmodel.errors import InputError
from costmodel.target import CpuTarget


@dataclass(frozen=True)
class StaticProgram:
    """An executable for a board: see `program.c` for what it does there."""

    path: Path
    platform: Platform
    signatures: tuple[Signature, ...]
    """Its kernels, each under a name of its own."""

    def signature(self, name: str) -> Signature:
        """The kernel called ``name``; InputError where there is none."""
        for signature in self.signatures:
            if signature.name == name:
                return signature
        raise InputError(f"unknown kernel '{name}'; {self.path} has {len(self.signatures)} others")


def build(
    modules: Mapping[str, tvm.IRModule],
    target: CpuTarget,
    path: Path,
    toolchain: Toolchain | None = None,
) -> StaticProgram:
    """Compiles ``modules`` for ``target`` and links them into the program ``path``.

    Each module's ``main`` becomes the kernel of its name in ``modules``; it takes float32 arrays,
    the output last. Raises InputError for a name or an argument that a program cannot have, and
    DeviceError where the compiler or the linker fails (``path`` is then as it was).
    """
    if not modules:
        raise InputError("a static program needs at least one kernel")
    platform = platform_of(target)
    signatures = tuple(read_signature(name, module) for name, module in modules.items())
    prefixes = [f"ponas{index}" for index in range(len(modules))]
    with TemporaryDirectory() as folder:
        objects = [Path(folder) / f"{prefix}.o" for prefix in prefixes]
        for module, prefix, output in zip(modules.values(), prefixes, objects, strict=True):
            write_object(module, prefix, target, output)
        rows = table(signatures, [symbol_of(prefix) for prefix in prefixes])
        (toolchain or Toolchain()).link(objects, rows, platform, path)
    return StaticProgram(path, platform, signatures)
