"""Fully connected layers for CUDA: a row of threads to a filter.

Values are ``[C, 1, 1]``; weights are packed ``[M', C']`` with filters and channels padded to
whole blocks and steps, so that a row of threads reads neighbouring weights.
"""

from __future__ import annotations

import numpy as np

from costmodel.kernels import Array, ConvKernel, Kernel
from costmodel.schedules.cuda_lanes import SUM, TOTAL, Lanes, lane_points
from costmodel.schedules.cuda_nest import Assign, Buffer, CudaFamily, CudaNest, Ref
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
        return CudaNest(
            parameters=(x, *dense_constants(kernel, g), out),
            blocks=g.block.grid,
            threads=g.block.threads,
            scratch=g.scratch(TOTAL),
            body=dense_statements(kernel, g, x, out),
        )

    def pack(
        self,
        kernel: ConvKernel,
        schedule: Schedule,
        target: Target,
        constants: tuple[Array, ...],
    ) -> tuple[Array, ...]:
        del target
        return packed_dense(kernel, _lanes(kernel, schedule), constants)


def dense_constants(kernel: ConvKernel, g: Lanes) -> tuple[Buffer, ...]:
    """What a dense layer reads beside its input: operands of its epilogue, weights, bias."""
    weights, bias = _constants(g)
    return (*extras(kernel.epilogue, (kernel.filters, 1, 1)), weights, bias)


def dense_statements(kernel: ConvKernel, g: Lanes, x: Buffer, out: Buffer) -> tuple[Assign, ...]:
    """``out`` [M, 1, 1] from ``x`` [C, 1, 1], whichever memory they lie in."""
    weights, bias = _constants(g)
    loads = (
        Ref(x, lambda i: (g.number(i), 0, 0)),
        Ref(weights, lambda i: (g.covered_output(i), g.covered_number(i))),
    )
    statements, total = g.reduction(
        loads,
        lambda i, value, weight: select(g.is_inside(i), value) * weight,
        SUM,
        flops=2,
    )
    output = biased_output(
        (),
        total,
        Ref(bias, lambda i: (g.output(i),)),
        out,
        lambda i: (g.output(i), 0, 0),
        kernel.epilogue,
        g.is_writer,
    )
    return (*statements, output)


def packed_dense(kernel: ConvKernel, g: Lanes, constants: tuple[Array, ...]) -> tuple[Array, ...]:
    """Weights ``[M', C']`` and bias ``[M']``, padded with zeros."""
    weight, bias = constants
    padded, padded_bias = (np.zeros(buffer.shape, np.float32) for buffer in _constants(g))
    padded[: kernel.filters, : kernel.channels] = weight[:, :, 0, 0]
    padded_bias[: kernel.filters] = bias
    return padded, padded_bias


def _constants(g: Lanes) -> tuple[Buffer, Buffer]:
    return Buffer("w", (g.covered, g.steps * g.lanes)), Buffer("b", (g.covered,))


def _lanes(kernel: ConvKernel, schedule: Schedule) -> Lanes:
    return Lanes(kernel.filters, kernel.channels, schedule["rows"], schedule["lanes"])
