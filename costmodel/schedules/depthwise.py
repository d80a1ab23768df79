"""Depthwise convolution for CPUs: vector lanes over channels, each with a filter of its own.

Activations are ``[H, W, C]``, weights packed ``[C/VC, kh, kw, VC]`` with VC = vectors x lanes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from costmodel.kernels import Array, ConvKernel, Kernel
from costmodel.loopnest import LoopNest
from costmodel.schedules import channelwise, epilogue
from costmodel.schedules.family import Schedule, ScheduleFamily
from costmodel.target import CpuTarget, Target

if TYPE_CHECKING:
    import tvm


class DepthwiseConvolution(ScheduleFamily[ConvKernel]):
    """Parameters: ``vectors``, ``rows`` and ``columns`` of a register tile; ``unroll``.

    ``unroll``: whether the window's rows are written out; its columns are, unless many.
    """

    name = "depthwise"

    def handles(self, kernel: Kernel, target: Target) -> bool:
        """Whether each channel has one filter of its own."""
        is_depthwise = isinstance(kernel, ConvKernel) and kernel.is_depthwise
        return is_depthwise and isinstance(target, CpuTarget)

    def points(self, kernel: ConvKernel, target: Target) -> tuple[Schedule, ...]:
        return channelwise.points(self.name, kernel, target)

    def shapes(
        self, kernel: ConvKernel, schedule: Schedule, target: Target
    ) -> tuple[tuple[int, ...], ...]:
        g = channelwise.geometry(kernel, schedule, target)
        output = (*g.output, g.output_pixel)
        return (
            (kernel.height, kernel.width, kernel.input_stride),
            *[output] * (kernel.inputs - 1),
            (g.blocks, *kernel.kernel, g.block),
            (g.channels,),
            output,
        )

    def pack(
        self,
        kernel: ConvKernel,
        schedule: Schedule,
        target: Target,
        constants: tuple[Array, ...],
    ) -> tuple[Array, ...]:
        """Filters in blocks of VC, padded with zeros."""
        weight, bias = constants
        g = channelwise.geometry(kernel, schedule, target)
        padded = np.zeros((g.channels, *kernel.kernel), np.float32)
        padded[: kernel.channels] = weight[:, 0]
        blocked = padded.reshape(g.blocks, g.block, *kernel.kernel)
        packed_bias = np.zeros(g.channels, np.float32)
        packed_bias[: kernel.channels] = bias
        return np.ascontiguousarray(blocked.transpose(0, 2, 3, 1)), packed_bias

    def scratch_elements(self, kernel: ConvKernel, schedule: Schedule, target: Target) -> int:
        return channelwise.scratch_elements(kernel, schedule, target)

    def describe(self, kernel: ConvKernel, schedule: Schedule, target: Target) -> LoopNest:
        g = channelwise.geometry(kernel, schedule, target)
        return LoopNest(
            channelwise.describe(
                kernel,
                g,
                weighted=True,
                finish=list(epilogue.combining(kernel.epilogue)),
                finish_flops=epilogue.flops(kernel.epilogue, before=1),
            )
        )

    def module(self, kernel: ConvKernel, schedule: Schedule, target: Target) -> tvm.IRModule:
        from costmodel.schedules import depthwise_tvm

        g = channelwise.geometry(kernel, schedule, target)
        return depthwise_tvm.written(kernel, g, self.shapes(kernel, schedule, target))
