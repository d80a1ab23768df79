"""The one way from a kernel and a schedule to code: predicted, compiled, measured and shipped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import tvm
import tvm_ffi

from costmodel.errors import DeviceError
from costmodel.kernels import Kernel
from costmodel.loopnest import LoopNest
from costmodel.schedules.family import Schedule
from costmodel.schedules.registry import family_of
from costmodel.target import Target
from costmodel.target_check import check_target
from costmodel.tir import read

PASS_CONFIG = {"tirx.disable_assert": True}
"""Argument checks are two thirds of the assembly and none of the kernel; we pass right shapes."""


@dataclass(frozen=True)
class LoweredKernel:
    """A kernel scheduled by TVM for a target, with the loops that came out."""

    kernel: Kernel
    schedule: Schedule
    target: Target
    module: tvm.IRModule
    """One PrimFunc named ``main``."""
    nest: LoopNest
    """Read from ``module``."""

    @property
    def digest(self) -> str:
        """Structural hash of the scheduled module: equal code has equal digests."""
        return f"{tvm_ffi.structural_hash(self.module) & (2**64 - 1):016x}"


def lower(kernel: Kernel, schedule: Schedule, target: Target) -> LoweredKernel:
    """Schedules ``kernel`` through TVM; about 10 ms."""
    module = family_of(schedule).module(kernel, schedule, target)
    return LoweredKernel(kernel, schedule, target, module, read(module))


def compile_module(module: tvm.IRModule, target: Target) -> Any:  # noqa: ANN401 - no types there
    """Machine code for ``target`` as a TVM runtime module; 30 to 140 ms a kernel.

    Raises InputError for a target that LLVM does not know, DeviceError, with TVM's last line, when
    the compiler refuses.
    """
    check_target(target)
    try:
        with tvm.transform.PassContext(config=PASS_CONFIG):
            return tvm.compile(module, target=target.tvm_dict()).mod
    except Exception as error:  # TVM raises the type that its C++ code names
        line = str(error).strip().splitlines()[-1]
        raise DeviceError(f"TVM cannot compile for {target.tvm_dict()}: {line}") from error
