"""Reads the loops of a scheduled TVM function into a `LoopNest`."""

# ruff: noqa: ANN401 - TVM has no types
from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import tvm
from tvm import tirx
from tvm.s_tir import transform as s_tir
from tvm.tirx import transform as tir

from costmodel.errors import DeviceError
from costmodel.loopnest import LoopKind, LoopNest, Statement, statement

_PASSES = (
    s_tir.LowerInitBlock,
    s_tir.PlanAndUpdateBufferAllocationLocation,
    s_tir.ConvertBlocksToOpaque,
    s_tir.CompactBufferAllocation,
    s_tir.LowerOpaqueBlock,
    tir.FlattenBuffer,
    tir.StmtSimplify,
)
"""TVM's own lowering up to the point where loops are final and buffers flat."""

_KINDS = {
    0: LoopKind.SERIAL,
    1: LoopKind.PARALLEL,
    2: LoopKind.VECTORIZED,
    3: LoopKind.UNROLLED,
}
_ARITHMETIC = (tirx.Add, tirx.Sub, tirx.Mul, tirx.Div, tirx.Max, tirx.Min)


@dataclass(frozen=True)
class _Scope:
    loops: tuple[Any, ...]
    """TVM's For nodes around this place, outermost first."""
    depths: dict[str, int]
    """Buffer allocated inside the function -> number of loops around its allocation."""
    guarded: bool


def read(module: tvm.IRModule) -> LoopNest:
    """The statements of the module's function ``main`` with loops, strides and arithmetic.

    Local accumulators are called ``acc`` whatever TVM's suffix. Raises DeviceError for a
    statement that this reader does not know (a change in TVM).
    """
    for lowering in _PASSES:
        module = lowering()(module)
    scope = _Scope(loops=(), depths={}, guarded=False)
    return LoopNest(tuple(_statements(module["main"].body, scope)))


def _statements(node: Any, scope: _Scope) -> Iterator[Statement]:
    if isinstance(node, tirx.SeqStmt):
        for child in node.seq:
            if isinstance(child, tirx.stmt.AllocBuffer):
                depths = {**scope.depths, _name(child.buffer): len(scope.loops)}
                scope = replace(scope, depths=depths)
            elif not isinstance(child, tirx.stmt.DeclBuffer):
                yield from _statements(child, scope)
    elif isinstance(node, tirx.For):
        yield from _statements(node.body, replace(scope, loops=(*scope.loops, node)))
    elif isinstance(node, tirx.IfThenElse):
        yield from _statements(node.then_case, replace(scope, guarded=True))
    elif isinstance(node, tirx.BufferStore):
        yield _store(node, scope)
    elif not isinstance(node, tirx.stmt.DeclBuffer | tirx.stmt.AllocBuffer):
        raise DeviceError(f"cannot read a {type(node).__name__} of this TVM's lowered functions")


def _store(node: Any, scope: _Scope) -> Statement:
    loads: dict[tuple[Any, ...], tuple[str, tuple[int, ...], int | None]] = {}
    flops = 0

    def visit(value: Any) -> None:
        nonlocal flops
        if _is_load(value):
            access = _access(value.source, value.indices, scope)
            loads[_origin(value.indices, scope), access] = access  # the same number is read once
            return
        if isinstance(value, _ARITHMETIC) or (
            isinstance(value, tvm.ir.Call) and not _is_choice(value)
        ):
            flops += 1
        for child in _operands(value):
            visit(child)

    visit(node.value)
    loops = [(int(loop.extent), _KINDS[int(loop.kind)]) for loop in scope.loops]
    return statement(
        loops,
        _access(node.buffer, node.indices, scope),
        list(loads.values()),
        flops=flops,
        guarded=scope.guarded,
    )


def _is_load(value: Any) -> bool:
    return isinstance(value, tvm.ir.expr.TensorLoad)


def _is_choice(call: Any) -> bool:
    return str(getattr(call.op, "name", "")).endswith("if_then_else")


def _operands(value: Any) -> tuple[Any, ...]:
    if isinstance(value, tvm.ir.Call):
        # The condition of if_then_else is control, not arithmetic.
        return tuple(value.args[1:] if _is_choice(value) else value.args)
    if isinstance(value, _ARITHMETIC):
        return value.a, value.b
    return ()


def _access(buffer: Any, indices: Any, scope: _Scope) -> tuple[str, tuple[int, ...], int | None]:
    """Name, stride along each loop and private depth of one access to a flat buffer."""
    (index,) = indices
    variables = [loop.loop_var for loop in scope.loops]
    origin = _origin(indices, scope)
    strides = tuple(
        _evaluate(index, {**dict.fromkeys(variables, 0), variable: 1}) - origin
        for variable in variables
    )
    name = _name(buffer)
    return name, strides, scope.depths.get(name)


def _origin(indices: Any, scope: _Scope) -> int:
    """Where an access lies in the first iteration of all loops."""
    (index,) = indices
    return _evaluate(index, dict.fromkeys((loop.loop_var for loop in scope.loops), 0))


def _name(buffer: Any) -> str:
    """TVM calls a stage's copy in local memory ``<stage>_local``."""
    return str(buffer.name).removesuffix("_local")


def _evaluate(index: Any, values: dict[Any, int]) -> int:
    if isinstance(index, tirx.IntImm):
        return int(index.value)
    if isinstance(index, tvm.ir.Var):
        return values[index]
    operation = _INDEX_ARITHMETIC.get(type(index).__name__)
    if operation is None:
        raise DeviceError(f"cannot read the index {index} of this TVM's lowered functions")
    return operation(_evaluate(index.a, values), _evaluate(index.b, values))


_INDEX_ARITHMETIC: dict[str, Callable[[int, int], int]] = {
    "Add": operator.add,
    "Sub": operator.sub,
    "Mul": operator.mul,
    "FloorDiv": operator.floordiv,
    "FloorMod": operator.mod,
}
