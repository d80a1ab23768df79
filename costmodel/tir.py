"""Reads the loops of a scheduled TVM function into a `LoopNest`."""

# ruff: noqa: ANN401 - TVM has no types
from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import tvm
from tvm import tirx
from tvm.s_tir import transform as s_tir
from tvm.tirx import transform as tir

from costmodel.errors import DeviceError
from costmodel.loopnest import LoopKind, LoopNest, Memory, PlainAccess, Statement, statement

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


_DECLARATIONS = (tirx.stmt.DeclBuffer, tirx.stmt.AllocBuffer, tirx.stmt.Bind)
_LAUNCH = {"blockIdx": LoopKind.BLOCK, "threadIdx": LoopKind.THREAD}
_MEMORIES = {"shared": Memory.SHARED, "local": Memory.LOCAL}
"""What TVM calls them; all else is global."""


@dataclass(frozen=True)
class _Turn:
    """A loop, or a dimension of a GPU's launch."""

    variable: Any
    extent: int
    kind: LoopKind


@dataclass(frozen=True)
class _Scope:
    turns: tuple[_Turn, ...]
    """Around this place, outermost first."""
    depths: dict[str, int]
    """Buffer allocated inside the function -> number of loops around its allocation."""
    guarded: bool
    bound: dict[Any, Any] = field(default_factory=dict)
    """Variable that stands for an expression -> the expression."""

    def inside(self, variable: Any, extent: Any, kind: LoopKind) -> _Scope:
        """The scope under one loop more; an extent that varies is taken as at first."""
        turns = int(_evaluate(extent, self.first))
        return replace(self, turns=(*self.turns, _Turn(variable, turns, kind)))

    def declared(self, node: Any) -> _Scope:
        """The scope after ``node``, which may allocate a buffer or name an expression."""
        if isinstance(node, tirx.stmt.AllocBuffer):
            return replace(self, depths={**self.depths, _name(node.buffer): len(self.turns)})
        if isinstance(node, tirx.stmt.Bind):
            return replace(self, bound={**self.bound, node.var: node.value})
        return self

    @property
    def first(self) -> dict[Any, Any]:
        """Variables in the first iteration of all loops."""
        return {**self.bound, **dict.fromkeys((turn.variable for turn in self.turns), 0)}

    @property
    def on_gpu(self) -> bool:
        """Whether blocks of threads are around this place."""
        return any(turn.kind in _LAUNCH.values() for turn in self.turns)


def read(module: tvm.IRModule) -> LoopNest:
    """The statements of the module's function ``main`` with loops, strides and arithmetic.

    Local accumulators are called ``acc`` whatever TVM's suffix. Raises DeviceError for a
    statement that this reader does not know (a change in TVM).
    """
    for lowering in _PASSES:
        module = lowering()(module)
    scope = _Scope(turns=(), depths={}, guarded=False)
    return LoopNest(tuple(_statements(module["main"].body, scope)))


def _statements(node: Any, scope: _Scope) -> Iterator[Statement]:
    if isinstance(node, tirx.SeqStmt):
        for child in node.seq:
            scope = scope.declared(child)
            yield from _statements(child, scope)
    elif isinstance(node, tirx.For):
        kind = _KINDS[int(node.kind)]
        yield from _statements(node.body, scope.inside(node.loop_var, node.extent, kind))
    elif isinstance(node, tirx.AttrStmt):
        yield from _statements(node.body, _attributed(node, scope))
    elif isinstance(node, tirx.IfThenElse):
        yield from _statements(node.then_case, replace(scope, guarded=True))
    elif isinstance(node, tirx.BufferStore):
        yield _store(node, scope)
    elif not isinstance(node, _DECLARATIONS) and not _is_barrier(node):
        raise DeviceError(f"cannot read a {type(node).__name__} of this TVM's lowered functions")


def _is_barrier(node: Any) -> bool:
    """Whether threads wait for each other here, and nothing else is done."""
    is_call = isinstance(node, tirx.Evaluate) and isinstance(node.value, tvm.ir.Call)
    return is_call and str(node.value.op.name) == "tirx.tvm_storage_sync"


