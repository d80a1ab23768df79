"""Pools for CUDA: a row of threads to a channel for a whole map, a thread to a window else.

Values are ``[C, H, W]``.
"""

# ruff: noqa: ANN401 - an index is an integer or an expression of TVM, which has no types
from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from costmodel.kernels import Kernel, PoolKernel
from costmodel.loopnest import LoopKind, Memory
from costmodel.schedules.cuda_flat import flat_points
from costmodel.schedules.cuda_lanes import TOTAL, Lanes, lane_points
from costmodel.schedules.cuda_nest import Assign, Buffer, CudaFamily, CudaNest, Ref, Turn, unravel
from costmodel.schedules.cuda_statements import LOWEST, below, const, inside, maximum, select
from costmodel.schedules.family import Schedule
from costmodel.target import GpuTarget, Target

MAXIMUM_UNROLL = 49
"""Taps of a window whose loops are unrolled: 7x7 is the largest in common use."""


class CudaGlobalPool(CudaFamily[PoolKernel]):
    """For kernels with ``is_global``; see `costmodel.schedules.cuda_lanes`."""

    name = "cuda_global_pool"

    def handles(self, kernel: Kernel, target: Target) -> bool:
        return isinstance(target, GpuTarget) and isinstance(kernel, PoolKernel) and kernel.is_global

    def gpu_points(self, kernel: PoolKernel, target: GpuTarget) -> tuple[Schedule, ...]:
        return lane_points(self.name, kernel.channels, kernel.height * kernel.width, target)

    def nest(self, kernel: PoolKernel, schedule: Schedule, target: GpuTarget) -> CudaNest:
        del target
        pixels = kernel.height * kernel.width
        g = Lanes(kernel.channels, pixels, schedule["rows"], schedule["lanes"])
        size = (kernel.height, kernel.width)
        x, out = Buffer("x", (kernel.channels, *size)), Buffer("out", (kernel.channels, 1, 1))
        combine, start = _function(kernel)

        def value(i: Any, load: Any) -> Any:
            channels = below([(g.output(i), kernel.channels, g.blocks * g.rows)])
            return select(channels + g.is_inside(i), load, start)

        def place(i: Any) -> tuple[Any, ...]:
            channel = g.output(i) if kernel.channels > 1 else 0
            return (channel, *unravel(g.position(i), size))

        statements, total = g.reduction((Ref(x, place),), value, combine, start, flops=1)
        scaled = kernel.function == "average" and pixels > 1
        output = Assign(
            (),
            Ref(out, lambda i: (g.output(i), 0, 0)),
            (total,),
            lambda _, sum_: sum_ * const(1 / pixels) if scaled else sum_,
            flops=int(scaled),
            guards=g.is_writer,
        )
        return CudaNest(
            parameters=(x, out),
            blocks=g.block.grid,
            threads=g.block.threads,
            scratch=g.scratch(TOTAL),
            body=(*statements, output),
        )


class CudaWindowPool(CudaFamily[PoolKernel]):
    """A thread to an output. Parameter: ``threads`` of a block."""

    name = "cuda_window_pool"

    def handles(self, kernel: Kernel, target: Target) -> bool:
        return isinstance(target, GpuTarget) and isinstance(kernel, PoolKernel)

    def gpu_points(self, kernel: PoolKernel, target: GpuTarget) -> tuple[Schedule, ...]:
        outputs = kernel.channels * math.prod(kernel.output_size)
        return flat_points(self.name, outputs, target, per_thread=(1,))

    def nest(self, kernel: PoolKernel, schedule: Schedule, target: GpuTarget) -> CudaNest:
        del target
        shape = (kernel.channels, *kernel.output_size)
        outputs, threads = math.prod(shape), schedule["threads"]
        blocks = -(-outputs // threads)
        (wh, ww), (sh, sw), (top, left) = kernel.window, kernel.stride, kernel.padding[:2]
        size = (kernel.height, kernel.width)
        x, out = Buffer("x", (kernel.channels, *size)), Buffer("out", shape)
        acc = Ref(Buffer("acc", (1,), Memory.LOCAL), lambda _: (0,))
        combine, start = _function(kernel)

        def position(i: Any) -> Any:
            return i.bx * threads + i.tx

        def tap(i: Any) -> tuple[Any, Any, Any]:
            channel, row, column = unravel(position(i), shape)
            return channel, row * sh + i.ri - top, column * sw + i.si - left

        def source(i: Any) -> tuple[Any, Any, Any]:
            channel, row, column = tap(i)
            return channel, row if size[0] > 1 else 0, column if size[1] > 1 else 0

        def value(i: Any, sum_: Any, load: Any) -> Any:
            conditions = inside(
                tap(i)[1:], size, kernel.output_size, kernel.window, kernel.stride, kernel.padding
            )
            beyond = below([(position(i), outputs, blocks * threads)])
            return combine(sum_, select(beyond + conditions, load, start))

        def result(i: Any, sum_: Any) -> Any:
            if kernel.function == "max" or wh * ww == 1:
                return sum_
            if kernel.count_padding or not any(kernel.padding):
                return sum_ * const(1 / (wh * ww))
            _, row, column = unravel(position(i), shape)
            rows = _overlap(row * sh - top, wh, size[0])
            return sum_ / (rows * _overlap(column * sw - left, ww, size[1])).astype("float32")

        kind = LoopKind.UNROLLED if wh * ww <= MAXIMUM_UNROLL else LoopKind.SERIAL
        return CudaNest(
            parameters=(x, out),
            blocks=(1, 1, blocks),
            threads=(1, 1, threads),
            scratch=(acc.buffer,),
            body=(
                Assign((), acc, (), lambda _: const(start)),
                Assign(
                    (Turn("ri", wh, kind), Turn("si", ww, kind)),
                    acc,
                    (acc, Ref(x, source)),
                    value,
                    flops=1,
                ),
                Assign(
                    (),
                    Ref(out, lambda i: unravel(position(i), shape)),
                    (acc,),
                    result,
                    flops=int(kernel.function == "average" and wh * ww > 1),
                    guards=lambda i: below([(position(i), outputs, blocks * threads)]),
                ),
            ),
        )


def _overlap(first: Any, window: int, extent: int) -> Any:
    """Positions of a window from ``first`` on that lie in [0, extent)."""
    from tvm import tirx

    return tirx.min(first + window, extent) - tirx.max(first, 0)


def _function(kernel: PoolKernel) -> tuple[Callable[[Any, Any], Any], float]:
    """How two values become one, and the value that changes none."""
    if kernel.function == "max":
        return maximum, LOWEST
    return lambda one, other: one + other, 0
