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
from costmodel.schedules.cuda_lanes import MAXIMUM, SUM, TOTAL, Fold, Lanes, lane_points
from costmodel.schedules.cuda_nest import (
    Assign,
    Buffer,
    CudaFamily,
    CudaNest,
    Index,
    Ref,
    Turn,
    unravel,
)
from costmodel.schedules.cuda_statements import below, const, inside, select
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
        g = Lanes(
            kernel.channels, kernel.height * kernel.width, schedule["rows"], schedule["lanes"]
        )
        load, value = whole_map(kernel, g)
        out = Buffer("out", (kernel.channels, 1, 1))
        statements, total = g.reduction((load,), value, fold_of(kernel), flops=1)
        output = pooled(kernel, total, Ref(out, lambda i: (g.output(i), 0, 0)), g.is_writer)
        return CudaNest(
            parameters=(load.buffer, out),
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
        fold = fold_of(kernel)

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
            return fold.combine(sum_, select(beyond + conditions, load, fold.start))

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
                Assign((), acc, (), lambda _: const(fold.start)),
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


def fold_of(kernel: PoolKernel) -> Fold:
    """How two numbers of a window become one."""
    return MAXIMUM if kernel.function == "max" else SUM


def whole_map(kernel: PoolKernel, g: Lanes) -> tuple[Ref, Callable[[Any, Any], Any]]:
    """What a lane reads of ``x`` [C, H, W] for the channel of its row, and what it counts as."""
    size, start = (kernel.height, kernel.width), fold_of(kernel).start

    def place(i: Any) -> tuple[Any, ...]:
        return (g.output(i), *unravel(g.number(i), size))

    def value(i: Any, load: Any) -> Any:
        return select(g.has_output(i) + g.is_inside(i), load, start)

    return Ref(Buffer("x", (kernel.channels, *size)), place), value


def pooled(kernel: PoolKernel, total: Ref, target: Ref, guards: Index) -> Assign:
    """``target`` from the ``total`` of a channel's whole map: it, or its mean."""
    pixels = kernel.height * kernel.width
    scaled = kernel.function == "average" and pixels > 1
    return Assign(
        (),
        target,
        (total,),
        lambda _, sum_: sum_ * const(1 / pixels) if scaled else sum_,
        flops=int(scaled),
        guards=guards,
    )


def _overlap(first: Any, window: int, extent: int) -> Any:
    """Positions of a window from ``first`` on that lie in [0, extent)."""
    from tvm import tirx

    return tirx.min(first + window, extent) - tirx.max(first, 0)
