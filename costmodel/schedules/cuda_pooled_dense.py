"""The pool over a whole map, the dense layer behind it and its softmax as one launch.

A launch takes microseconds, and blocks know nothing of each other. So each block pools the whole
map for itself, into shared memory, and computes its share of the dense layer from there; one block
that computes all of it goes on to the softmax. Values are ``[C, H, W]``, weights as in
`costmodel.schedules.cuda_dense`.

Two other ways were weighed. A block for each output that sums w[m, c] / (H W) x[c, h, w] over c, h
and w reads the map as often, multiplies H W times as much, and has no maximum: pooling first is
never more work. One block for everything reads map and weights once, but no faster than one
multiprocessor can; it is what is left here for few outputs (16 by 32 threads, say), while 100
outputs of 1280 channels are 25 blocks.

The rule: it pays where what the busiest multiprocessor does beyond its share takes less time than
the launches that are saved (`Geometry.seconds_beyond`). It is a rule and not the model's choice:
measured or not, a target has one way to cut a network, so that the kernels of a calibration are
those of an estimate; and the roofline hides under a launch much of what is counted here. Where
launches take 3 microseconds a map may have about 35,000 numbers: on a GTX 1080 Ti 40x40x16 to 10
and 1280x3x3 to 100 are one launch, while 100x40x16 to 10 and 1280x7x7 to 1000 stay two. On a Jetson
TX2, with 20 microseconds, all of these are one.
"""

# ruff: noqa: ANN401 - an index is an integer or an expression of TVM, which has no types
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache, cached_property
from itertools import product
from typing import Any

from costmodel.analysis.gpu import L2_OVER_MEMORY, MEMORY_LATENCY_CYCLES
from costmodel.analysis.launch import BANKS, SECTOR_BYTES
from costmodel.kernels import Array, Kernel, PooledDenseKernel
from costmodel.loopnest import Memory
from costmodel.schedules.cuda_dense import dense_constants, dense_statements, packed_dense
from costmodel.schedules.cuda_lanes import LANES, TOTAL, Lanes
from costmodel.schedules.cuda_limits import Block
from costmodel.schedules.cuda_nest import (
    Assign,
    Barrier,
    Body,
    Buffer,
    CudaFamily,
    CudaNest,
    Place,
    Ref,
    Repeat,
    Turn,
    ravel,
    shared_bytes,
)
from costmodel.schedules.cuda_pool import fold_of, pooled, whole_map
from costmodel.schedules.cuda_softmax import LARGEST, softmax_statements
from costmodel.schedules.cuda_statements import below
from costmodel.schedules.family import Schedule
from costmodel.target import FLOAT_BYTES, GpuTarget, Target

THREADS = (128, 256, 512, 1024)
"""Of a block. A map has to be read by one block in a few microseconds, so the points are the two
largest of these that leave a thread a number to read."""
LOADS_UNDER_WAY = 4
"""Of a thread that reads number by number: assumed, the turns that CUDA's compiler unrolls a loop
by. So 800 threads read the sector a cycle that a multiprocessor is assumed to get."""
CHANNEL = "channel"
"""Name of the reduction of a channel."""


