"""Loops written straight down as TVM functions, for kernels that no stage definition fits.

TVM's scheduling cannot put a condition on a part of a reduction, nor leave channels of an output
unwritten; here each loop, condition and store is written as it shall be.
"""

# ruff: noqa: ANN401 - TVM has no types
from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import tvm
from tvm import tirx

from costmodel.loopnest import LoopKind

_KINDS = {
    LoopKind.SERIAL: tirx.ForKind.SERIAL,
    LoopKind.PARALLEL: tirx.ForKind.PARALLEL,
    LoopKind.VECTORIZED: tirx.ForKind.VECTORIZED,
    LoopKind.UNROLLED: tirx.ForKind.UNROLLED,
}

Loops = Sequence[tuple[int, LoopKind]]
"""(extent, kind) of each loop, outermost first."""


def nest(loops: Loops, body: Callable[..., Any]) -> Any:
    """``body`` of the loops' variables, inside the loops.

    A loop of one turn is left out and its variable is 0. ``body`` names the variables.
    """
    variables: list[Any] = []
    written: list[tuple[Any, int, LoopKind]] = []
    for name, (extent, kind) in zip(inspect.signature(body).parameters, loops, strict=True):
        variable = 0 if extent == 1 else tirx.Var(name, "int32")
        variables.append(variable)
        if extent > 1:
            written.append((variable, extent, kind))
    statement = body(*variables)
    for variable, extent, kind in reversed(written):
        statement = tirx.For(variable, 0, extent, _KINDS[kind], statement)
    return statement


def store(buffer: Any, value: Any, *indices: Any) -> Any:
    """``buffer[indices] = value``; a number is a float32."""
    if isinstance(value, int | float):
        value = tirx.const(value, "float32")
    return tirx.BufferStore(buffer, value, list(indices))


def when(conditions: Sequence[Any], statement: Any) -> Any:
    """``statement`` where all ``conditions`` hold; itself where there are none."""
    if not conditions:
        return statement
    return tirx.IfThenElse(tirx.all(*conditions), statement, None)


def in_order(*statements: Any) -> Any:
    """One after the other."""
    return tirx.SeqStmt(list(statements)) if len(statements) > 1 else statements[0]


def argument(name: str, shape: Sequence[int]) -> Any:
    """A parameter of the function."""
    return tirx.decl_buffer(shape, "float32", name)


def private(name: str, elements: int, *, registers: bool) -> tuple[Any, Any]:
    """A flat buffer of the function's own, and the statement that allocates it."""
    scope = "local" if registers else "global"
    buffer = tirx.decl_buffer((elements,), "float32", name, scope=scope)
    return buffer, tirx.stmt.AllocBuffer(buffer)


def module(parameters: Sequence[Any], body: Any) -> tvm.IRModule:
    """A module with one function ``main``; its parameters do not overlap in memory."""
    function = tirx.PrimFunc(list(parameters), body)
    attributes = {"global_symbol": "main", "tirx.noalias": True, "s_tir": True}
    return tvm.IRModule({"main": function.with_attr(attributes)})
