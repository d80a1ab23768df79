"""The plain loops of `costmodel.schedules.default`, written in TVM."""

# ruff: noqa: ANN401 - TVM has no types
from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import tvm
from tvm import tirx

from costmodel.kernels import ConvKernel, SoftmaxKernel, TvmKernel
from costmodel.loopnest import LoopKind
from costmodel.schedules import epilogue
from costmodel.schedules.loops_tvm import argument, in_order, module, nest, private, store, when

Shapes = Sequence[tuple[int, ...]]


def stored(kernel: TvmKernel) -> tvm.IRModule:
    """The function that the kernel carries."""
    function = tvm.ir.load_json(kernel.function)
    return tvm.IRModule({"main": function.with_attr("global_symbol", "main")})


def allocated(found: tvm.IRModule) -> int:
    """Numbers in the buffers that the function of a module allocates for itself."""
    root = found["main"].body.block  # functions made by TVM allocate there
    return sum(math.prod(int(extent) for extent in buffer.shape) for buffer in root.alloc_buffers)


def softmax(kernel: SoftmaxKernel, shapes: Shapes, *, parallel: bool) -> tvm.IRModule:
    """Module with ``main(x, out)``: exp(x - max) over its sum, pixel by pixel."""
    x, out = argument("x", shapes[0]), argument("out", shapes[1])
    pixels = kernel.height * kernel.width
    channels = [(kernel.channels, LoopKind.SERIAL)]

    def pixel(p: Any) -> Any:
        largest, allocate_largest = private("largest", 1, registers=True)
        total, allocate_total = private("total", 1, registers=True)

        def read(c: Any) -> Any:
            return x[0, 0, p * kernel.input_stride + c]

        def place(c: Any) -> Any:
            return p * shapes[1][2] + c

        def compare(c: Any) -> Any:
            return store(largest, tirx.max(largest[0], read(c)), 0)

        def power(c: Any) -> Any:
            return store(out, epilogue.exponential(read(c) - largest[0]), 0, 0, place(c))

        def add(c: Any) -> Any:
            return store(total, total[0] + out[0, 0, place(c)], 0)

        def divide(c: Any) -> Any:
            return store(out, out[0, 0, place(c)] / total[0], 0, 0, place(c))

        return in_order(
            allocate_largest,
            allocate_total,
            store(largest, read(0), 0),
            nest(channels, compare),
            nest(channels, power),
            store(total, 0.0, 0),
            nest(channels, add),
            nest(channels, divide),
        )

    return module([x, out], nest([(pixels, _first(parallel=parallel))], pixel))


def convolution(kernel: ConvKernel, shapes: Shapes, *, parallel: bool) -> tvm.IRModule:
    """Module with ``main(x, e0, ..., w, b, out)``: filter by filter of each group."""
    names = ("x", *epilogue.combining(kernel.epilogue), "w", "b", "out")
    arguments = [argument(name, shape) for name, shape in zip(names, shapes, strict=True)]
    x, *others, w, b, out = arguments
    (sh, sw), (dh, dw), (top, left, *_) = kernel.stride, kernel.dilation, kernel.padding
    serial = LoopKind.SERIAL

    def filter_of_pixel(i: Any, j: Any, group: Any, number: Any) -> Any:
        total, allocate = private("acc", 1, registers=True)
        m = group * kernel.group_filters + number

        def turn(r: Any, s: Any) -> Any:
            row, column = i * sh + r * dh - top, j * sw + s * dw - left

            def channel(c: Any) -> Any:
                read = x[row, column, group * kernel.group_channels + c]
                return store(total, total[0] + read * w[m, c, r, s], 0)

            inside = []
            if any(kernel.padding):
                inside = [
                    tirx.all(tirx.const(0, "int32") <= place, place < extent)
                    for place, extent in ((row, kernel.height), (column, kernel.width))
                ]
            return when(inside, nest([(kernel.group_channels, serial)], channel))

        window = [(extent, serial) for extent in kernel.kernel]
        value = epilogue.apply(total[0] + b[m], kernel.epilogue, lambda e: others[e][i, j, m])
        return in_order(
            allocate, store(total, 0.0, 0), nest(window, turn), store(out, value, i, j, m)
        )

    rows, columns = kernel.output_size
    loops = [(rows, _first(parallel=parallel)), (columns, serial), (kernel.groups, serial),
             (kernel.group_filters, serial)]  # fmt: skip
    return module(arguments, nest(loops, filter_of_pixel))


def _first(*, parallel: bool) -> LoopKind:
    return LoopKind.PARALLEL if parallel else LoopKind.SERIAL
