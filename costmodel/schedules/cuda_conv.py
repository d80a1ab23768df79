"""Direct convolution for CUDA: tiles of outputs in registers, operands through shared memory.

Values are ``[C, H, W]``; weights are packed ``[blocks, C', kh, kw, F]`` with F the filters of a
block and C' the channels of a group, padded. A block computes F filters of a tile of rows and
columns; it goes over channels, kernel rows and kernel columns in slices that all its threads
copy together. The knobs are those of TVM's former CUDA template, so that the schedules of
TopHub's records are points; there weights lay as ``[M, C, kh, kw]``, and each thread copied
neighbouring elements.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from itertools import product
from operator import itemgetter
from typing import Any

import numpy as np

from costmodel.errors import InputError
from costmodel.kernels import Array, ConvKernel, Kernel
from costmodel.schedules.cuda_conv_nest import Geometry, nest_of
from costmodel.schedules.cuda_limits import COPY_COST, MAXIMUM_SUMS, Block
from costmodel.schedules.cuda_nest import CudaFamily, CudaNest
from costmodel.schedules.cuda_tile import Tile, parameters_of, parameters_of_knobs, tiles, tiles_of
from costmodel.schedules.family import MAXIMUM_POINTS, Schedule
from costmodel.target import FLOAT_BYTES, GpuTarget, Target

UNROLL_STEPS = 512
"""The middle one of TopHub's three values of auto_unroll_max_step (0, 512, 1500)."""
SLICE_BYTES = (6144, 16384)
"""Shared memory that a slice may take: several blocks are to share a multiprocessor."""
SLICE_CHANNELS = (64, 32, 16, 8, 4, 2, 1)
"""Channels of a slice; the most that fit are taken."""
BLOCK_THREADS = (32, 256)
"""A block below a warp wastes lanes; larger ones than this never were TopHub's choice."""


class CudaConvolution(CudaFamily[ConvKernel]):
    """See the module."""

    name = "cuda_conv"

    def handles(self, kernel: Kernel, target: Target) -> bool:
        return isinstance(target, GpuTarget) and isinstance(kernel, ConvKernel)

    def gpu_points(self, kernel: ConvKernel, target: GpuTarget) -> tuple[Schedule, ...]:
        sliced = [
            (_cycles(g, target), g)
            for tile in _block_tiles(kernel, target)[:MAXIMUM_POINTS]
            for g in _sliced(kernel, *tile)
            if g.block.fits(target)
        ]
        ranked = sorted(sliced, key=itemgetter(0))
        return tuple(sorted(_point(g) for _, g in ranked[:MAXIMUM_POINTS]))

    def is_valid(self, kernel: ConvKernel, schedule: Schedule, target: GpuTarget) -> bool:
        """Whether ``schedule`` keeps within the limits of ``target``, as all `points` do."""
        return self.geometry(kernel, schedule).block.fits(target)

    def geometry(self, kernel: ConvKernel, schedule: Schedule) -> Geometry:
        """Extents under ``schedule``; InputError where slices do not divide the kernel."""
        ry, rx = schedule["tile_ry"], schedule["tile_rx"]
        if kernel.kernel[0] % ry or kernel.kernel[1] % rx:
            raise InputError(
                f"slices of {ry}x{rx} do not divide a kernel of {kernel.kernel[0]}x"
                f"{kernel.kernel[1]}; tile_ry and tile_rx must be divisors"
            )
        return Geometry(
            kernel,
            **tiles_of(schedule),
            rc=schedule["tile_rc"],
            ry=ry,
            rx=rx,
            unroll_steps=schedule["auto_unroll_max_step"],
            write_out=bool(schedule["unroll_explicit"]),
        )

    def nest(self, kernel: ConvKernel, schedule: Schedule, target: GpuTarget) -> CudaNest:
        del target
        return nest_of(self.geometry(kernel, schedule))

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
        groups, filters, channels = kernel.groups, kernel.group_filters, kernel.group_channels
        padded_filters = g.group_blocks * g.f.size
        shape = (g.slices[0] * g.rc, *kernel.kernel)
        padded = np.zeros((groups, padded_filters, *shape), np.float32)
        padded[:, :filters, :channels] = weight.reshape(groups, filters, channels, *kernel.kernel)
        blocked = padded.reshape(g.grid[0], g.f.size, *shape).transpose(0, 2, 3, 4, 1)
        padded_bias = np.zeros((groups, padded_filters), np.float32)
        padded_bias[:, :filters] = bias.reshape(groups, filters)
        return np.ascontiguousarray(blocked), padded_bias.reshape(g.grid[0], g.f.size)


