"""The instruction sets, under Linux, that static programs are built for."""

from __future__ import annotations

from dataclasses import dataclass

from costmodel.errors import InputError
from costmodel.target import CpuTarget
from costmodel.target_check import llvm


@dataclass(frozen=True)
class Platform:
    """One instruction set under Linux.

    The processor (``mcpu``) is left to the kernels: libc and the program's own code are the same
    for every processor of a platform, so they are built once.
    """

    name: str
    triples: tuple[str, ...]
    """First words of the triples that mean it."""
    zig_target: str
    """Static musl, and system calls of Linux 3.10 alone: that of the ODroid XU3 (2014)."""


PLATFORMS = (
    Platform("armv7", ("armv7l", "armv7a", "armv7", "armv8l", "arm"), "arm-linux.3.10-musleabihf"),
    Platform("aarch64", ("aarch64", "arm64"), "aarch64-linux.3.10-musl"),
    Platform("x86_64", ("x86_64", "amd64"), "x86_64-linux.3.10-musl"),
)


def platform_of(target: CpuTarget) -> Platform:
    """The platform that ``target``'s ``mtriple`` names; without one, that of this machine.

    Raises InputError for a target that no static program can be built for.
    """
    facts = target.tvm_dict()
    triple = str(facts.get("mtriple") or llvm().llvm_get_system_triple())
    word, _, system = triple.partition("-")
    for platform in PLATFORMS:
        soft = platform.name == "armv7" and (
            not system.endswith("hf") or facts.get("mfloat-abi", "hard") != "hard"
        )
        if word in platform.triples and "linux" in system and not soft:
            return platform
    raise InputError(
        f"no static program for the triple '{triple}': it must be that of Linux on armv7 with "
        "hard floats (armv7l-linux-gnueabihf), aarch64 or x86_64"
    )


def platform_here() -> Platform | None:
    """That of this machine; None where it is none of ours."""
    word, _, _ = str(llvm().llvm_get_system_triple()).partition("-")
    return next((platform for platform in PLATFORMS if word in platform.triples), None)
