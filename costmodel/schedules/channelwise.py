"""Windows over each channel by itself, for CPUs: what depthwise convolution and pooling share.

Vector lanes run over channels. A tile of ``rows`` x ``columns`` output pixels by ``vectors``
vectors of channels is accumulated in registers while the window turns, then finished and stored.
The zeros around a map are not made: turns that would read them are left out, by conditions that
are decided once a tile when the window is unrolled. Where that is dear (long windows, maps that
are a single row or column) the map is copied into a frame of zeros first.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, cast

from costmodel.kernels import ConvKernel, PoolKernel
from costmodel.loopnest import LoopKind, PlainAccess, Statement, statement
from costmodel.schedules.cpu_limits import MAXIMUM_WASTE, PARALLEL_FLOPS
from costmodel.schedules.family import Schedule
from costmodel.target import FLOAT_BYTES, CpuTarget, Target

MAXIMUM_ACCUMULATORS = 16
"""Larger tiles under conditions spilled in trials, whatever the number of registers."""
VECTORS = (1, 2, 4)
ROWS = (1, 2)
FEW_COLUMNS = 4
"""Maps with fewer columns have tiles of more rows."""
MANY_ROWS = (1, 2, 4, 8)
MAXIMUM_COLUMNS = 16
LONGEST_UNROLLED = 7
"""Columns of a window that are written out one by one."""
MAXIMUM_BODY = 256
"""Vector instructions of arithmetic, above which rows of the window are not written out too."""
LINE_BYTES = 64
"""A line of cache, on every core we know."""

Axis = Literal["block", "row", "tile"]
Windowed = ConvKernel | PoolKernel


@dataclass(frozen=True)
class Geometry:
    """Extents of a kernel under one schedule."""

    lanes: int
    """One where the input's channels do not fill whole vectors."""
    vectors: int
    rows: int
    columns: int
    blocks: int
    """Blocks of VC channels."""
    row_tiles: int
    column_tiles: int
    output: tuple[int, int]
    """(OH, OW)."""
    output_pixel: int
    """Channels allocated for a pixel of the output."""
    window: tuple[int, int]
    """Rows and columns of numbers that a window reads."""
    unrolled: tuple[bool, bool]
    """Whether its rows, and its columns, are written out."""
    frame: tuple[int, int] | None
    """Rows and columns of the copy with zeros around, where there is one."""
    guards: tuple[bool, bool, bool, bool]
    """Whether turns are left out at the (top, left, bottom, right)."""
    order: tuple[Axis, Axis, Axis]
    """Loops over tiles, outermost first."""
    parallel: bool
    """Whether the first of them is shared out to the cores."""

    @property
    def block(self) -> int:
        """VC: channels computed together."""
        return self.vectors * self.lanes

    @property
    def channels(self) -> int:
        """Channels computed, padding included."""
        return self.blocks * self.block

    @property
    def outer_loops(self) -> list[tuple[int, LoopKind]]:
        """Over tiles, in `order`."""
        extents: dict[Axis, int] = {
            "block": self.blocks,
            "row": self.row_tiles,
            "tile": self.column_tiles,
        }
        first = LoopKind.PARALLEL if self.parallel else LoopKind.SERIAL
        return [
            (extents[axis], kind)
            for axis, kind in zip(self.order, (first, *[LoopKind.SERIAL] * 2), strict=True)
        ]

    @property
    def vector_loops(self) -> list[tuple[int, LoopKind]]:
        """Over one pixel of a tile."""
        return [(self.vectors, LoopKind.UNROLLED), (self.lanes, LoopKind.VECTORIZED)]

    @property
    def window_loops(self) -> list[tuple[int, LoopKind]]:
        """Rows and columns of the window."""
        kinds = [LoopKind.UNROLLED if unrolled else LoopKind.SERIAL for unrolled in self.unrolled]
        return list(zip(self.window, kinds, strict=True))

    @property
    def is_ragged(self) -> bool:
        """Whether tiles reach beyond the output."""
        return (
            self.row_tiles * self.rows > self.output[0]
            or self.column_tiles * self.columns > self.output[1]
        )


