"""Which families schedule which kernel on which target."""

from __future__ import annotations

from typing import Any, cast

from costmodel.errors import InputError
from costmodel.kernels import (
    ChannelsKernel,
    ConvKernel,
    ElementwiseKernel,
    Kernel,
    LayoutKernel,
    PoolKernel,
)
from costmodel.loopnest import LoopNest
from costmodel.schedules.channels import ChannelMoves, LayoutChange
from costmodel.schedules.cuda import CUDA_FAMILIES, cuda_family_of
from costmodel.schedules.default import Default
from costmodel.schedules.depthwise import DepthwiseConvolution
from costmodel.schedules.direct import DirectConvolution, PointwiseConvolution
from costmodel.schedules.elementwise import Elementwise
from costmodel.schedules.family import Schedule, ScheduleFamily
from costmodel.schedules.pool import Pool
from costmodel.schedules.spatial_pack import SpatialPackConvolution
from costmodel.target import CpuTarget, GpuTarget, Target

NARROW = 3
"""Columns below which tiles of several rows win: 2.0 and 2.2 times on maps one column wide, 1.0
from three columns on (AVX-512, one thread)."""
FEW_LANES = 4
"""NEON: whether tiles of several rows win there is for the calibration of each board to say."""

DIRECT = DirectConvolution()
POINTWISE = PointwiseConvolution()
SPATIAL_PACK = SpatialPackConvolution()
DEPTHWISE = DepthwiseConvolution()
POOL = Pool()
ELEMENTWISE = Elementwise()
CHANNELS = ChannelMoves()
LAYOUT = LayoutChange()
DEFAULT = Default()
CPU_FAMILIES: tuple[ScheduleFamily[Any], ...] = (
    DIRECT, POINTWISE, SPATIAL_PACK, DEPTHWISE, POOL, ELEMENTWISE, CHANNELS, LAYOUT, DEFAULT,
)  # fmt: skip
FAMILIES: dict[str, ScheduleFamily[Any]] = {
    family.name: family for family in (*CPU_FAMILIES, *CUDA_FAMILIES)
}


def families_of(kernel: Kernel, target: Target) -> tuple[ScheduleFamily[Any], ...]:
    """The families that can schedule ``kernel`` on ``target``, at least one."""
    if isinstance(target, GpuTarget):
        return (cuda_family_of(kernel),)
    if isinstance(kernel, ConvKernel):
        return _convolution_families(kernel, target)
    if isinstance(kernel, PoolKernel):
        return (POOL,)
    if isinstance(kernel, ElementwiseKernel):
        return (ELEMENTWISE,)
    if isinstance(kernel, ChannelsKernel):
        return (CHANNELS,)
    return (LAYOUT,) if isinstance(kernel, LayoutKernel) else (DEFAULT,)


def _convolution_families(kernel: ConvKernel, target: Target) -> tuple[ScheduleFamily[Any], ...]:
    if kernel.is_depthwise:
        return (DEPTHWISE,)
    if POINTWISE.handles(kernel, target):
        return (POINTWISE,)
    if not DIRECT.handles(kernel, target):
        return (DEFAULT,)
    if not SPATIAL_PACK.handles(kernel, target):
        return (DIRECT,)
    lanes = cast(CpuTarget, target).vector_lanes
    pays = kernel.output_size[1] < NARROW or lanes <= FEW_LANES
    return (DIRECT, SPATIAL_PACK) if pays else (DIRECT,)


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
