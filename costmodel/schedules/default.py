"""What has no schedule of ours: plain loops on CPUs, TVM's own functions as they are.

One point each. The loops are read back from the module, once a kernel.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, cast

from costmodel.kernels import ConvKernel, Kernel, SoftmaxKernel, TvmKernel
from costmodel.loopnest import LoopNest
from costmodel.schedules.cpu_limits import PARALLEL_FLOPS
from costmodel.schedules.family import Schedule, ScheduleFamily
from costmodel.target import CpuTarget, Target

if TYPE_CHECKING:
    import tvm

DefaultKernel = SoftmaxKernel | TvmKernel | ConvKernel

KEPT = 1024
"""Descriptions kept: more than the kernels of any network."""


class Default(ScheduleFamily[DefaultKernel]):
    """Softmax, TVM's functions, and convolutions in groups of any size. No parameters.

    Weights stay ``[M, C / groups, kh, kw]``; TVM's functions keep the layouts that they declare.
    """

    name = "default"

    def handles(self, kernel: Kernel, target: Target) -> bool:
        """Whether a plain loop over this kernel is known here, and it is for a CPU."""
        known = isinstance(kernel, SoftmaxKernel | TvmKernel | ConvKernel)
        return known and isinstance(target, CpuTarget)

    def points(self, kernel: DefaultKernel, target: Target) -> tuple[Schedule, ...]:
        del kernel, target
        return (Schedule(self.name, ()),)

    def shapes(
        self, kernel: DefaultKernel, schedule: Schedule, target: Target
    ) -> tuple[tuple[int, ...], ...]:
        del schedule
        if isinstance(kernel, TvmKernel):
            return (*kernel.input_shapes, *kernel.constant_shapes, kernel.output_shape)
        x = (kernel.height, kernel.width, kernel.input_stride)
        if isinstance(kernel, SoftmaxKernel):
            return x, (kernel.height, kernel.width, target.padded(kernel.channels))
        output = (*kernel.output_size, target.padded(kernel.filters))
        weight = (kernel.filters, kernel.group_channels, *kernel.kernel)
        return x, *[output] * (kernel.inputs - 1), weight, (kernel.filters,), output

    def scratch_elements(self, kernel: DefaultKernel, schedule: Schedule, target: Target) -> int:
        if not isinstance(kernel, TvmKernel):
            return 0
        from costmodel.schedules import default_tvm

        return default_tvm.allocated(self.module(kernel, schedule, target))

    def describe(self, kernel: DefaultKernel, schedule: Schedule, target: Target) -> LoopNest:
        return _read(kernel, schedule, target)

    def module(self, kernel: DefaultKernel, schedule: Schedule, target: Target) -> tvm.IRModule:
        from costmodel.schedules import default_tvm

        if isinstance(kernel, TvmKernel):
            return default_tvm.stored(kernel)
        parallel = cast(CpuTarget, target).cores > 1 and kernel.flops >= PARALLEL_FLOPS
        shapes = self.shapes(kernel, schedule, target)
        if isinstance(kernel, SoftmaxKernel):
            return default_tvm.softmax(kernel, shapes, parallel=parallel)
        return default_tvm.convolution(kernel, shapes, parallel=parallel)


@lru_cache(maxsize=KEPT)
def _read(kernel: DefaultKernel, schedule: Schedule, target: Target) -> LoopNest:
    from costmodel.tir import read

    return read(Default().module(kernel, schedule, target))
