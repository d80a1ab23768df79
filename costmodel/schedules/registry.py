"""Which families schedule which kernel."""

from __future__ import annotations

from typing import Any

from costmodel.errors import InputError
from costmodel.kernels import ConvKernel, Kernel, PoolKernel
from costmodel.loopnest import LoopNest
from costmodel.schedules.direct import DirectConvolution, PointwiseConvolution
from costmodel.schedules.family import Schedule, ScheduleFamily
from costmodel.schedules.pool import AveragePool
from costmodel.target import Target

DIRECT = DirectConvolution()
POINTWISE = PointwiseConvolution()
POOL = AveragePool()
FAMILIES: dict[str, ScheduleFamily[Any]] = {
    family.name: family for family in (DIRECT, POINTWISE, POOL)
}


def families_of(kernel: Kernel, target: Target) -> tuple[ScheduleFamily[Any], ...]:
    """The families that can schedule ``kernel`` on ``target``, at least one."""
    if isinstance(kernel, ConvKernel):
        return (POINTWISE,) if POINTWISE.handles(kernel, target) else (DIRECT,)
    if isinstance(kernel, PoolKernel):
        return (POOL,)
    raise InputError(f"no schedule for {kernel.title}")


def family_of(schedule: Schedule) -> ScheduleFamily[Any]:
    """The family that a schedule is a point of; InputError for a name that is none."""
    if schedule.family not in FAMILIES:
        raise InputError(
            f"unknown schedule family '{schedule.family}'; there are {', '.join(FAMILIES)}"
        )
    return FAMILIES[schedule.family]


def points(kernel: Kernel, target: Target) -> tuple[Schedule, ...]:
    """Every valid schedule of ``kernel`` on ``target``, at least one."""
    return tuple(
        point for family in families_of(kernel, target) for point in family.points(kernel, target)
    )


def describe(kernel: Kernel, schedule: Schedule, target: Target) -> LoopNest:
    """The loops of ``kernel`` under ``schedule``."""
    return family_of(schedule).describe(kernel, schedule, target)
