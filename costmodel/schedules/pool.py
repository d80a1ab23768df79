"""Average over rows and columns for CPUs: vectors of channels summed in registers."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from costmodel.kernels import PoolKernel
from costmodel.loopnest import LoopKind, LoopNest, statement
from costmodel.schedules.family import Schedule, ScheduleFamily
from costmodel.target import CpuTarget, Target

if TYPE_CHECKING:
    import tvm

MAXIMUM_VECTORS = 8
"""Enough independent sums to hide the latency of an addition on every core we know."""


class AveragePool(ScheduleFamily[PoolKernel]):
    """Parameter: ``vectors`` of channels summed at once. Input channels must fill whole vectors."""

    name = "pool"

    def points(self, kernel: PoolKernel, target: Target) -> tuple[Schedule, ...]:
        lanes = self._lanes(kernel, target)
        total = kernel.input_stride // lanes
        return tuple(
            Schedule(self.name, (("vectors", v),))
            for v in range(1, min(total, MAXIMUM_VECTORS) + 1)
            if total % v == 0
        )

    def shapes(
        self, kernel: PoolKernel, schedule: Schedule, target: Target
    ) -> tuple[tuple[int, ...], ...]:
        del schedule, target
        channels = kernel.input_stride
        return (kernel.height, kernel.width, channels), (1, 1, channels)

    def describe(self, kernel: PoolKernel, schedule: Schedule, target: Target) -> LoopNest:
        lanes, vectors = self._lanes(kernel, target), schedule["vectors"]
        block = lanes * vectors
        channels = kernel.input_stride
        outer = [(channels // block, LoopKind.SERIAL)]
        reduction = [(kernel.height, LoopKind.SERIAL), (kernel.width, LoopKind.SERIAL)]
        tile = [(vectors, LoopKind.UNROLLED), (lanes, LoopKind.VECTORIZED)]
        acc = ("acc", (0, lanes, 1), 1)
        scaling = 0 if kernel.height == kernel.width == 1 else 1  # a mean of one is itself
        sums = ("acc", (0, 0, 0, lanes, 1), 1)
        x = ("x", (block, kernel.width * channels, channels, lanes, 1), None)
        return LoopNest(
            (
                statement(outer + tile, acc, [], flops=0),
                statement(outer + reduction + tile, sums, [sums, x], flops=1),
                statement(outer + tile, ("out", (block, lanes, 1), None), [acc], flops=scaling),
            )
        )

    def module(self, kernel: PoolKernel, schedule: Schedule, target: Target) -> tvm.IRModule:
        from costmodel.schedules import pool_tvm

        return pool_tvm.scheduled(kernel, schedule["vectors"], self._lanes(kernel, target))

    @staticmethod
    def _lanes(kernel: PoolKernel, target: Target) -> int:
        """Whole vectors where the input is padded to them, else one channel at a time."""
        lanes = cast(CpuTarget, target).vector_lanes
        return lanes if kernel.input_stride % lanes == 0 else 1