def schedule_of(knobs: Mapping[str, Any]) -> Schedule:
    """The schedule of a TopHub record of a direct convolution.

    ``knobs``: each split as its extents from outer to inner, each option as its value. Raises
    InputError where a knob is missing or has another form.
    """
    try:
        return Schedule(CudaConvolution.name, parameters_of_knobs(knobs, _SLICES))
    except KeyError as error:
        raise InputError(f"a record of a direct CUDA convolution needs the knob {error}") from None


_SLICES = (("tile_rc", "tile_rc"), ("tile_ry", "tile_rx"), ("tile_rx", "tile_ry"))
"""Our name -> TopHub's: its template applied tile_rx to the kernel's rows and tile_ry to its
columns, as every record of a kernel that is not square shows."""


def _point(g: Geometry) -> Schedule:
    return Schedule(
        CudaConvolution.name,
        (
            *parameters_of(g.f, g.y, g.x),
            ("tile_rc", g.rc),
            ("tile_ry", g.ry),
            ("tile_rx", g.rx),
            ("auto_unroll_max_step", g.unroll_steps),
            ("unroll_explicit", int(g.write_out)),
        ),
    )


def _block_tiles(kernel: ConvKernel, target: GpuTarget) -> list[tuple[Tile, Tile, Tile]]:
    """Tiles of filters, rows and columns that suit ``target``, the most promising first."""
    rows, columns = kernel.output_size
    fs = tiles(kernel.group_filters, threads=(1, 2, 4, 8, 16), inner=(1, 2, 4, 8))
    ys = tiles(rows, threads=(1, 2, 4, 8), vthreads=(1, 2))
    xs = tiles(columns, threads=(1, 4, 8, 16, 32), vthreads=(1, 2, 4))
    least, most = BLOCK_THREADS
    least = min(least, math.prod(max(tile.thread for tile in axis) for axis in (fs, ys, xs)))
    found = []
    for f, y, x in product(fs, ys, xs):
        threads, pixels = f.thread * y.thread * x.thread, y.own * x.own
        sums = f.own * pixels
        if least <= threads <= most and sums <= MAXIMUM_SUMS:
            blocks = kernel.groups * f.blocks(kernel.group_filters)
            grid = (blocks, y.blocks(rows), x.blocks(columns))
            block = Block(grid, (f.thread, y.thread, x.thread), sums=sums, operands=f.own + pixels)
            work = threads * (sums + f.own + pixels)
            found.append((block.cycles(work, target), (f, y, x)))
    return [tile for _, tile in sorted(found)]


def _cycles(g: Geometry, target: GpuTarget) -> float:
    """A rough count of cycles, for ranking: multiply-adds, their loads, and copied slices."""
    kernel, block = g.kernel, g.block
    slices = math.prod(g.slices)
    taps = g.slices[0] * g.rc * math.prod(kernel.kernel)
    work = taps * block.size * (block.sums + block.operands)
    copied = slices * block.shared_bytes / FLOAT_BYTES
    return block.cycles(work + COPY_COST * copied, target)


def _sliced(kernel: ConvKernel, f: Tile, y: Tile, x: Tile) -> Iterable[Geometry]:
    """With the largest slices that each of `SLICE_BYTES` has room for, or the smallest ones."""
    found = {}
    for room in SLICE_BYTES:
        for (ry, rx), rc in product(_windows(kernel), _slice_channels(kernel)):
            g = Geometry(kernel, f, y, x, rc, ry, rx, UNROLL_STEPS, write_out=False)
            if g.block.shared_bytes <= room or rc == ry == rx == 1:
                found[rc, ry, rx] = g
                break
    return found.values()


def _slice_channels(kernel: ConvKernel) -> tuple[int, ...]:
    channels = kernel.group_channels
    return tuple(dict.fromkeys(min(rc, channels) for rc in SLICE_CHANNELS))


def _windows(kernel: ConvKernel) -> tuple[tuple[int, int], ...]:
    """Whole kernel, a row of it, a tap."""
    kh, kw = kernel.kernel
    return tuple(dict.fromkeys(((kh, kw), (1, kw), (1, 1))))
