"""Mean or maximum over windows for CPUs: vector lanes over channels."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, cast

from costmodel.kernels import Kernel, PoolKernel
from costmodel.loopnest import LoopNest
from costmodel.schedules import channelwise
from costmodel.schedules.family import Schedule, ScheduleFamily
from costmodel.target import CpuTarget, Target

if TYPE_CHECKING:
    import tvm

MAXIMUM_VECTORS = 8
"""Enough independent sums to hide the latency of an addition on every core we know."""


class Pool(ScheduleFamily[PoolKernel]):
    """Parameter: ``vectors`` of channels.

    Where there is more than one window, also ``rows`` and ``columns`` of the register tile and
    ``unroll``, as for depthwise convolutions.
    """

    name = "pool"

    def handles(self, kernel: Kernel, target: Target) -> bool:
        """Whether this is pooling, and for a CPU."""
        return isinstance(kernel, PoolKernel) and isinstance(target, CpuTarget)

    def points(self, kernel: PoolKernel, target: Target) -> tuple[Schedule, ...]:
        if kernel.output_size != (1, 1):
            return channelwise.points(self.name, kernel, target)
        core = cast(CpuTarget, target)
        lanes, channels = channelwise.computed_channels(kernel, core)
        total = channels // lanes
        return tuple(
            Schedule(self.name, (("vectors", v),))
            for v in range(1, min(total, MAXIMUM_VECTORS) + 1)
            if total % v == 0
        )

    def shapes(
        self, kernel: PoolKernel, schedule: Schedule, target: Target
    ) -> tuple[tuple[int, ...], ...]:
        del schedule
        output = (*kernel.output_size, target.padded(kernel.channels))
        return (kernel.height, kernel.width, kernel.input_stride), output

    def scratch_elements(self, kernel: PoolKernel, schedule: Schedule, target: Target) -> int:
        return channelwise.scratch_elements(kernel, schedule, target)

    def describe(self, kernel: PoolKernel, schedule: Schedule, target: Target) -> LoopNest:
        g = channelwise.geometry(kernel, schedule, target)
        return LoopNest(
            channelwise.describe(
                kernel, g, weighted=False, finish=[], finish_flops=_finish_flops(kernel)
            )
        )

    def module(self, kernel: PoolKernel, schedule: Schedule, target: Target) -> tvm.IRModule:
        from costmodel.schedules import pool_tvm

        return pool_tvm.written(kernel, channelwise.geometry(kernel, schedule, target))


def constant_count(kernel: PoolKernel, axis: int) -> int | None:
    """Rows (axis 0) or columns (1) that every window of a mean counts; None where they differ."""
    if kernel.count_padding:
        return kernel.window[axis]
    extent = (kernel.height, kernel.width)[axis]
    counts = {
        min(start + kernel.window[axis], extent) - max(start, 0)
        for start in (
            place * kernel.stride[axis] - kernel.padding[axis]
            for place in range(kernel.output_size[axis])
        )
    }
    return counts.pop() if len(counts) == 1 else None


def _finish_flops(kernel: PoolKernel) -> int:
    """A mean is scaled; by a count of its own, which is inverted first, where counts differ."""
    if kernel.function == "max":
        return 0
    counts = [constant_count(kernel, axis) for axis in (0, 1)]
    known = [count for count in counts if count is not None]
    if len(known) < len(counts):
        return 2
    return int(math.prod(known) != 1)
