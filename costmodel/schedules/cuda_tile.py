"""How an axis of a CUDA kernel's output is shared out: blocks, virtual threads, threads, inner."""

# ruff: noqa: ANN401 - an index is an integer or an expression of TVM, which has no types
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from costmodel.errors import InputError
from costmodel.schedules.family import Schedule


@dataclass(frozen=True, order=True)
class Tile:
    """What one block computes along one axis: ``vthread`` strips of ``thread`` x ``inner``."""

    vthread: int
    """Strips; each thread computes ``inner`` neighbours in each."""
    thread: int
    inner: int

    @property
    def size(self) -> int:
        """Positions that a block computes."""
        return self.vthread * self.thread * self.inner

    @property
    def own(self) -> int:
        """Positions that a thread computes."""
        return self.vthread * self.inner

    def blocks(self, extent: int) -> int:
        """Blocks that cover ``extent`` positions; the last may reach beyond."""
        return -(-extent // self.size)

    def position(self, vthread: Any, thread: Any, inner: Any) -> Any:
        """Place in the block's tile of a thread's (vthread, inner) value."""
        return (vthread * self.thread + thread) * self.inner + inner

    def parameters(self, axis: str) -> tuple[tuple[str, int], ...]:
        """As parameters of a schedule: TopHub's split without its first part, which follows."""
        return tuple((f"tile_{axis}_{part}", getattr(self, part)) for part in PARTS)

    @staticmethod
    def of_split(split: Sequence[int]) -> Tile:
        """From TopHub's (block, vthread, thread, inner); InputError for another form."""
        if len(split) != 4 or any(part < 1 for part in split[1:]):
            raise InputError(
                f"a split is four extents (block, vthread, thread, inner), got {tuple(split)}"
            )
        return Tile(*split[1:])

    @staticmethod
    def of_schedule(schedule: Schedule, axis: str) -> Tile:
        """From the parameters that `parameters` gives."""
        return Tile(*(schedule[f"tile_{axis}_{part}"] for part in PARTS))


PARTS = ("vthread", "thread", "inner")
AXES = ("f", "y", "x")
"""Of an output: filters, rows, columns."""
UNROLLING = ("auto_unroll_max_step", "unroll_explicit")
"""TopHub's two switches."""


def tiles_of(schedule: Schedule) -> dict[str, Tile]:
    """The tile of each axis, by its name."""
    return {axis: Tile.of_schedule(schedule, axis) for axis in AXES}


def parameters_of(*tiles_of_axes: Tile) -> tuple[tuple[str, int], ...]:
    """The parameters of the tiles of `AXES`, in their order."""
    pairs = (tile.parameters(axis) for axis, tile in zip(AXES, tiles_of_axes, strict=True))
    return tuple(pair for of_axis in pairs for pair in of_axis)


def parameters_of_knobs(
    knobs: Mapping[str, Any], slices: Sequence[tuple[str, str]] = ()
) -> tuple[tuple[str, int], ...]:
    """Parameters of a TopHub record: tiles, slices (our name, TopHub's knob), `UNROLLING`.

    Raises KeyError for a knob that is missing, InputError for a split of another form.
    """
    splits = (Tile.of_split(knobs[f"tile_{axis}"]) for axis in AXES)
    sliced = tuple((name, int(knobs[knob][-1])) for name, knob in slices)
    return (*parameters_of(*splits), *sliced, *((name, int(knobs[name])) for name in UNROLLING))


def tiles(
    extent: int,
    *,
    threads: Sequence[int],
    inner: Sequence[int] = (1,),
    vthreads: Sequence[int] = (1,),
) -> tuple[Tile, ...]:
    """Tiles of an axis from all of these parts that compute little beyond ``extent``.

    Threads are also tried in the number that covers the axis in one block. The smallest tile is
    always among them.
    """
    found = {Tile(1, 1, 1)}
    for v in vthreads:
        for i in inner:
            exact = -(-extent // (v * i))
            for t in {*threads, exact} if exact <= max(threads) else threads:
                tile = Tile(v, t, i)
                if tile.blocks(extent) * tile.size <= MAXIMUM_WASTE * extent:
                    found.add(tile)
    return tuple(sorted(found))


MAXIMUM_WASTE = 1.34
"""Positions computed over positions needed, above which a tile is left out."""
