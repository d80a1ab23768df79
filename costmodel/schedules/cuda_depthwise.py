"""Depthwise convolution for CUDA: a block stages channels of a tile of pixels in shared memory.

Values are ``[C, H, W]``; weights are packed ``[blocks, F, kh, kw]`` with F the channels of a
block. The knobs are those of TVM's former CUDA template, so that the schedules of TopHub's
records are points.
"""

# ruff: noqa: ANN401 - an index is an integer or an expression of TVM, which has no types
from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from operator import itemgetter
from typing import Any

import numpy as np

from costmodel.errors import InputError
from costmodel.kernels import Array, ConvKernel, Kernel
from costmodel.loopnest import LoopKind, Memory
from costmodel.schedules.cuda_limits import COPY_COST, Block
from costmodel.schedules.cuda_nest import (
    Assign,
    Buffer,
    CudaFamily,
    CudaNest,
    Ref,
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
from costmodel.schedules.cuda_tile import Tile, parameters_of, parameters_of_knobs, tiles, tiles_of
from costmodel.schedules.family import MAXIMUM_POINTS, Schedule
from costmodel.target import FLOAT_BYTES, GpuTarget, Target

UNROLL_STEPS = 256
"""The middle one of TopHub's three values of auto_unroll_max_step (0, 256, 1500)."""
BLOCK_THREADS = (32, 512)


@dataclass(frozen=True)
class Geometry:
    """Extents of a kernel under one schedule."""

    kernel: ConvKernel
    f: Tile
    """Of channels."""
    y: Tile
    x: Tile
    unroll_steps: int
    write_out: bool

    @cached_property
    def grid(self) -> tuple[int, int, int]:
        """Blocks of channels, rows and columns."""
        rows, columns = self.kernel.output_size
        return self.f.blocks(self.kernel.channels), self.y.blocks(rows), self.x.blocks(columns)

    @cached_property
    def covered(self) -> tuple[int, int, int]:
        """Channels, rows and columns that the grid computes."""
        return (
            self.grid[0] * self.f.size,
            self.grid[1] * self.y.size,
            self.grid[2] * self.x.size,
        )

    @cached_property
    def staged(self) -> tuple[int, int, int]:
        """Channels, rows and columns of the input that a block stages."""
        (sh, sw), (wh, ww) = self.kernel.stride, self.kernel.window
        return self.f.size, (self.y.size - 1) * sh + wh, (self.x.size - 1) * sw + ww

    @cached_property
    def block(self) -> Block:
        """What a block of threads takes."""
        pixels = self.y.own * self.x.own
        sizes = math.prod(self.staged), self.f.size * math.prod(self.kernel.kernel)
        return Block(
            grid=self.grid,
            threads=(self.f.thread, self.y.thread, self.x.thread),
            shared_bytes=shared_bytes(*(FLOAT_BYTES * size for size in sizes)),
            sums=self.f.own * pixels,
            operands=self.f.own + pixels,
        )

    def cycles(self, target: GpuTarget) -> float:
        """A rough count, for ranking."""
        block, taps = self.block, math.prod(self.kernel.kernel)
        work = taps * block.size * (block.sums + block.operands)
        return block.cycles(work + COPY_COST * block.shared_bytes / FLOAT_BYTES, target)


class CudaDepthwise(CudaFamily[ConvKernel]):
    """See the module. For kernels with ``is_depthwise``."""

    name = "cuda_depthwise"

    def handles(self, kernel: Kernel, target: Target) -> bool:
        return (
            isinstance(target, GpuTarget) and isinstance(kernel, ConvKernel) and kernel.is_depthwise
        )

    def gpu_points(self, kernel: ConvKernel, target: GpuTarget) -> tuple[Schedule, ...]:
        rows, columns = kernel.output_size
        fs = tiles(kernel.channels, threads=(1, 2, 4, 8, 16), inner=(1, 2))
        ys = tiles(rows, threads=(1, 2, 4, 8), vthreads=(1, 2, 4))
        xs = tiles(columns, threads=(1, 4, 8, 16, 32), vthreads=(1, 2))
        least, most = BLOCK_THREADS
        least = min(least, math.prod(max(tile.thread for tile in axis) for axis in (fs, ys, xs)))
        found = [
            Geometry(kernel, *tile, UNROLL_STEPS, write_out=False)
            for tile in product(fs, ys, xs)
            if least <= math.prod(part.thread for part in tile) <= most
        ]
        ranked = [(g.cycles(target), g) for g in found if g.block.fits(target)]
        ranked.sort(key=itemgetter(0))
        return tuple(sorted(_point(g) for _, g in ranked[:MAXIMUM_POINTS]))

    def is_valid(self, kernel: ConvKernel, schedule: Schedule, target: GpuTarget) -> bool:
        """Whether ``schedule`` keeps within the limits of ``target``, as all `points` do."""
        return self.geometry(kernel, schedule).block.fits(target)

    def geometry(self, kernel: ConvKernel, schedule: Schedule) -> Geometry:
        """Extents under ``schedule``."""
        return Geometry(
            kernel,
            **tiles_of(schedule),
            unroll_steps=schedule["auto_unroll_max_step"],
            write_out=bool(schedule["unroll_explicit"]),
        )

    def nest(self, kernel: ConvKernel, schedule: Schedule, target: GpuTarget) -> CudaNest:
        del target
        return _nest(self.geometry(kernel, schedule))

    def pack(
        self,
        kernel: ConvKernel,
        schedule: Schedule,
        target: Target,
        constants: tuple[Array, ...],
    ) -> tuple[Array, ...]:
        """Weights as the module says and bias ``[blocks, F]``, padded with zeros."""
        del target
        weight, bias = constants
        g = self.geometry(kernel, schedule)
        padded = np.zeros((g.covered[0], *kernel.kernel), np.float32)
        padded[: kernel.channels] = weight[:, 0]
        padded_bias = np.zeros(g.covered[0], np.float32)
        padded_bias[: kernel.channels] = bias
        blocks = (g.grid[0], g.f.size)
        return padded.reshape(*blocks, *kernel.kernel), padded_bias.reshape(blocks)


def depthwise_schedule_of(knobs: Mapping[str, Any]) -> Schedule:
    """The schedule of a TopHub record of a depthwise convolution; see `cuda_conv.schedule_of`."""
    try:
        return Schedule(CudaDepthwise.name, parameters_of_knobs(knobs))
    except KeyError as error:
        raise InputError(f"a record of a depthwise convolution needs the knob {error}") from None


def _point(g: Geometry) -> Schedule:
    switches = (("auto_unroll_max_step", g.unroll_steps), ("unroll_explicit", int(g.write_out)))
    return Schedule(CudaDepthwise.name, (*parameters_of(g.f, g.y, g.x), *switches))


def _nest(g: Geometry) -> CudaNest:
    kernel, (kh, kw) = g.kernel, g.kernel.kernel
    (sh, sw), (dh, dw), (top, left) = kernel.stride, kernel.dilation, kernel.padding[:2]
    output = (kernel.filters, *kernel.output_size)
    x = Buffer("x", (kernel.channels, kernel.height, kernel.width))
    w = Buffer("w", (g.grid[0], g.f.size, kh, kw))
    b = Buffer("b", (g.grid[0], g.f.size))
    out = Buffer("out", output)
    pad = Buffer("pad", g.staged, Memory.SHARED)
    filters = Buffer("filters", (g.f.size, kh, kw), Memory.SHARED)
    own = (g.f.vthread, g.y.vthread, g.x.vthread, g.f.inner, g.y.inner, g.x.inner)
    acc = Buffer("acc", own, Memory.LOCAL)
    names = ("fv", "yv", "xv", "fi", "yi", "xi")
    turns = tuple(Turn(n, e, LoopKind.UNROLLED) for n, e in zip(names, own, strict=True))
    total = Ref(acc, lambda i: (i.fv, i.yv, i.xv, i.fi, i.yi, i.xi))

    def channel(i: Any) -> Any:
        return g.f.position(i.fv, i.tz, i.fi)

    def row(i: Any) -> Any:
        return g.y.position(i.yv, i.ty, i.yi)

    def column(i: Any) -> Any:
        return g.x.position(i.xv, i.tx, i.xi)

    def place(i: Any) -> tuple[Any, Any, Any]:
        return (
            i.bz * g.f.size + channel(i),
            i.by * g.y.size + row(i),
            i.bx * g.x.size + column(i),
        )

    copied, position, ragged = copy_turns(math.prod(g.staged), g.block.threads)

    def source(i: Any) -> tuple[Any, Any, Any]:
        c, r, s = unravel(position(i), g.staged)
        return (
            i.bz * g.f.size + c,
            i.by * (g.y.size * sh) + r - top if kernel.height > 1 else 0,
            i.bx * (g.x.size * sw) + s - left if kernel.width > 1 else 0,
        )

    def bordered(i: Any, load: Any) -> Any:
        c, r, s = unravel(position(i), g.staged)
        at = (i.by * (g.y.size * sh) + r - top, i.bx * (g.x.size * sw) + s - left)
        size = (kernel.height, kernel.width)
        border = inside(at, size, g.covered[1:], kernel.window, kernel.stride, kernel.padding)
        channels = below([(i.bz * g.f.size + c, kernel.channels, g.covered[0])])
        return select(channels + border, load)

    weights, weight_position, weight_ragged = copy_turns(g.f.size * kh * kw, g.block.threads)

    def weight(i: Any) -> tuple[Any, ...]:
        return unravel(weight_position(i), filters.shape)

    steps = g.block.sums
    inner_unrolled = steps * kw <= g.unroll_steps
    outer_unrolled = steps * kw * kh <= g.unroll_steps
    taps = (
        Turn("ri", kh, LoopKind.UNROLLED if outer_unrolled else LoopKind.SERIAL),
        Turn("si", kw, LoopKind.UNROLLED if inner_unrolled else LoopKind.SERIAL),
    )
    pixel = Ref(pad, lambda i: (channel(i), row(i) * sh + i.ri * dh, column(i) * sw + i.si * dw))
    tap = Ref(filters, lambda i: (channel(i), i.ri, i.si))
    bounds = (kernel.filters, *kernel.output_size)
    return CudaNest(
        parameters=(x, *extras(kernel.epilogue, output), w, b, out),
        blocks=g.grid,
        threads=g.block.threads,
        scratch=(acc, pad, filters),
        body=(
            Assign(
                copied,
                Ref(pad, lambda i: unravel(position(i), g.staged)),
                (Ref(x, source),),
                bordered,
                guards=ragged,
            ),
            Assign(
                weights,
                Ref(filters, weight),
                (Ref(w, lambda i: (i.bz, *weight(i))),),
                lambda _, load: load,
                guards=weight_ragged,
            ),
            Assign(turns, total, (), zero),
            Assign(
                (*taps, *turns),
                total,
                (total, pixel, tap),
                lambda _, sum_, value, factor: sum_ + value * factor,
                flops=2,
            ),
            biased_output(
                turns,
                total,
                Ref(b, lambda i: (i.bz, channel(i))),
                out,
                place,
                kernel.epilogue,
                lambda i: below(list(zip(place(i), bounds, g.covered, strict=True))),
            ),
        ),
        write_out=g.write_out,
    )
