"""Which family schedules which kernel."""

from __future__ import annotations

from typing import Any

from costmodel.kernels import ConvKernel, Kernel
from costmodel.loopnest import LoopNest
from costmodel.schedules.direct import DirectConvolution
from costmodel.schedules.family import Schedule, ScheduleFamily
from costmodel.schedules.pool import AveragePool
from costmodel.target import Target

DIRECT = DirectConvolution()
POOL = AveragePool()


def family_of(kernel: Kernel) -> ScheduleFamily[Any]:
    """The family that schedules ``kernel``."""
    return DIRECT if isinstance(kernel, ConvKernel) else POOL


def points(kernel: Kernel, target: Target) -> tuple[Schedule, ...]:
    """Every valid schedule of ``kernel`` on ``target``, at least one."""
    return family_of(kernel).points(kernel, target)


def describe(kernel: Kernel, schedule: Schedule, target: Target) -> LoopNest:
    """The loops of ``kernel`` under ``schedule``."""
    return family_of(kernel).describe(kernel, schedule, target)
