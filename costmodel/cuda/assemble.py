"""From a module scheduled for CUDA to machine code and to what it takes of a multiprocessor."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import tvm

from costmodel.cuda.toolkit import find_toolkit
from costmodel.errors import DeviceError, InputError
from costmodel.target import GpuTarget

ARCHITECTURES = (
    "sm_53", "sm_61", "sm_62", "sm_70", "sm_75", "sm_80", "sm_86", "sm_89", "sm_90",
)  # fmt: skip
"""GPUs that kernels are assembled for: Maxwell's Jetson to Hopper."""

_PASS_CONFIG = {"tirx.disable_assert": True}
_FIRST_KERNEL = 'extern "C" __global__'
_HEADER = "#define uint unsigned int\n"
"""Stands for all that TVM writes before its kernels: CUDA headers that NVRTC has not at hand, and
types that float32 kernels do not use."""

_ENTRY = re.compile(r"Compiling entry function '(\w+)'")
_FRAME = re.compile(
    r"(?P<stack_bytes>\d+) bytes stack frame, (?P<spill_store_bytes>\d+) bytes spill stores, "
    r"(?P<spill_load_bytes>\d+) bytes spill loads"
)
_REGISTERS = re.compile(r"Used (\d+) registers")
_SHARED = re.compile(r"(\d+)(?:\+\d+)? bytes smem")
_CONSTANT = re.compile(r"(\d+) bytes cmem\[\d+\]")


@dataclass(frozen=True)
class KernelUsage:
    """What one kernel takes of a multiprocessor, as ptxas reports it."""

    name: str
    registers: int
    """32-bit registers a thread."""
    spill_store_bytes: int
    """Stores, a thread, of values for which no register was left."""
    spill_load_bytes: int
    stack_bytes: int
    """Local memory a thread: arrays that are indexed by variables, and spills."""
    shared_bytes: int
    """Shared memory a block."""
    constant_bytes: int
    """All banks together: arguments and literals."""


@dataclass(frozen=True)
class Assembly:
    """Machine code of a module."""

    architecture: str
    kernels: tuple[KernelUsage, ...]
    """In the order of the machine code."""
    cubin: bytes
    """The ELF file that the driver loads."""


def assemble(module: tvm.IRModule, target: GpuTarget) -> Assembly:
    """Compiles and assembles ``module`` for the GPU of ``target``; 0.2 to 0.4 s a kernel.

    Raises InputError for an architecture that is not in `ARCHITECTURES` or where the wheels of
    the extra ``ponas[cuda]`` are missing, DeviceError where a compiler refuses.
    """
    return assemble_source(cuda_source(module, target), architecture_of(target))


def assemble_source(source: str, architecture: str) -> Assembly:
    """Assembles CUDA C++ as `cuda_source` gives it; see `assemble`."""
    toolkit = find_toolkit()
    cubin, report = toolkit.cubin(toolkit.ptx(source, architecture), architecture)
    return Assembly(architecture, parse_report(report), cubin)


def architecture_of(target: GpuTarget) -> str:
    """The target's ``arch``; InputError where it is none of `ARCHITECTURES`."""
    architecture = target.tvm_dict().get("arch")
    if architecture not in ARCHITECTURES:
        raise InputError(
            f"target fact 'arch' is {architecture!r}; it must be one of {', '.join(ARCHITECTURES)}"
        )
    return str(architecture)


def cuda_source(module: tvm.IRModule, target: GpuTarget) -> str:
    """The kernels of ``module`` as CUDA C++ that needs no header; about 0.1 s.

    Raises DeviceError, with TVM's last line, where TVM refuses.
    """
    try:
        with tvm.transform.PassContext(config=_PASS_CONFIG):
            host = tvm.target.Target(target.tvm_dict(), host={"kind": "llvm"})
            built: Any = tvm.compile(module, target=host).mod
        source = str(built.imports[0].inspect_source("cuda"))
    except Exception as error:  # TVM raises the type that its C++ code names
        line = (str(error).strip() or type(error).__name__).splitlines()[-1]
        raise DeviceError(f"TVM cannot write CUDA for {target.tvm_dict()}: {line}") from error
    start = source.find(_FIRST_KERNEL)
    if start < 0:
        raise DeviceError("TVM's CUDA source has no kernel: the module binds no loop to threads")
    return _HEADER + source[start:]


def parse_report(report: str) -> tuple[KernelUsage, ...]:
    """What ``ptxas -v`` says of each kernel; DeviceError for a report of another form."""
    _, *parts = _ENTRY.split(report)
    usages = tuple(_usage(name, text) for name, text in zip(parts[::2], parts[1::2], strict=True))
    if not usages:
        raise DeviceError(f"cannot read ptxas's report: {report.strip()[:200]!r}")
    return usages


def _usage(name: str, text: str) -> KernelUsage:
    frame, registers, shared = _FRAME.search(text), _REGISTERS.search(text), _SHARED.search(text)
    if frame is None or registers is None:
        raise DeviceError(f"cannot read ptxas's report on '{name}': {text.strip()[:200]!r}")
    return KernelUsage(
        name=name,
        registers=int(registers[1]),
        shared_bytes=int(shared[1]) if shared else 0,
        constant_bytes=sum(int(size) for size in _CONSTANT.findall(text)),
        **{key: int(value) for key, value in frame.groupdict().items()},
    )
