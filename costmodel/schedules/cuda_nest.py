"""A CUDA kernel as data: launch, buffers, loops and stores, from which all else is made.

Its `LoopNest` is read off here without TVM; `costmodel.schedules.cuda_nest_tvm` writes the same
loops as a TVM function. Index functions are written once and serve both: they take the loops'
values by name (arrays of integers here, TVM's variables there) and use nothing but + - * // %.
"""

# ruff: noqa: ANN401 - a loop's value is an integer or an expression of TVM, which has no types
from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from costmodel.errors import InputError
from costmodel.loopnest import LoopKind, LoopNest, Memory, PlainAccess, Statement, statement
from costmodel.schedules.family import K, Schedule, ScheduleFamily
from costmodel.target import FLOAT_BYTES, GpuTarget, Target

if TYPE_CHECKING:
    import tvm

BLOCKS = ("bz", "by", "bx")
THREADS = ("tz", "ty", "tx")
"""What index functions call the launch's dimensions, slowest first."""
MAXIMUM_Z_THREADS = 64
MAXIMUM_YZ_BLOCKS = 65535
"""Limits of a launch that all GPUs share, of threads along z and blocks along y or z (CUDA C++
programming
guide, technical specifications per compute capability)."""
MAXIMUM_LOAD_UNROLL = 8
"""Elements that a thread has under way at once while a slice is copied; each needs a register."""
SHARED_ALIGNMENT = 64
"""TVM starts each buffer at a multiple of this many bytes."""

Index = Callable[[Any], tuple[Any, ...]]


@dataclass(frozen=True)
class Buffer:
    """An array of float32, row-major."""

    name: str
    shape: tuple[int, ...]
    memory: Memory = Memory.GLOBAL

    @property
    def elements(self) -> int:
        """Numbers in it."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Ref:
    """An element of a buffer as the loops turn."""

    buffer: Buffer
    index: Index


@dataclass(frozen=True)
class Turn:
    """A loop."""

    name: str
    extent: int
    kind: LoopKind = LoopKind.SERIAL


@dataclass(frozen=True)
class Assign:
    """``target = value(i, *loads)`` in its innermost loops, where all ``guards`` hold."""

    turns: tuple[Turn, ...]
    target: Ref
    loads: tuple[Ref, ...]
    value: Callable[..., Any]
    """TVM's expression of the loops' values ``i`` and of the loaded numbers."""
    flops: int = 0
    guards: Callable[[Any], tuple[Any, ...]] = lambda _: ()
    """Conditions; only such as can fail, so that none of them is simplified away."""


@dataclass(frozen=True)
class Barrier:
    """Where the threads of a block wait for each other although TVM sees no need.

    TVM takes what is stored and read under one index for a thread's own, even where the index
    leaves out a dimension of the block, so that threads share it.
    """


@dataclass(frozen=True)
class Repeat:
    """Loops around several stores."""

    turns: tuple[Turn, ...]
    body: Body


Body = tuple[Assign | Repeat | Barrier, ...]


@dataclass(frozen=True)
class CudaNest:
    """One CUDA kernel.

    TVM puts barriers where threads read what others put in shared memory; but see `Barrier`.
    """

    parameters: tuple[Buffer, ...]
    """Inputs, constants, output last."""
    blocks: tuple[int, int, int]
    """z, y, x."""
    threads: tuple[int, int, int]
    """Of a block: z, y, x."""
    scratch: tuple[Buffer, ...]
    """Buffers in shared and local memory."""
    body: Body
    write_out: bool = False
    """Whether TVM writes unrolled loops out, else CUDA's compiler does."""

    @property
    def block_threads(self) -> int:
        """Threads of a block."""
        return math.prod(self.threads)

    @property
    def shared_bytes(self) -> int:
        """Shared memory of a block."""
        sizes = [b.elements * FLOAT_BYTES for b in self.scratch if b.memory is Memory.SHARED]
        return shared_bytes(*sizes)

    @cached_property
    def launch(self) -> tuple[Turn, ...]:
        """The launch as loops, blocks around threads."""
        return (
            *(Turn(n, e, LoopKind.BLOCK) for n, e in zip(BLOCKS, self.blocks, strict=True)),
            *(Turn(n, e, LoopKind.THREAD) for n, e in zip(THREADS, self.threads, strict=True)),
        )

    def describe(self) -> LoopNest:
        """All stores with their loops and strides."""
        return LoopNest(tuple(self._statements(self.body, self.launch)))

    def _statements(self, body: Body, around: tuple[Turn, ...]) -> Iterator[Statement]:
        for child in body:
            if isinstance(child, Barrier):
                continue
            turns = (*around, *child.turns)
            if isinstance(child, Repeat):
                yield from self._statements(child.body, turns)
                continue
            place = _first_turns(turns)
            yield statement(
                [(turn.extent, turn.kind) for turn in turns],
                _access(child.target, len(turns), place),
                [_access(load, len(turns), place) for load in child.loads],
                flops=child.flops,
                guarded=bool(child.guards(place)),
            )


