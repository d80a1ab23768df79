"""Fully connected layers for CUDA: a row of threads to a filter.

Values are ``[C, 1, 1]``; weights are packed ``[M', C']`` with filters and channels padded to
whole blocks and steps, so that a row of threads reads neighbouring weights.
"""

from __future__ import annotations

import numpy as np

from costmodel.kernels import Array, ConvKernel, Kernel
from costmodel.schedules.cuda_lanes import TOTAL, Lanes, lane_points
from costmodel.schedules.cuda_nest import Buffer, CudaFamily, CudaNest, Ref
from costmodel.schedules.cuda_statements import biased_output, extras, select
from costmodel.schedules.family import Schedule
from costmodel.target import GpuTarget, Target


class CudaDense(CudaFamily[ConvKernel]):
    """For kernels with ``is_dense`` of one group; see `costmodel.schedules.cuda_lanes`."""

    name = "cuda_dense"

    def handles(self, kernel: Kernel, target: Target) -> bool:
        return (
            isinstance(target, GpuTarget)
            and isinstance(kernel, ConvKernel)
            and kernel.is_dense
            and kernel.groups == 1
        )

    def gpu_points(self, kernel: ConvKernel, target: GpuTarget) -> tuple[Schedule, ...]:
        return lane_points(self.name, kernel.filters, kernel.channels, target)

    def nest(self, kernel: ConvKernel, schedule: Schedule, target: GpuTarget) -> CudaNest:
        del target
        g = _lanes(kernel, schedule)
        x, out = Buffer("x", (kernel.channels, 1, 1)), Buffer("out", (kernel.filters, 1, 1))
        w = Buffer("w", (g.blocks * g.rows, g.steps * g.lanes))
        b = Buffer("b", (g.blocks * g.rows,))
        loads = (
            Ref(x, lambda i: (g.position(i) if kernel.channels > 1 else 0, 0, 0)),
            Ref(w, lambda i: (g.output(i), g.position(i))),
        )
        statements, total = g.reduction(
            loads,
            lambda i, value, weight: select(g.is_inside(i), value) * weight,
            lambda one, other: one + other,
            start=0,
            flops=2,
        )
        output = biased_output(
            (),
            total,
            Ref(b, lambda i: (g.output(i),)),
            out,
            lambda i: (g.output(i), 0, 0),
            kernel.epilogue,
            g.is_writer,
        )
        return CudaNest(
            parameters=(x, *extras(kernel.epilogue, out.shape), w, b, out),
            blocks=g.block.grid,
            threads=g.block.threads,
            scratch=g.scratch(TOTAL),
            body=(*statements, output),
        )

    def pack(
        self,
        kernel: ConvKernel,
        schedule: Schedule,
        target: Target,
        constants: tuple[Array, ...],
    ) -> tuple[Array, ...]:
        """Weights as the module says and bias ``[M']``, padded with zeros."""
        del target
        weight, bias = constants
        g = _lanes(kernel, schedule)
        padded = np.zeros((g.blocks * g.rows, g.steps * g.lanes), np.float32)
        padded[: kernel.filters, : kernel.channels] = weight[:, :, 0, 0]
        padded_bias = np.zeros(g.blocks * g.rows, np.float32)
        padded_bias[: kernel.filters] = bias
        return padded, padded_bias


def _lanes(kernel: ConvKernel, schedule: Schedule) -> Lanes:
    return Lanes(kernel.filters, kernel.channels, schedule["rows"], schedule["lanes"])
