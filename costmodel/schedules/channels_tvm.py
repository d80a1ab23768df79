"""The copies of `costmodel.schedules.channels`, written in TVM."""

# ruff: noqa: ANN401 - TVM has no types
from __future__ import annotations

from collections.abc import Sequence
from operator import mul
from typing import Any

import tvm

from costmodel.kernels import ChannelsKernel, LayoutKernel
from costmodel.schedules.channels import Run, layout_loops, pixel_loop, runs
from costmodel.schedules.loops_tvm import argument, in_order, module, nest, store
from costmodel.target import CpuTarget


def moves(
    kernel: ChannelsKernel, target: CpuTarget, shapes: Sequence[tuple[int, ...]]
) -> tvm.IRModule:
    """Module with one PrimFunc ``main(x0, ..., out)``."""
    sources = [argument(f"x{i}", shape) for i, shape in enumerate(shapes[:-1])]
    out = argument("out", shapes[-1])

    def pixel(p: Any) -> Any:
        def copy(run: Run) -> Any:
            stride = kernel.sources[run.source][1]

            def number(major: Any, minor: Any) -> Any:
                turns = (major, minor)
                read = sum(map(mul, turns, run.read_strides), run.first)
                place = sum(map(mul, turns, run.written_strides), run.written)
                value = sources[run.source][0, 0, p * stride + read]
                return store(out, value, 0, 0, p * shapes[-1][2] + place)

            return nest(run.loops, number)

        return in_order(*(copy(run) for run in runs(kernel, target.vector_lanes)))

    return module([*sources, out], nest([pixel_loop(kernel, target)], pixel))


def layout(
    kernel: LayoutKernel, target: CpuTarget, shapes: Sequence[tuple[int, ...]]
) -> tvm.IRModule:
    """Module with one PrimFunc ``main(x, out)``."""
    x, out = argument("x", shapes[0]), argument("out", shapes[1])
    loops = layout_loops(kernel, target)
    tile = loops[-1][0]

    def move(t: Any, c: Any, p: Any) -> Any:
        pixel = t * tile + p
        planar = c * (kernel.height * kernel.width) + pixel
        packed = pixel * kernel.stride + c
        read, written = (packed, planar) if kernel.planar else (planar, packed)
        return store(out, x[0, 0, read], 0, 0, written)

    return module([x, out], nest(loops, move))