def _attributed(node: Any, scope: _Scope) -> _Scope:
    """The scope under an attribute: a launch dimension, or advice to the compiler."""
    if node.attr_key == "thread_extent":
        kind = _LAUNCH[str(node.node.thread_tag).split(".", 1)[0]]
        return scope.inside(node.node.var, node.value, kind)
    if str(node.attr_key).startswith("pragma_"):
        return scope
    raise DeviceError(f"cannot read the attribute '{node.attr_key}' of this TVM's functions")


def _store(node: Any, scope: _Scope) -> Statement:
    loads: dict[tuple[Any, ...], PlainAccess] = {}
    flops = 0

    def visit(value: Any) -> None:
        nonlocal flops
        if _is_load(value):
            access = _access(value.source, value.indices, scope)
            loads[_origin(value.indices, scope), access] = access  # the same number is read once
            return
        if isinstance(value, tvm.ir.Var) and value in scope.bound:
            visit(scope.bound[value])
            return
        if isinstance(value, _ARITHMETIC) or (
            isinstance(value, tvm.ir.Call) and not _is_choice(value)
        ):
            flops += 1
        for child in _operands(value):
            visit(child)

    visit(node.value)
    return statement(
        [(turn.extent, turn.kind) for turn in scope.turns],
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
    if isinstance(value, tirx.Let):
        return value.value, value.body
    if isinstance(value, _ARITHMETIC):
        return value.a, value.b
    return ()


def _access(buffer: Any, indices: Any, scope: _Scope) -> PlainAccess:
    """Name, stride along each loop, private depth and memory of one access to a flat buffer."""
    (index,) = indices
    origin = _origin(indices, scope)
    strides = tuple(
        int(_evaluate(index, {**scope.first, turn.variable: 1})) - origin for turn in scope.turns
    )
    name = _name(buffer)
    memory = _MEMORIES.get(str(buffer.scope()), Memory.GLOBAL) if scope.on_gpu else Memory.GLOBAL
    return name, strides, scope.depths.get(name), memory


def _origin(indices: Any, scope: _Scope) -> int:
    """Where an access lies in the first iteration of all loops."""
    (index,) = indices
    return int(_evaluate(index, scope.first))


def _name(buffer: Any) -> str:
    """TVM calls a stage's copy in local memory ``<stage>_local``."""
    return str(buffer.name).removesuffix("_local")


def _evaluate(index: Any, values: dict[Any, Any]) -> float:
    """The number that an index is; ``values``: those of variables, as numbers or expressions.

    An index that is itself read from memory is taken for 0, and of two the first: which it is,
    is known only when it runs.
    """
    if isinstance(index, int | tirx.IntImm | tirx.FloatImm):
        return index if isinstance(index, int) else index.value
    if isinstance(index, tvm.ir.Var):
        return _evaluate(values[index], values)
    if _is_load(index):
        return 0
    if isinstance(index, tirx.Select) or (isinstance(index, tvm.ir.Call) and _is_choice(index)):
        first = index.true_value if isinstance(index, tirx.Select) else index.args[1]
        return _evaluate(first, values)
    if isinstance(index, tirx.Cast):
        number = _evaluate(index.value, values)
        return int(number) if str(index.ty.dtype).startswith("int") else number
    operation = _INDEX_ARITHMETIC.get(_operation_name(index))
    if operation is None:
        raise DeviceError(f"cannot read the index {index} of this TVM's lowered functions")
    arguments = index.args if isinstance(index, tvm.ir.Call) else (index.a, index.b)
    return operation(*(_evaluate(argument, values) for argument in arguments))


def _operation_name(index: Any) -> str:
    return str(index.op.name) if isinstance(index, tvm.ir.Call) else type(index).__name__


_INDEX_ARITHMETIC: dict[str, Callable[..., float]] = {
    "Add": operator.add,
    "Sub": operator.sub,
    "Mul": operator.mul,
    "Div": operator.truediv,
    "FloorDiv": operator.floordiv,
    "FloorMod": operator.mod,
    "Min": min,
    "Max": max,
    "tirx.floor": math.floor,
    "tirx.ceil": math.ceil,
    "tirx.round": round,
}
