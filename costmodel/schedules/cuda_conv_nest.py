"""The loops of a CUDA convolution under one schedule; see `costmodel.schedules.cuda_conv`."""

# ruff: noqa: ANN401 - an index is an integer or an expression of TVM, which has no types
from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from costmodel.kernels import ConvKernel
from costmodel.loopnest import LoopKind, Memory
from costmodel.schedules.cuda_limits import Block
from costmodel.schedules.cuda_nest import (
    Assign,
    Buffer,
    CudaNest,
    Ref,
    Repeat,
    Turn,
    copy_turns,
    shared_bytes,
    unravel,
)
from costmodel.schedules.cuda_statements import (
    below,
    biased_output,
    extras,
    inside,
    select,
    zero,
)
from costmodel.schedules.cuda_tile import Tile
from costmodel.target import FLOAT_BYTES

UNROLLED, SERIAL = LoopKind.UNROLLED, LoopKind.SERIAL


@dataclass(frozen=True)
class Geometry:
    """Extents of a kernel under one schedule."""

    kernel: ConvKernel
    f: Tile
    y: Tile
    x: Tile
    rc: int
    ry: int
    rx: int
    """Channels, kernel rows and kernel columns of a slice."""
    unroll_steps: int
    write_out: bool

    @cached_property
    def group_blocks(self) -> int:
        """Blocks that cover the filters of a group."""
        return self.f.blocks(self.kernel.group_filters)

    @cached_property
    def slices(self) -> tuple[int, int, int]:
        """Along the channels of a group (the last may reach beyond), kernel rows and columns."""
        (kh, kw), channels = self.kernel.kernel, self.kernel.group_channels
        return -(-channels // self.rc), kh // self.ry, kw // self.rx

    @cached_property
    def grid(self) -> tuple[int, int, int]:
        """Blocks of filters, rows and columns."""
        rows, columns = self.kernel.output_size
        filters = self.kernel.groups * self.group_blocks
        return filters, self.y.blocks(rows), self.x.blocks(columns)

    @cached_property
    def input_slice(self) -> tuple[int, int, int]:
        """Channels, rows and columns of the input in a slice."""
        (sh, sw), (dh, dw) = self.kernel.stride, self.kernel.dilation
        rows = (self.y.size - 1) * sh + (self.ry - 1) * dh + 1
        columns = (self.x.size - 1) * sw + (self.rx - 1) * dw + 1
        return self.rc, rows, columns

    @property
    def filter_slice(self) -> tuple[int, int, int, int]:
        """Channels, kernel rows, kernel columns and filters in a slice."""
        return self.rc, self.ry, self.rx, self.f.size

    @cached_property
    def block(self) -> Block:
        """What a block of threads takes."""
        pixels = self.y.own * self.x.own
        sizes = math.prod(self.input_slice), math.prod(self.filter_slice)
        return Block(
            grid=self.grid,
            threads=(self.f.thread, self.y.thread, self.x.thread),
            shared_bytes=shared_bytes(*(FLOAT_BYTES * size for size in sizes)),
            sums=self.f.own * pixels,
            operands=self.f.own + pixels,
        )

    @property
    def unrolled(self) -> tuple[bool, bool, bool]:
        """Whether the loops over a slice's channels, kernel rows and columns are unrolled.

        TVM's rule: from the innermost out, while the statements written stay within
        ``unroll_steps``. The loops over a thread's own outputs always are: else its sums could
        not lie in registers.
        """
        steps = self.block.sums
        flags = []
        for extent in (self.rx, self.ry, self.rc):
            steps *= extent
            flags.append(steps <= self.unroll_steps)
        return flags[2], flags[1], flags[0]


def nest_of(g: Geometry) -> CudaNest:
    """The kernel's loops: slices copied into shared memory, sums, output."""
    return _Nest(g).whole()


class _Nest:
    def __init__(self, g: Geometry) -> None:
        kernel = g.kernel
        self.g, self.kernel = g, kernel
        channels = g.slices[0] * g.rc
        output = (kernel.filters, *kernel.output_size)
        self.x = Buffer("x", (kernel.channels, kernel.height, kernel.width))
        self.w = Buffer("w", (g.grid[0], channels, *kernel.kernel, g.f.size))
        self.b = Buffer("b", (g.grid[0], g.f.size))
        self.out = Buffer("out", output)
        self.extras = extras(kernel.epilogue, output)
        self.pad = Buffer("pad", g.input_slice, Memory.SHARED)
        self.filters = Buffer("filters", g.filter_slice, Memory.SHARED)
        own = (g.f.vthread, g.y.vthread, g.x.vthread, g.f.inner, g.y.inner, g.x.inner)
        self.acc = Buffer("acc", own, Memory.LOCAL)
        self.own = tuple(
            Turn(name, extent, UNROLLED)
            for name, extent in zip(("fv", "yv", "xv", "fi", "yi", "xi"), own, strict=True)
        )
        self.sum = Ref(self.acc, lambda i: (i.fv, i.yv, i.xv, i.fi, i.yi, i.xi))

    def whole(self) -> CudaNest:
        g = self.g
        slices = tuple(
            Turn(name, extent) for name, extent in zip(("co", "ro", "so"), g.slices, strict=True)
        )
        return CudaNest(
            parameters=(self.x, *self.extras, self.w, self.b, self.out),
            blocks=g.grid,
            threads=g.block.threads,
            scratch=(self.acc, self.pad, self.filters),
            body=(
                Assign(self.own, self.sum, (), zero),
                Repeat(slices, (self._copy_input(), self._copy_filters(), self._accumulate())),
                self._output(),
            ),
            write_out=g.write_out,
        )

    def _filter(self, i: Any) -> Any:
        """Of a block's filters."""
        return self.g.f.position(i.fv, i.tz, i.fi)

    def _row(self, i: Any) -> Any:
        """Of a block's tile of outputs."""
        return self.g.y.position(i.yv, i.ty, i.yi)

    def _column(self, i: Any) -> Any:
        """Of a block's tile of outputs."""
        return self.g.x.position(i.xv, i.tx, i.xi)

    def _output_place(self, i: Any) -> tuple[Any, Any, Any]:
        """Filter of its group, row and column."""
        g = self.g
        block = i.bz % g.group_blocks if self.kernel.groups > 1 else i.bz
        return (
            block * g.f.size + self._filter(i),
            i.by * g.y.size + self._row(i),
            i.bx * g.x.size + self._column(i),
        )

    def _group(self, i: Any) -> Any:
        return i.bz // self.g.group_blocks if self.kernel.groups > 1 else 0

    def _input_place(self, i: Any, place: tuple[Any, ...]) -> tuple[Any, Any, Any]:
        """Channel of its group, row and column of the input for a place in the slice."""
        g, kernel = self.g, self.kernel
        (sh, sw), (dh, dw) = kernel.stride, kernel.dilation
        return (
            i.co * g.rc + place[0],
            i.by * (g.y.size * sh) + i.ro * (g.ry * dh) + place[1] - kernel.padding[0],
            i.bx * (g.x.size * sw) + i.so * (g.rx * dw) + place[2] - kernel.padding[1],
        )

    def _copy_input(self) -> Assign:
        """A slice of the input, with zeros around it."""
        g, kernel, extents = self.g, self.kernel, self.pad.shape
        turns, position, guards = copy_turns(math.prod(extents), g.block.threads)

        def source(i: Any) -> tuple[Any, Any, Any]:
            channel, row, column = self._input_place(i, unravel(position(i), extents))
            first = self._group(i) * kernel.group_channels
            # One row, column or channel has no index, or TVM finds that out from the conditions.
            return (
                first + channel if kernel.group_channels > 1 else first,
                row if kernel.height > 1 else 0,
                column if kernel.width > 1 else 0,
            )

        def value(i: Any, load: Any) -> Any:
            place = self._input_place(i, unravel(position(i), extents))
            return select(self._inside(place), load)

        target = Ref(self.pad, lambda i: unravel(position(i), extents))
        return Assign(turns, target, (Ref(self.x, source),), value, guards=guards)

    def _inside(self, place: tuple[Any, Any, Any]) -> tuple[Any, ...]:
        """The conditions under which a place lies in the input, those that can fail."""
        g, kernel = self.g, self.kernel
        channels = below([(place[0], kernel.group_channels, g.slices[0] * g.rc)])
        covered = (g.grid[1] * g.y.size, g.grid[2] * g.x.size)
        size = (kernel.height, kernel.width)
        return channels + inside(
            place[1:], size, covered, kernel.window, kernel.stride, kernel.padding
        )

    def _copy_filters(self) -> Assign:
        """A slice of the weights of the block's filters."""
        g, extents = self.g, self.filters.shape
        turns, position, guards = copy_turns(math.prod(extents), g.block.threads)

        def source(i: Any) -> tuple[Any, ...]:
            channel, row, column, f = unravel(position(i), extents)
            return i.bz, i.co * g.rc + channel, i.ro * g.ry + row, i.so * g.rx + column, f

        target = Ref(self.filters, lambda i: unravel(position(i), extents))
        return Assign(turns, target, (Ref(self.w, source),), lambda _, load: load, guards=guards)

    def _accumulate(self) -> Assign:
        """Multiply-adds of a slice into a thread's sums."""
        g = self.g
        (sh, sw), (dh, dw) = self.kernel.stride, self.kernel.dilation
        within = tuple(
            Turn(name, extent, UNROLLED if unrolled else SERIAL)
            for name, extent, unrolled in zip(
                ("ci", "ri", "si"), (g.rc, g.ry, g.rx), g.unrolled, strict=True
            )
        )
        pixel = Ref(
            self.pad,
            lambda i: (i.ci, self._row(i) * sh + i.ri * dh, self._column(i) * sw + i.si * dw),
        )
        weight = Ref(self.filters, lambda i: (i.ci, i.ri, i.si, self._filter(i)))
        return Assign(
            (*within, *self.own),
            self.sum,
            (self.sum, pixel, weight),
            lambda _, total, x, w: total + x * w,
            flops=2,
        )

    def _output(self) -> Assign:
        """Bias and epilogue of a thread's outputs, those that are in the output."""
        kernel = self.kernel

        def place(i: Any) -> tuple[Any, Any, Any]:
            f, row, column = self._output_place(i)
            return self._group(i) * kernel.group_filters + f, row, column

        def guards(i: Any) -> tuple[Any, ...]:
            extents = (kernel.group_filters, *kernel.output_size)
            covered = (
                self.g.group_blocks * self.g.f.size,
                self.g.grid[1] * self.g.y.size,
                self.g.grid[2] * self.g.x.size,
            )
            return below(list(zip(self._output_place(i), extents, covered, strict=True)))

        bias = Ref(self.b, lambda i: (i.bz, self._filter(i)))
        return biased_output(self.own, self.sum, bias, self.out, place, kernel.epilogue, guards)
