"""A `CudaNest` as a TVM function."""

# ruff: noqa: ANN401 - TVM has no types
from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import tvm
from tvm import tirx
from tvm.tirx import stmt

from costmodel.loopnest import LoopKind
from costmodel.schedules.cuda_nest import (
    Assign,
    Barrier,
    Body,
    Buffer,
    CudaNest,
    Ref,
    Repeat,
    Turn,
)

_KINDS = {LoopKind.SERIAL: 0, LoopKind.UNROLLED: 3}
_TAGS = {
    "bz": "blockIdx.z", "by": "blockIdx.y", "bx": "blockIdx.x",
    "tz": "threadIdx.z", "ty": "threadIdx.y", "tx": "threadIdx.x",
}  # fmt: skip
_THREAD_INDEX = 1
"""TVM's kind of an iteration variable that is bound to a launch dimension."""


def module_of(nest: CudaNest) -> tvm.IRModule:
    """Module with one PrimFunc ``main`` that takes the nest's parameters in order."""
    buffers = {b.name: _declare(b) for b in (*nest.parameters, *nest.scratch)}
    place = SimpleNamespace()
    body = _launch(nest, buffers, place)
    function = tirx.PrimFunc([buffers[b.name] for b in nest.parameters], body)
    for name, value in (("global_symbol", "main"), ("tirx.noalias", True), ("s_tir", True)):
        function = function.with_attr(name, value)
    return tvm.IRModule({"main": function})


def _declare(buffer: Buffer) -> Any:
    return tirx.decl_buffer(buffer.shape, "float32", buffer.name, scope=str(buffer.memory))


def _launch(nest: CudaNest, buffers: dict[str, Any], place: SimpleNamespace) -> Any:
    dimensions = []
    for turn in nest.launch:
        variable = tirx.Var(turn.name, "int32") if turn.extent > 1 else 0
        setattr(place, turn.name, variable)
        if turn.extent > 1:
            dimensions.append((variable, turn))
    body = _sequence(
        [
            *(stmt.AllocBuffer(buffers[buffer.name]) for buffer in nest.scratch),
            *_statements(nest.body, buffers, place),
        ]
    )
    body = stmt.AttrStmt(
        tirx.const(0, "int32"), "pragma_unroll_explicit", tirx.const(nest.write_out, "bool"), body
    )
    for variable, turn in reversed(dimensions or [(tirx.Var("tx", "int32"), nest.launch[-1])]):
        bound = tirx.IterVar(
            tvm.ir.Range(0, turn.extent), variable, _THREAD_INDEX, _TAGS[turn.name]
        )
        body = stmt.AttrStmt(bound, "thread_extent", tirx.const(turn.extent, "int32"), body)
    return body


def _statements(body: Body, buffers: dict[str, Any], place: SimpleNamespace) -> list[Any]:
    return [
        _barrier() if isinstance(child, Barrier) else _loops(child, buffers, place)
        for child in body
    ]


def _barrier() -> Any:
    return stmt.Evaluate(tirx.call_intrin("int32", "tirx.tvm_storage_sync", "shared"))


def _loops(child: Assign | Repeat, buffers: dict[str, Any], place: SimpleNamespace) -> Any:
    variables = []
    for turn in child.turns:
        variable = tirx.Var(turn.name, "int32") if turn.extent > 1 else 0
        setattr(place, turn.name, variable)
        variables.append((variable, turn))
    if isinstance(child, Repeat):
        body = _sequence(_statements(child.body, buffers, place))
    else:
        body = _store(child, buffers, place)
    for variable, turn in reversed(variables):
        if turn.extent > 1:
            body = _loop(variable, turn, body)
    return body


def _loop(variable: Any, turn: Turn, body: Any) -> Any:
    first, extent = tirx.const(0, "int32"), tirx.const(turn.extent, "int32")
    return stmt.For(variable, first, extent, _KINDS[turn.kind], body)


def _store(child: Assign, buffers: dict[str, Any], place: SimpleNamespace) -> Any:
    loads = [_element(load, buffers, place) for load in child.loads]
    value = child.value(place, *loads)
    indices = [_expression(index) for index in child.target.index(place)]
    store = stmt.BufferStore(buffers[child.target.buffer.name], value, indices)
    guards = child.guards(place)
    return stmt.IfThenElse(tirx.all(*guards), store, None) if guards else store


def _element(ref: Ref, buffers: dict[str, Any], place: SimpleNamespace) -> Any:
    return buffers[ref.buffer.name][tuple(_expression(index) for index in ref.index(place))]


def _expression(index: Any) -> Any:
    return tirx.const(index, "int32") if isinstance(index, int) else index


def _sequence(statements: list[Any]) -> Any:
    return stmt.SeqStmt(statements) if len(statements) > 1 else statements[0]
