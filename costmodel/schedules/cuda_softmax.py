"""Softmax for CUDA in one launch: a row of threads to a pixel, two reductions over its channels.

TVM's own rule makes four launches of it (largest, powers, sum, quotient), each of which costs more
than the arithmetic of a classifier's few numbers. Values are ``[C, H, W]``.
"""

# ruff: noqa: ANN401 - an index is an integer or an expression of TVM, which has no types
from __future__ import annotations

from typing import Any

from costmodel.kernels import Kernel, SoftmaxKernel
from costmodel.schedules.cuda_lanes import MAXIMUM, SUM, TOTAL, Lanes, lane_points
from costmodel.schedules.cuda_nest import Assign, Buffer, CudaFamily, CudaNest, Ref, Turn, unravel
from costmodel.schedules.cuda_statements import select
from costmodel.schedules.family import Schedule
from costmodel.target import GpuTarget, Target

LARGEST = "largest"
"""Name of the first reduction: what is subtracted so that no power overflows. The second is the
total that is divided by."""


class CudaSoftmax(CudaFamily[SoftmaxKernel]):
    """exp(x - largest) / total; see `costmodel.schedules.cuda_lanes`.

    The powers are computed twice: a lane has as many as it has channels, and no register can be
    asked for by an index.
    """

    name = "cuda_softmax"

    def handles(self, kernel: Kernel, target: Target) -> bool:
        return isinstance(target, GpuTarget) and isinstance(kernel, SoftmaxKernel)

    def gpu_points(self, kernel: SoftmaxKernel, target: GpuTarget) -> tuple[Schedule, ...]:
        pixels = kernel.height * kernel.width
        return lane_points(self.name, pixels, kernel.channels, target)

    def nest(self, kernel: SoftmaxKernel, schedule: Schedule, target: GpuTarget) -> CudaNest:
        del target
        shape = (kernel.channels, kernel.height, kernel.width)
        x, out = (Buffer(name, shape) for name in ("x", "out"))
        pixels = kernel.height * kernel.width
        g = Lanes(pixels, kernel.channels, schedule["rows"], schedule["lanes"])
        return CudaNest(
            parameters=(x, out),
            blocks=g.block.grid,
            threads=g.block.threads,
            scratch=g.scratch(LARGEST, TOTAL),
            body=softmax_statements(g, x, out),
        )


def softmax_statements(g: Lanes, x: Buffer, out: Buffer) -> tuple[Assign, ...]:
    """``out`` from ``x``, both [C, H, W], whichever memory they lie in."""
    size = out.shape[1:]

    def place(i: Any) -> tuple[Any, ...]:
        return (g.number(i), *unravel(g.output(i), size))

    def is_there(i: Any) -> tuple[Any, ...]:
        return g.is_inside(i) + g.has_output(i)

    read = Ref(x, place)
    to_largest, largest = g.reduction(
        (read,),
        lambda i, number: select(is_there(i), number, MAXIMUM.start),
        MAXIMUM,
        flops=1,
        name=LARGEST,
    )
    to_sum, total = g.reduction(
        (read, largest),
        lambda i, number, most: select(is_there(i), _exp(number - most)),
        SUM,
        flops=3,
    )
    output = Assign(
        (Turn("k", g.steps),),
        Ref(out, place),
        (read, largest, total),
        lambda _, number, most, sum_: _exp(number - most) / sum_,
        flops=3,
        guards=is_there,
    )
    return (*to_largest, *to_sum, output)


def _exp(value: Any) -> Any:
    from tvm import tirx

    return tirx.exp(value)
