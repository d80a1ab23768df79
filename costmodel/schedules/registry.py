"""Which families schedule which kernel on which target."""

from __future__ import annotations

from typing import Any

from costmodel.errors import InputError
from costmodel.kernels import ConvKernel, Kernel
from costmodel.loopnest import LoopNest
from costmodel.schedules.channels import ChannelMoves, LayoutChange
from costmodel.schedules.cuda import CUDA_FAMILIES
from costmodel.schedules.default import Default
from costmodel.schedules.depthwise import DepthwiseConvolution
from costmodel.schedules.direct import DirectConvolution, PointwiseConvolution
from costmodel.schedules.elementwise import Elementwise
from costmodel.schedules.family import Schedule, ScheduleFamily
from costmodel.schedules.pool import Pool
from costmodel.schedules.spatial_pack import SpatialPackConvolution
from costmodel.target import CpuTarget, Target

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
    DEPTHWISE, POINTWISE, DIRECT, SPATIAL_PACK, POOL, ELEMENTWISE, CHANNELS, LAYOUT, DEFAULT,
)  # fmt: skip
FAMILIES: dict[str, ScheduleFamily[Any]] = {
    family.name: family for family in (*CPU_FAMILIES, *CUDA_FAMILIES)
}
"""By name, special ones before general ones."""


def families_of(kernel: Kernel, target: Target) -> tuple[ScheduleFamily[Any], ...]:
    """The families whose points are tried for ``kernel`` on ``target``; none where it cannot run.

    The first of `FAMILIES` that handles it, and the one with tiles of several rows where it pays.
    """
    first = next((f for f in FAMILIES.values() if f.handles(kernel, target)), None)
    if first is None:
        return ()
    if first is DIRECT and SPATIAL_PACK.handles(kernel, target) and _rows_pay(kernel, target):
        return (DIRECT, SPATIAL_PACK)
    return (first,)


def _rows_pay(kernel: Kernel, target: Target) -> bool:
    """Whether tiles of several rows of a convolution may win, by `NARROW` and `FEW_LANES`."""
    if not isinstance(kernel, ConvKernel) or not isinstance(target, CpuTarget):
        return False
    return kernel.output_size[1] < NARROW or target.vector_lanes <= FEW_LANES


def family_of(schedule: Schedule) -> ScheduleFamily[Any]:
    """The family that a schedule is a point of; InputError for a name that is none."""
    if schedule.family not in FAMILIES:
        raise InputError(
            f"unknown schedule family '{schedule.family}'; there are {', '.join(FAMILIES)}"
        )
    return FAMILIES[schedule.family]


def points(kernel: Kernel, target: Target) -> tuple[Schedule, ...]:
    """Every valid schedule of ``kernel`` on ``target``, at least one where it can run there."""
    return tuple(
        point for family in families_of(kernel, target) for point in family.points(kernel, target)
    )


def describe(kernel: Kernel, schedule: Schedule, target: Target) -> LoopNest:
    """The loops of ``kernel`` under ``schedule``."""
    return family_of(schedule).describe(kernel, schedule, target)
