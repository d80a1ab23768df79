"""The windows of `costmodel.schedules.channelwise`, written in TVM."""

# ruff: noqa: ANN401 - TVM has no types
from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import tvm

from costmodel.kernels import ConvKernel
from costmodel.loopnest import LoopKind
from costmodel.schedules.channelwise import copied
from costmodel.schedules.loops_tvm import argument, in_order, module, nest, private, store, when

if TYPE_CHECKING:
    from costmodel.schedules.channelwise import Geometry, Windowed

Accumulate = Callable[[Any, Any, Any, Any, Any, Any], Any]
"""New sum from (sum, number read, block, row and column of the window, channel of the block)."""
Finish = Callable[[Any, Any, Any, Any], Any]
"""Number written from (sum, row, column, channel)."""


def written(
    kernel: Windowed,
    g: Geometry,
    parameters: Sequence[Any],
    *,
    start: float,
    accumulate: Accumulate,
    finish: Finish,
) -> tvm.IRModule:
    """Module with one PrimFunc ``main(x, *parameters, out)``.

    ``start`` is what sums start from, and what lies around a copied map.
    """
    x = argument("x", (kernel.height, kernel.width, kernel.input_stride))
    out = argument("out", (*g.output, g.output_pixel))
    pad, *copying = _copy(kernel, g, g.frame, x, start) if g.frame else (None,)

    def tile(outermost: Any, middle: Any, innermost: Any) -> Any:
        place = dict(zip(g.order, (outermost, middle, innermost), strict=True))
        acc, allocate = private("acc", g.rows * g.columns * g.block, registers=True)
        at = _Tile(kernel, g, acc, place["block"], place["row"] * g.rows,
                   place["tile"] * g.columns)  # fmt: skip
        return in_order(
            allocate, at.begin(start), at.turn(x, pad, accumulate), at.output(out, finish)
        )

    return module([x, *parameters, out], in_order(*copying, nest(g.outer_loops, tile)))


@dataclass(frozen=True)
class _Tile:
    """One register tile: its sums, and where it lies in the output."""

    kernel: Windowed
    g: Geometry
    acc: Any
    block: Any
    row: Any
    """First of its rows; they are counted by ``y``."""
    column: Any
    """First of its columns; they are counted by ``z``."""

    def begin(self, start: float) -> Any:
        """All sums set."""

        def vector(y: Any, z: Any, v: Any, lane: Any) -> Any:
            return store(self.acc, start, self._sum(y, z, v, lane))

        return nest([*self._pixels, *self.g.vector_loops], vector)

    def turn(self, x: Any, pad: Any, accumulate: Accumulate) -> Any:
        """The window turned over the map, or over its copy in a frame."""
        g, kernel = self.g, self.kernel
        (sh, sw), (dh, dw) = kernel.stride, _dilation(kernel)
        top, left = (0, 0) if g.frame else kernel.padding[:2]

        def source(row: Any, column: Any, channel: Any) -> Any:
            if g.frame:
                return pad[(row * g.frame[1] + column) * g.channels + channel]
            return x[row, column, channel]

        def window_row(r: Any, y: Any) -> Any:
            row = (self.row + y) * sh + r * dh - top

            def pixel(s: Any, z: Any) -> Any:
                column = (self.column + z) * sw + s * dw - left

                def vector(v: Any, lane: Any) -> Any:
                    channel, place = v * g.lanes + lane, self._sum(y, z, v, lane)
                    read = source(row, column, self.block * g.block + channel)
                    total = accumulate(self.acc[place], read, self.block, r, s, channel)
                    return store(self.acc, total, place)

                limits = _limits(column, kernel.width, g.guards[1], g.guards[3])
                return when(list(limits), nest(g.vector_loops, vector))

            limits = _limits(row, kernel.height, g.guards[0], g.guards[2])
            return when(list(limits), nest([g.window_loops[1], self._pixels[1]], pixel))

        return nest([g.window_loops[0], self._pixels[0]], window_row)

    def output(self, out: Any, finish: Finish) -> Any:
        """The sums finished and stored, those inside the output."""
        g = self.g

        def pixel(y: Any, z: Any) -> Any:
            row, column = self.row + y, self.column + z

            def vector(v: Any, lane: Any) -> Any:
                channel = self.block * g.block + v * g.lanes + lane
                total = self.acc[self._sum(y, z, v, lane)]
                return store(out, finish(total, row, column, channel), row, column, channel)

            inside = [
                place < extent
                for place, extent, computed in (
                    (row, g.output[0], g.row_tiles * g.rows),
                    (column, g.output[1], g.column_tiles * g.columns),
                )
                if computed > extent
            ]
            return when(inside, nest(g.vector_loops, vector))

        return nest(self._pixels, pixel)

    @property
    def _pixels(self) -> list[tuple[int, LoopKind]]:
        return [(self.g.rows, LoopKind.UNROLLED), (self.g.columns, LoopKind.UNROLLED)]

    def _sum(self, y: Any, z: Any, v: Any, lane: Any) -> Any:
        """Place of a sum."""
        return (y * self.g.columns + z) * self.g.block + v * self.g.lanes + lane


def _limits(place: Any, extent: int, before: bool, after: bool) -> Iterator[Any]:
    if before:
        yield place >= 0
    if after:
        yield place < extent


def _copy(
    kernel: Windowed, g: Geometry, frame: tuple[int, int], x: Any, start: float
) -> tuple[Any, ...]:
    """The copied map, then the statements that allocate, fill and write it."""
    pad, allocate = private("pad", frame[0] * frame[1] * g.channels, registers=False)
    top, left = kernel.padding[:2]
    kinds = [LoopKind.PARALLEL if g.parallel else LoopKind.SERIAL, LoopKind.SERIAL]
    channels = [(g.channels // g.lanes, LoopKind.SERIAL), (g.lanes, LoopKind.VECTORIZED)]

    def place(i: Any, j: Any, v: Any, lane: Any) -> Any:
        return (i * frame[1] + j) * g.channels + v * g.lanes + lane

    def fill(i: Any, j: Any, v: Any, lane: Any) -> Any:
        return store(pad, start, place(i, j, v, lane))

    def copy(i: Any, j: Any, v: Any, lane: Any) -> Any:
        return store(pad, x[i, j, v * g.lanes + lane], place(i + top, j + left, v, lane))

    inside = copied(kernel, frame)
    statements = [allocate, nest([*zip(frame, kinds, strict=True), *channels], fill)]
    if all(inside):
        statements.append(nest([*zip(inside, kinds, strict=True), *channels], copy))
    return pad, *statements


def _dilation(kernel: Windowed) -> tuple[int, int]:
    return kernel.dilation if isinstance(kernel, ConvKernel) else (1, 1)