def points(name: str, kernel: Windowed, target: Target) -> tuple[Schedule, ...]:
    """Tiles that fit the registers, with the window's rows turned in a loop or written out."""
    core = cast(CpuTarget, target)
    lanes, channels = computed_channels(kernel, core)
    vectors = [v for v in VECTORS if channels // lanes % v == 0]
    height, width = kernel.output_size
    window = _window(kernel)
    found = []
    for rows in _sizes(height, ROWS if width >= FEW_COLUMNS else MANY_ROWS):
        for columns in _columns(width):
            for v in vectors:
                tile = rows * columns * v
                if tile > MAXIMUM_ACCUMULATORS or tile + v + 1 > core.vector_registers:
                    continue
                body = tile * min(window[1], LONGEST_UNROLLED)
                if rows == 1 or window[0] == 1 or width < FEW_COLUMNS:
                    found.append((v, rows, columns, 0))
                if window[0] > 1 and body * window[0] <= MAXIMUM_BODY:
                    found.append((v, rows, columns, 1))
    names = ("vectors", "rows", "columns", "unroll")
    return tuple(Schedule(name, tuple(zip(names, p, strict=True))) for p in sorted(found))


def geometry(kernel: Windowed, schedule: Schedule, target: Target) -> Geometry:
    """Extents that description, module and shapes share.

    A schedule without ``rows``, ``columns`` and ``unroll`` is one for a single output pixel.
    """
    core = cast(CpuTarget, target)
    chosen = {"rows": 1, "columns": 1, "unroll": 0, **dict(schedule.parameters)}
    lanes, channels = computed_channels(kernel, core)
    vectors, rows, columns = chosen["vectors"], chosen["rows"], chosen["columns"]
    window, output = _window(kernel), kernel.output_size
    row_tiles, column_tiles = math.ceil(output[0] / rows), math.ceil(output[1] / columns)
    computed = (row_tiles * rows, column_tiles * columns)
    guards, readable = _guards(kernel, computed)
    frame = None
    if any(guards) and (readable < 2 or window[1] > LONGEST_UNROLLED):
        (sh, sw), span = kernel.stride, kernel.window
        frame = (computed[0] - 1) * sh + span[0], (computed[1] - 1) * sw + span[1]
    blocks = channels // (lanes * vectors)
    parallel = core.cores > 1 and kernel.flops >= PARALLEL_FLOPS
    is_whole_line = lanes * vectors * FLOAT_BYTES >= LINE_BYTES
    return Geometry(
        lanes=lanes,
        vectors=vectors,
        rows=rows,
        columns=columns,
        blocks=blocks,
        row_tiles=row_tiles,
        column_tiles=column_tiles,
        output=output,
        output_pixel=core.padded(kernel.channels),
        window=window,
        unrolled=(bool(chosen["unroll"]), output != (1, 1) and window[1] <= LONGEST_UNROLLED),
        frame=frame,
        guards=(False,) * 4 if frame else guards,
        order=_order(blocks, row_tiles, core.cores if parallel else 1, is_whole_line=is_whole_line),
        parallel=parallel,
    )


def scratch_elements(kernel: Windowed, schedule: Schedule, target: Target) -> int:
    """Of the copy with zeros around."""
    g = geometry(kernel, schedule, target)
    return g.frame[0] * g.frame[1] * g.channels if g.frame else 0


def copied(kernel: Windowed, frame: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns of the map that lie inside the frame of the copy: maybe none."""
    top, left = kernel.padding[:2]
    return max(min(kernel.height, frame[0] - top), 0), max(min(kernel.width, frame[1] - left), 0)


def describe(
    kernel: Windowed,
    g: Geometry,
    *,
    weighted: bool,
    finish: list[str],
    finish_flops: int,
) -> tuple[Statement, ...]:
    """Fill, copy, start, accumulation and output.

    ``weighted``: whether each turn multiplies by a weight of its own; ``finish``: names of the
    values of the output's shape that the output reads.
    """
    (sh, sw), dilation = kernel.stride, _dilation(kernel)
    pixel = g.channels if g.frame else kernel.input_stride
    row = pixel * (g.frame[1] if g.frame else kernel.width)
    block, depth = g.block, 3
    kh, kw = g.window

    def outer(block_: int, row_: int, tile: int) -> tuple[int, ...]:
        strides: dict[Axis, int] = {"block": block_, "row": row_, "tile": tile}
        return tuple(strides[axis] for axis in g.order)

    acc_row, acc_pixel = g.columns * block, block
    tile = [(g.rows, LoopKind.UNROLLED), (g.columns, LoopKind.UNROLLED), *g.vector_loops]
    accumulators = ("acc", (0, 0, 0, acc_row, acc_pixel, g.lanes, 1), depth)
    rows_of_window, columns_of_window = g.window_loops
    turns = [rows_of_window, tile[0], columns_of_window, *tile[1:]]
    sums = ("acc", (0, 0, 0, 0, acc_row, 0, acc_pixel, g.lanes, 1), depth)
    loads: list[PlainAccess] = [
        sums,
        (
            "pad" if g.frame else "x",
            (*outer(block, g.rows * sh * row, g.columns * sw * pixel),
             dilation[0] * row, sh * row, dilation[1] * pixel, sw * pixel, g.lanes, 1),
            0 if g.frame else None,
        ),
    ]  # fmt: skip
    if weighted:
        strides = (*outer(kh * kw * block, 0, 0), kw * block, 0, block, 0, g.lanes, 1)
        loads.append(("w", strides, None))
    out_row = g.output[1] * g.output_pixel
    written = (*outer(block, g.rows * out_row, g.columns * g.output_pixel),
               out_row, g.output_pixel, g.lanes, 1)  # fmt: skip
    read: list[PlainAccess] = [accumulators, *((name, written, None) for name in finish)]
    if weighted:
        read.append(("b", (*outer(block, 0, 0), 0, 0, g.lanes, 1), None))
    return (
        *(_describe_copy(kernel, g, g.frame) if g.frame else ()),
        statement(g.outer_loops + tile, accumulators, [], flops=0),
        statement(
            g.outer_loops + turns, sums, loads, flops=2 if weighted else 1, guarded=any(g.guards)
        ),
        statement(
            g.outer_loops + tile, ("out", written, None), read,
            flops=finish_flops, guarded=g.is_ragged,
        ),
    )  # fmt: skip


def _describe_copy(kernel: Windowed, g: Geometry, frame: tuple[int, int]) -> Iterator[Statement]:
    kinds = [LoopKind.PARALLEL if g.parallel else LoopKind.SERIAL, LoopKind.SERIAL]
    channels = [(g.channels // g.lanes, LoopKind.SERIAL), (g.lanes, LoopKind.VECTORIZED)]
    written = ("pad", (frame[1] * g.channels, g.channels, g.lanes, 1), 0)
    pixel = kernel.input_stride
    read = ("x", (kernel.width * pixel, pixel, g.lanes, 1), None)
    inside = copied(kernel, frame)
    yield statement([*zip(frame, kinds, strict=True), *channels], written, [], flops=0)
    if all(inside):
        yield statement([*zip(inside, kinds, strict=True), *channels], written, [read], flops=0)


def computed_channels(kernel: Windowed, target: CpuTarget) -> tuple[int, int]:
    """Lanes, and channels computed: whole vectors where the input has room for them."""
    lanes = target.vector_lanes
    whole = math.ceil(kernel.channels / lanes) * lanes
    return (lanes, whole) if kernel.input_stride >= whole else (1, kernel.channels)


def _sizes(extent: int, allowed: tuple[int, ...]) -> list[int]:
    return [s for s in allowed if math.ceil(extent / s) * s <= MAXIMUM_WASTE * extent]


def _columns(width: int) -> list[int]:
    """Tiles that divide the width; where there is none, those that waste little."""
    sizes = tuple(range(min(width, FEW_COLUMNS), min(width, MAXIMUM_COLUMNS) + 1))
    even = [size for size in sizes if width % size == 0]
    return even if even and even != [MAXIMUM_COLUMNS] else _sizes(width, sizes)


def _window(kernel: Windowed) -> tuple[int, int]:
    return kernel.kernel if isinstance(kernel, ConvKernel) else kernel.window


def _dilation(kernel: Windowed) -> tuple[int, int]:
    return kernel.dilation if isinstance(kernel, ConvKernel) else (1, 1)


def _guards(
    kernel: Windowed, computed: tuple[int, int]
) -> tuple[tuple[bool, bool, bool, bool], int]:
    """Sides where windows reach beyond the map; the rows or columns they touch, at least.

    Under a condition that leaves a single row or column TVM writes its number into the indices,
    and would leave loops that move nothing.
    """
    before: list[bool] = []
    after: list[bool] = []
    touched: list[int] = []
    windows, steps = _window(kernel), _dilation(kernel)
    for axis, extent in enumerate((kernel.height, kernel.width)):
        places = {
            place * kernel.stride[axis] + turn * steps[axis] - kernel.padding[axis]
            for place in range(computed[axis])
            for turn in range(windows[axis])
        }
        before.append(min(places) < 0)
        after.append(max(places) >= extent)
        inside = sum(0 <= place < extent for place in places)
        touched.append(inside if before[-1] or after[-1] else 2)
    return (before[0], before[1], after[0], after[1]), min(touched)


def _order(
    blocks: int, row_tiles: int, cores: int, *, is_whole_line: bool
) -> tuple[Axis, Axis, Axis]:
    """Channels outermost where a block is a line of cache: then a window's rows stay near.

    On several cores first the loop that shares out most evenly.
    """
    channels_first: tuple[Axis, Axis, Axis] = ("block", "row", "tile")
    rows_first: tuple[Axis, Axis, Axis] = ("row", "block", "tile")
    if cores == 1:
        return channels_first if is_whole_line else rows_first

    def idle(extent: int) -> float:
        return math.ceil(extent / cores) * cores / extent

    return rows_first if idle(row_tiles) <= idle(blocks) else channels_first
