"""What TVM's old CUDA schedules have in common: split axes, virtual threads, unrolling, copies."""

# ruff: noqa: ANN401 - a loop's value is an integer or an expression; see `cuda_nest`
from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from costmodel.loopnest import LoopKind
from costmodel.schedules.cuda_nest import Assign, Buffer, Ref, Turn, copy_turns, unravel

UNROLLED = LoopKind.UNROLLED


@dataclass(frozen=True)
class Split:
    """An axis shared out, outer to inner; each virtual thread has a strip of its block's part."""

    blocks: int
    virtual: int
    threads: int
    inner: int

    @property
    def size(self) -> int:
        """Positions of a block."""
        return self.virtual * self.threads * self.inner

    def start(self, virtual: Any, thread: Any) -> Any:
        """First position of a thread in its block."""
        return (virtual * self.threads + thread) * self.inner


def virtual_threads(f: int, y: int, x: int) -> tuple[Turn, ...]:
    """Loops over the virtual threads of three axes, written out."""
    return Turn("vf", f, UNROLLED), Turn("vy", y, UNROLLED), Turn("vx", x, UNROLLED)


def all_unrolled(*turns: Turn) -> tuple[Turn, ...]:
    """The same loops, written out."""
    return tuple(replace(turn, kind=UNROLLED) for turn in turns)


def auto_unrolled(knobs: Mapping[str, Any], copies: int, **extents: int) -> tuple[Turn, ...]:
    """Loops by name, the innermost unrolled as long as ``auto_unroll_max_step`` stores allow.

    ``copies``: stores that virtual threads make of one.
    """
    turns: list[Turn] = []
    stores = copies
    for name, extent in reversed(extents.items()):
        stores *= extent
        kind = UNROLLED if stores <= knobs["auto_unroll_max_step"] else LoopKind.SERIAL
        turns.insert(0, Turn(name, extent, kind))
    return tuple(turns)


def assign(turns: tuple[Turn, ...], target: Ref, *loads: Ref, flops: int = 0) -> Assign:
    """Zero where nothing is loaded; else the first of ``loads`` and the product of the others."""

    def value(_: object, *loaded: Any) -> Any:
        return loaded[0] + math.prod(loaded[1:]) if loaded else 0.0

    return Assign(turns, target, loads, value, flops)


def move(turns: tuple[Turn, ...], target: Ref, source: Ref, *, ragged: bool = False) -> Assign:
    """A copy, where ``ragged`` under a condition."""
    return Assign(turns, target, (source,), _same, guards=lambda _: (True,) * ragged)


def copy(
    shared: Buffer, threads: tuple[int, int, int], source: Ref, place: Callable[..., Any]
) -> Assign:
    """All threads of a block fill ``shared``; ``place(i, *indices)``: where an element is from."""
    turns, position, guards = copy_turns(shared.elements, threads)

    def target(i: Any) -> tuple[Any, ...]:
        return unravel(position(i), shared.shape)

    return Assign(
        turns,
        Ref(shared, target),
        (Ref(source.buffer, lambda i: place(i, *target(i))),),
        _same,
        guards=guards,
    )


def _same(_: object, number: Any) -> Any:
    return number
