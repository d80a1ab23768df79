"""Boards that kernels are built for, and what they compute there: emulated, so not their times."""

import platform
import shutil
import subprocess
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from drawing import make_target

from costmodel.crossbuild.link import build
from costmodel.crossbuild.platforms import platform_of
from costmodel.crossbuild.run import check
from costmodel.target import freeze_tvm_target

_ARMV7 = {
    "kind": "llvm", "keys": ["arm_cpu", "cpu"], "device": "arm_cpu",
    "mtriple": "armv7l-linux-gnueabihf", "mattr": ["+neon"], "mfloat-abi": "hard",
}  # fmt: skip
_AARCH64 = {
    "kind": "llvm", "keys": ["arm_cpu", "cpu"], "device": "arm_cpu",
    "mtriple": "aarch64-linux-gnu", "mattr": ["+neon"],
}  # fmt: skip
_X86 = {"kind": "llvm", "mtriple": "x86_64-linux-gnu"}
BOARDS = {
    **{f"cortex-{core}": _ARMV7 for core in ("a7", "a9", "a15")},
    **{f"cortex-{core}": _AARCH64 for core in ("a53", "a72", "a76")},
    "x86-64": _X86,
}
"""Processor -> TVM's target, without the processor."""
ONE_OF_EACH_PLATFORM = ("cortex-a7", "cortex-a53", "x86-64")
_QEMU = {"armv7": "arm", "aarch64": "aarch64", "x86_64": "x86_64"}


def board_target(processor, cores=1):
    tvm = {**BOARDS[processor], "mcpu": processor, "num-cores": cores}
    registers = 32 if BOARDS[processor] is _AARCH64 else 16
    return make_target(4, cores, freeze_tvm_target(tvm), vector_registers=registers)


def emulator_of(target):
    """What to put before a program for ``target``; skips the test where there is none."""
    if find_spec("ziglang") is None:
        pytest.skip("no cross-linker: pip install 'ponas[boards]'")
    name = platform_of(target).name
    if platform.machine() == name:
        return ()
    command = f"qemu-{_QEMU[name]}-static"
    if shutil.which(command) is None:
        pytest.skip(f"no {command}: make system-packages")
    processor = dict(target.tvm).get("mcpu", "")
    # Where qemu knows the processor it refuses instructions that the real one lacks.
    return (command, "-cpu", processor) if processor in _processors(command) else (command,)


@cache
def _processors(command):
    shown = subprocess.run([command, "-cpu", "help"], capture_output=True, text=True, check=False)
    return frozenset(shown.stdout.split())


def run_under_qemu(lowered_kernels, target, inputs):
    """The output of each kernel (a `LoweredKernel` or a module) on its inputs, in order.

    ``inputs``: for each kernel all its arguments but the output. All kernels are in one program;
    what costs is compiling them, 30 to 140 ms each.
    """
    emulator = emulator_of(target)
    modules = {f"k{i}": getattr(k, "module", k) for i, k in enumerate(lowered_kernels)}
    with TemporaryDirectory() as folder:
        program = build(modules, target, Path(folder) / "program")
        calls = list(zip(modules, inputs, strict=True))
        return check(program, calls, emulator=emulator, threads=target.cores)
