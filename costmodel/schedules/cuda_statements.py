"""Statements that several CUDA families share: values with a border, outputs with an epilogue."""

# ruff: noqa: ANN401 - an index is an integer or an expression of TVM, which has no types
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from costmodel.kernels import EpilogueName
from costmodel.operators import Padding
from costmodel.schedules import epilogue
from costmodel.schedules.cuda_nest import Assign, Buffer, Index, Ref, Turn

Bound = tuple[Any, int, int]
"""An index, the extent that it must stay below, and the positions that the launch covers."""

LOWEST = -3.402823466e38
"""The least float32: what a maximum starts from."""


def const(number: float) -> Any:
    """TVM's float32 constant."""
    from tvm import tirx

    return tirx.const(number, "float32")


def maximum(one: Any, other: Any) -> Any:
    """The larger of TVM's two values."""
    from tvm import tirx

    return tirx.max(one, other)


def zero(_: Any) -> Any:
    """The value of a statement that clears."""
    return const(0)


def select(conditions: Sequence[Any], value: Any, otherwise: float = 0) -> Any:
    """``value`` where all ``conditions`` hold; what it reads is read nowhere else."""
    from tvm import tirx

    needed = [condition for condition in conditions if condition is not True]
    return tirx.if_then_else(tirx.all(*needed), value, const(otherwise)) if needed else value


def below(bounds: Sequence[Bound]) -> tuple[Any, ...]:
    """The conditions that can fail."""
    return tuple(index < extent for index, extent, covered in bounds if covered > extent)


def inside(
    place: tuple[Any, Any],
    size: tuple[int, int],
    covered: tuple[int, int],
    window: tuple[int, int],
    stride: tuple[int, int],
    padding: Padding,
) -> tuple[Any, ...]:
    """Conditions under which (row, column) lies in a map of ``size``; those that can fail.

    ``place`` is read by windows of ``covered`` rows and columns of outputs.
    """
    conditions = []
    for axis in (0, 1):
        before = padding[axis]
        last = (covered[axis] - 1) * stride[axis] + window[axis] - 1 - before
        if before:
            conditions.append(place[axis] >= 0)
        if last >= size[axis]:
            conditions.append(place[axis] < size[axis])
    return tuple(conditions)


def extras(operations: Sequence[EpilogueName], shape: tuple[int, ...]) -> tuple[Buffer, ...]:
    """What the combining steps of an epilogue read."""
    return tuple(Buffer(name, shape) for name in epilogue.combining(operations))


def biased_output(
    turns: tuple[Turn, ...],
    total: Ref,
    bias: Ref,
    output: Buffer,
    place: Index,
    operations: Sequence[EpilogueName],
    guards: Callable[[Any], tuple[Any, ...]],
) -> Assign:
    """Sum, bias and epilogue at ``place``, where ``guards`` hold."""
    return Assign(
        turns,
        Ref(output, place),
        (total, bias, *(Ref(extra, place) for extra in extras(operations, output.shape))),
        lambda _, sum_, shift, *read: epilogue.apply(sum_ + shift, operations, lambda n: read[n]),
        flops=epilogue.flops(operations, before=1),
        guards=guards,
    )