class CudaFamily(ScheduleFamily[K]):
    """A family whose kernels are given as a `CudaNest`; the rest follows from it."""

    @abstractmethod
    def nest(self, kernel: K, schedule: Schedule, target: GpuTarget) -> CudaNest:
        """The kernel under ``schedule``."""

    @abstractmethod
    def gpu_points(self, kernel: K, target: GpuTarget) -> tuple[Schedule, ...]:
        """Every valid point; see `ScheduleFamily.points`."""

    def points(self, kernel: K, target: Target) -> tuple[Schedule, ...]:
        return self.gpu_points(kernel, _gpu(target))

    def describe(self, kernel: K, schedule: Schedule, target: Target) -> LoopNest:
        return self.nest(kernel, schedule, _gpu(target)).describe()

    def module(self, kernel: K, schedule: Schedule, target: Target) -> tvm.IRModule:
        from costmodel.schedules import cuda_nest_tvm

        return cuda_nest_tvm.module_of(self.nest(kernel, schedule, _gpu(target)))

    def shapes(self, kernel: K, schedule: Schedule, target: Target) -> tuple[tuple[int, ...], ...]:
        nest = self.nest(kernel, schedule, _gpu(target))
        return tuple(buffer.shape for buffer in nest.parameters)


def shared_bytes(*sizes: int) -> int:
    """Shared memory that buffers of these bytes take together."""
    if not sizes:
        return 0
    return sum(-(-s // SHARED_ALIGNMENT) * SHARED_ALIGNMENT for s in sizes[:-1]) + sizes[-1]


Place = tuple[Any, int]
"""An index and the number of values that it takes."""


def ravel(places: Sequence[Place], extent: int | None = None) -> Any:
    """The position that ``places``, slowest first, make together; below ``extent`` where given.

    An index that is then 0 is left out, and so is one of a single value: so TVM has nothing to
    simplify where a condition says that the position is below ``extent``.
    """
    position: Any = 0
    unit = 1
    for index, count in reversed(places):
        if extent is not None and unit >= extent:
            break
        if count > 1:
            position = index * unit + position
        unit *= count
    return position


def unravel(position: Any, extents: tuple[int, ...]) -> tuple[Any, ...]:
    """Indices of the element at ``position`` of a row-major array of these extents.

    The outermost index that can differ from 0 is not wrapped around, and no index is computed
    along an extent of one: so TVM has nothing to simplify.
    """
    indices: list[Any] = []
    outermost = next((d for d, extent in enumerate(extents) if extent > 1), None)
    for d, extent in enumerate(extents):
        below = math.prod(extents[d + 1 :])
        quotient = position // below if below > 1 else position
        indices.append(0 if extent == 1 else quotient if d == outermost else quotient % extent)
    return tuple(indices)


def copy_turns(
    elements: int, threads: tuple[int, int, int]
) -> tuple[tuple[Turn, ...], Callable[[Any], Any], Callable[[Any], tuple[Any, ...]]]:
    """Loop, position and guards with which the threads of a block copy an array together.

    Neighbouring threads copy neighbouring elements.
    """
    size = math.prod(threads)
    turns = -(-elements // size)
    _, rows, columns = threads
    kind = LoopKind.UNROLLED if turns <= MAXIMUM_LOAD_UNROLL else LoopKind.SERIAL

    def position(i: Any) -> Any:
        return i.l * size + i.tz * (rows * columns) + i.ty * columns + i.tx

    def guards(i: Any) -> tuple[Any, ...]:
        return (position(i) < elements,) if turns * size > elements else ()

    return (Turn("l", turns, kind),), position, guards


def _gpu(target: Target) -> GpuTarget:
    if not isinstance(target, GpuTarget):
        raise InputError("a CUDA schedule needs a GPU's target, this is a CPU's")
    return target


def _first_turns(turns: tuple[Turn, ...]) -> SimpleNamespace:
    """Each loop's value at the origin and at the first turn of each loop: arrays of 1 + loops."""
    place = SimpleNamespace()
    for number, turn in enumerate(turns):
        values: Any = 0
        if turn.extent > 1:
            values = np.zeros(1 + len(turns), np.int64)
            values[1 + number] = 1
        setattr(place, turn.name, values)
    return place


def _access(ref: Ref, turns: int, place: SimpleNamespace) -> PlainAccess:
    offset: Any = 0
    for index, extent in zip(ref.index(place), ref.buffer.shape, strict=True):
        offset = offset * extent + index
    moves = [0] * turns if isinstance(offset, int) else (offset[1:] - offset[0]).tolist()
    private = None if ref.buffer.memory is Memory.GLOBAL else len(BLOCKS) + len(THREADS)
    return ref.buffer.name, tuple(moves), private, ref.buffer.memory