@dataclass(frozen=True)
class Geometry:
    """Extents of a kernel under one schedule."""

    kernel: PooledDenseKernel
    threads: int
    """Of a block."""
    channels: int
    """That a block pools at a time."""
    rows: int
    """Outputs of the dense layer that it computes at a time."""
    turns: int
    """Outputs that a row of threads computes one after another."""

    @cached_property
    def pool(self) -> Lanes:
        """Of the pool: a block goes over all channels."""
        pool, lanes = self.kernel.pool, self.threads // self.channels
        pixels = pool.height * pool.width
        turns = -(-pool.channels // self.channels)
        return Lanes(pool.channels, pixels, self.channels, lanes, turns, self.grouped, self.room)

    @cached_property
    def dense(self) -> Lanes:
        """Of the dense layer."""
        dense, lanes = self.kernel.dense, self.threads // self.rows
        return Lanes(
            dense.filters, dense.channels, self.rows, lanes, self.turns, self.grouped, self.room
        )

    @cached_property
    def softmax(self) -> Lanes:
        """Of the softmax, by the first row of threads."""
        lanes, grouped = self.threads // self.rows, self.grouped
        return Lanes(
            1, self.kernel.dense.filters, self.rows, lanes, threads=grouped, room=self.room
        )

    @cached_property
    def grouped(self) -> tuple[int, int, int]:
        """Threads along z, y and x: channels and rows are both whole along z, or along z and y."""
        fewer, more = sorted((self.channels, self.rows))
        return fewer, more // fewer, self.threads // more

    @cached_property
    def apart(self) -> int:
        """Numbers from what one lane leaves of the channels to what the next one does.

        So far beyond a multiple of the banks that the threads of a warp, which are the lanes of
        some channels, store to different ones.
        """
        channels, lanes = self.kernel.pool.channels, self.threads // self.channels
        return channels + (BANKS // lanes - channels) % BANKS

    @cached_property
    def room(self) -> int:
        """Numbers that all lanes leave of all channels."""
        return (self.threads // self.channels - 1) * self.apart + self.kernel.pool.channels

    @cached_property
    def values(self) -> Buffer:
        """The pool's output and, where a softmax reads it, the dense layer's after it."""
        units = self.kernel.dense.filters if self.kernel.softmax else 0
        return Buffer("values", (max(self.kernel.pool.channels, units), 1, 1), Memory.SHARED)

    @cached_property
    def out(self) -> Buffer:
        """The kernel's output."""
        return Buffer("out", (self.kernel.dense.filters, 1, 1))

    @cached_property
    def block(self) -> Block:
        """What a block of threads takes."""
        sizes = (self.dense.partial.elements, self.values.elements)
        shared = shared_bytes(*(FLOAT_BYTES * size for size in sizes))
        return replace(self.dense.block, shared_bytes=shared)

    def fits(self, target: GpuTarget) -> bool:
        """Whether it can be launched, and a softmax has all of its numbers in one block."""
        is_whole = self.rows >= self.kernel.dense.filters or not self.kernel.softmax
        return is_whole and self.block.fits(target)

    def seconds_beyond(self, target: GpuTarget) -> float:
        """Time in which a multiprocessor does what it would not, were there a launch for each part.

        It reads the map, which the launch of a pool hides, and more than its share of the weights,
        and waits in each turn but the first. There are no more blocks than multiprocessors
        (`_geometries`).
        """
        dense, pool, hertz = self.kernel.dense, self.kernel.pool, target.frequency_mhz * 1e6
        weights = self.rows * self.turns * self.dense.steps * self.dense.lanes
        share = dense.filters * dense.channels / target.multiprocessors
        numbers = pool.channels * pool.height * pool.width + max(weights - share, 0.0)
        under_way = self.threads * LOADS_UNDER_WAY * FLOAT_BYTES
        per_second = min(
            SECTOR_BYTES * hertz,
            under_way / MEMORY_LATENCY_CYCLES * hertz,
            L2_OVER_MEMORY * target.memory_gb_per_s * 1e9 / self.dense.blocks,
        )
        waits = (self.turns - 1) * MEMORY_LATENCY_CYCLES / hertz
        return numbers * FLOAT_BYTES / per_second + waits

    def pays(self, target: GpuTarget) -> bool:
        """Whether that is less than the time of the launches that are saved."""
        saved = len(self.kernel.parts) - 1
        return self.seconds_beyond(target) < saved * target.launch_seconds


class CudaPooledDense(CudaFamily[PooledDenseKernel]):
    """Parameters: those of `Geometry`, in an order in which the first are a good choice.

    Few turns and, so that there are many blocks, few rows: roofs hidden by a launch are equal.
    """

    name = "cuda_pooled_dense"

    def handles(self, kernel: Kernel, target: Target) -> bool:
        """Whether it pays; see the module."""
        if not isinstance(kernel, PooledDenseKernel) or not isinstance(target, GpuTarget):
            return False
        return _pays(kernel, target)

    def gpu_points(self, kernel: PooledDenseKernel, target: GpuTarget) -> tuple[Schedule, ...]:
        """Those that pay; of a kernel that is not handled, all that can be launched."""
        found = list(_geometries(kernel, target))
        taken = [g for g in found if g.pays(target)] or found
        names = ("turns", "rows", "channels", "threads")
        return tuple(
            sorted(Schedule(self.name, tuple((n, getattr(g, n)) for n in names)) for g in taken)
        )

    def nest(self, kernel: PooledDenseKernel, schedule: Schedule, target: GpuTarget) -> CudaNest:
        del target
        g = _geometry(kernel, schedule)
        load, _ = whole_map(kernel.pool, g.pool)
        scores = g.values if kernel.softmax else g.out
        dense = g.dense.in_turns(*dense_statements(kernel.dense, g.dense, g.values, scores))
        softmax = softmax_statements(g.softmax, g.values, g.out) if kernel.softmax else ()
        names = (CHANNEL, *[LARGEST] * kernel.softmax, TOTAL)
        return CudaNest(
            parameters=(load.buffer, *dense_constants(kernel.dense, g.dense), g.out),
            blocks=g.block.grid,
            threads=g.block.threads,
            scratch=(*g.dense.scratch(*names), g.values),
            body=(*_pool(g), dense, *softmax),
        )

    def pack(
        self,
        kernel: PooledDenseKernel,
        schedule: Schedule,
        target: Target,
        constants: tuple[Array, ...],
    ) -> tuple[Array, ...]:
        del target
        return packed_dense(kernel.dense, _geometry(kernel, schedule).dense, constants)


def _geometry(kernel: PooledDenseKernel, schedule: Schedule) -> Geometry:
    return Geometry(kernel, **dict(schedule.parameters))


@cache
def _pays(kernel: PooledDenseKernel, target: GpuTarget) -> bool:
    """Whether any geometry does. Kept, for every candidate of a search has a head to ask about."""
    return any(g.pays(target) for g in _geometries(kernel, target))


def _geometries(kernel: PooledDenseKernel, target: GpuTarget) -> Iterator[Geometry]:
    """Those that can be launched, with no more blocks than multiprocessors."""
    pool, units = kernel.pool, kernel.dense.filters
    pixels = pool.height * pool.width
    sizes = [
        size
        for size in THREADS
        if size <= target.threads_per_block
        and (size == THREADS[0] or size < 2 * pool.channels * pixels)
    ]
    pool_lanes = [n for n in LANES if n <= BANKS and (n == LANES[0] or n < 2 * pixels)]
    dense_lanes = [n for n in LANES if n == LANES[0] or 2 * n <= pool.channels]
    for size, per_channel, per_output in product(sizes[-2:], pool_lanes, dense_lanes):
        rows = size // per_output
        turns = -(-units // (rows * target.multiprocessors))
        g = Geometry(kernel, size, size // per_channel, rows, turns)
        if g.fits(target):
            yield g


def _pool(g: Geometry) -> Body:
    """Statements that pool the map: lanes go over a channel side by side, then a thread joins them.

    All channels wait for each other once, not each for its lanes. Of few channels each lies at its
    thread's own place along x, where every row of the dense layer reads it: so the barrier.
    """
    kernel, lanes = g.kernel.pool, g.pool
    load, value = whole_map(kernel, lanes)
    turn = Turn("d", -(-kernel.channels // g.threads))

    def places(i: Any) -> tuple[Place, ...]:
        return (i.d, turn.extent), *lanes.thread(i)

    def channel(i: Any) -> Any:
        return ravel(places(i), kernel.channels)

    def is_there(i: Any) -> tuple[Any, ...]:
        return below([(ravel(places(i)), kernel.channels, turn.extent * g.threads)])

    left: tuple[Assign, ...] = lanes.shares(
        (load,),
        value,
        fold_of(kernel),
        flops=1,
        left=Ref(lanes.partial, lambda i: (lanes.lane(i) * g.apart + lanes.output(i),)),
        guards=lanes.has_output,
    )
    shares = Ref(lanes.partial, lambda i: (i.t * g.apart + channel(i),))
    joined, total = lanes.joined(shares, fold_of(kernel), CHANNEL, is_there)
    output = pooled(kernel, total, Ref(g.values, lambda i: (channel(i), 0, 0)), is_there)
    return lanes.in_turns(*left), Repeat((turn,), (*joined, output)), Barrier()
