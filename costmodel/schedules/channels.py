"""Moving channels about, for CPUs: concatenation, shuffling, and changes of layout.

`ChannelMoves` copies runs of channels that stay neighbours, in vectors where they do so in the
output too. `LayoutChange` turns tiles of pixels, so that the lines of cache which it writes (or
reads) in pieces are still there when the next piece comes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from costmodel.kernels import ChannelsKernel, Kernel, LayoutKernel
from costmodel.loopnest import LoopKind, LoopNest, statement
from costmodel.schedules.cpu_limits import PARALLEL_NUMBERS
from costmodel.schedules.family import Schedule, ScheduleFamily
from costmodel.target import CpuTarget, Target

if TYPE_CHECKING:
    import tvm

MAXIMUM_TILE = 16
"""Pixels of a tile: one line of cache in the layout with pixels last."""
MAXIMUM_INTERLEAVED = 8
"""Groups whose channels are written side by side in one turn."""


@dataclass(frozen=True)
class Run:
    """Channels of one source that move evenly."""

    source: int
    first: int
    """Channel of the source that it starts at."""
    written: int
    """Channel of the output that this one goes to."""
    loops: tuple[tuple[int, LoopKind], tuple[int, LoopKind]]
    read_strides: tuple[int, int]
    """Channels of the source that one turn of each loop moves by."""
    written_strides: tuple[int, int]


def runs(kernel: ChannelsKernel, lanes: int) -> Iterator[Run]:
    """The kernel as runs, in vectors where neighbours stay neighbours.

    A value that is shuffled is turned through in the order that it is written: LLVM makes vectors
    of the few reads that are written side by side.
    """
    groups, group = kernel.groups, kernel.channels // kernel.groups
    if groups > 1 and len(kernel.sources) == 1:
        kind = LoopKind.UNROLLED if groups <= MAXIMUM_INTERLEAVED else LoopKind.SERIAL
        loops = (group, LoopKind.SERIAL), (groups, kind)
        yield Run(0, 0, 0, loops, (1, group), (groups, 1))
        return
    before = 0
    for source, (channels, _) in enumerate(kernel.sources):
        first = 0
        while first < channels:
            number, inside = divmod(before + first, group)
            length = min(channels - first, group - inside)
            yield from _copies(source, first, inside * groups + number, length, groups, lanes)
            first += length
        before += channels


def _copies(
    source: int, first: int, written: int, length: int, spacing: int, lanes: int
) -> Iterator[Run]:
    """``length`` channels, written ``spacing`` apart: as whole vectors and a rest, or singly."""
    whole = length // lanes * lanes if spacing == 1 else 0
    single = (1, LoopKind.SERIAL)
    if whole:
        vectors = (whole // lanes, LoopKind.SERIAL), (lanes, LoopKind.VECTORIZED)
        yield Run(source, first, written, vectors, (lanes, 1), (lanes, 1))
    if whole < length:
        rest = (length - whole, LoopKind.SERIAL), single
        yield Run(source, first + whole, written + whole, rest, (1, 0), (spacing, 0))


class ChannelMoves(ScheduleFamily[ChannelsKernel]):
    """Concatenation and shuffling; there is one point."""

    name = "channels"

    def handles(self, kernel: Kernel, target: Target) -> bool:
        """Whether this is such a kernel, and for a CPU."""
        return isinstance(kernel, ChannelsKernel) and isinstance(target, CpuTarget)

    def points(self, kernel: ChannelsKernel, target: Target) -> tuple[Schedule, ...]:
        del kernel, target
        return (Schedule(self.name, ()),)

    def shapes(
        self, kernel: ChannelsKernel, schedule: Schedule, target: Target
    ) -> tuple[tuple[int, ...], ...]:
        del schedule
        size = (kernel.height, kernel.width)
        read = [(*size, stride) for _, stride in kernel.sources]
        return (*read, (*size, target.padded(kernel.channels)))

    def describe(self, kernel: ChannelsKernel, schedule: Schedule, target: Target) -> LoopNest:
        del schedule
        core = cast(CpuTarget, target)
        pixels = pixel_loop(kernel, core)
        statements = []
        for run in runs(kernel, core.vector_lanes):
            stride = kernel.sources[run.source][1]
            written = ("out", (core.padded(kernel.channels), *run.written_strides), None)
            read = (f"x{run.source}", (stride, *run.read_strides), None)
            statements.append(statement([pixels, *run.loops], written, [read], flops=0))
        return LoopNest(tuple(statements))

    def module(self, kernel: ChannelsKernel, schedule: Schedule, target: Target) -> tvm.IRModule:
        from costmodel.schedules import channels_tvm

        core = cast(CpuTarget, target)
        return channels_tvm.moves(kernel, core, self.shapes(kernel, schedule, target))


class LayoutChange(ScheduleFamily[LayoutKernel]):
    """Between ``[H, W, stride]`` and ``[C, H, W]``; there is one point.

    A planar map is ``[C, H, W]`` where it is read, and ``[1, 1, padded C H W]`` where it is
    written: it may be a vector, of which others read whole blocks.
    """

    name = "layout"

    def handles(self, kernel: Kernel, target: Target) -> bool:
        """Whether this is a change of layout, and for a CPU."""
        return isinstance(kernel, LayoutKernel) and isinstance(target, CpuTarget)

    def points(self, kernel: LayoutKernel, target: Target) -> tuple[Schedule, ...]:
        del kernel, target
        return (Schedule(self.name, ()),)

    def shapes(
        self, kernel: LayoutKernel, schedule: Schedule, target: Target
    ) -> tuple[tuple[int, ...], ...]:
        del schedule
        height, width, channels = kernel.height, kernel.width, kernel.channels
        packed = (height, width, kernel.stride)
        if kernel.planar:
            return packed, (1, 1, target.padded(channels * height * width))
        return (channels, height, width), packed

    def describe(self, kernel: LayoutKernel, schedule: Schedule, target: Target) -> LoopNest:
        del schedule
        loops = layout_loops(kernel, cast(CpuTarget, target))
        tile, pixels = loops[-1][0], kernel.height * kernel.width
        planar, packed = (tile, pixels, 1), (tile * kernel.stride, 1, kernel.stride)
        written, read = (planar, packed) if kernel.planar else (packed, planar)
        moved = statement(loops, ("out", written, None), [("x", read, None)], flops=0)
        return LoopNest((moved,))

    def module(self, kernel: LayoutKernel, schedule: Schedule, target: Target) -> tvm.IRModule:
        from costmodel.schedules import channels_tvm

        core = cast(CpuTarget, target)
        return channels_tvm.layout(kernel, core, self.shapes(kernel, schedule, target))


def pixel_loop(kernel: ChannelsKernel, target: CpuTarget) -> tuple[int, LoopKind]:
    """Over all pixels, shared out where there are enough numbers."""
    parallel = target.cores > 1 and kernel.flops >= PARALLEL_NUMBERS
    return kernel.height * kernel.width, LoopKind.PARALLEL if parallel else LoopKind.SERIAL


def layout_loops(kernel: LayoutKernel, target: CpuTarget) -> list[tuple[int, LoopKind]]:
    """Tiles of pixels, channels, pixels of a tile."""
    pixels = kernel.height * kernel.width
    tile = max(size for size in range(1, MAXIMUM_TILE + 1) if pixels % size == 0)
    parallel = target.cores > 1 and kernel.flops >= PARALLEL_NUMBERS and pixels > tile
    return [
        (pixels // tile, LoopKind.PARALLEL if parallel else LoopKind.SERIAL),
        (kernel.channels, LoopKind.SERIAL),
        (tile, LoopKind.SERIAL),
    ]
