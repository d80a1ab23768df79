"""From a TVM module to an object file whose symbols clash with no other's."""

# ruff: noqa: ANN401 - TVM has no types
from __future__ import annotations

from pathlib import Path
from typing import Any

import tvm
from tvm import tirx

from costmodel.errors import DeviceError
from costmodel.lowering import compile_module
from costmodel.target import CpuTarget

_ENTRY = "__tvm_ffi_"
"""TVM's prefix of what can be called from outside."""


def symbol_of(prefix: str) -> str:
    """The function that `write_object` leaves for a module compiled under ``prefix``."""
    return f"{_ENTRY}{prefix}"


def write_object(module: tvm.IRModule, prefix: str, target: CpuTarget, path: Path) -> None:
    """Compiles ``module`` for ``target`` into the object file ``path``; 30 to 140 ms a kernel.

    ``main`` becomes ``prefix``; other functions (the kernels of a whole network) get it before
    their names. Raises DeviceError when the compiler refuses or the file cannot be written.
    """
    compiled = compile_module(_prefixed(module, prefix), target)
    try:
        compiled.write_to_file(str(path))
    except Exception as error:  # TVM raises the type that its C++ code names
        line = str(error).strip().splitlines()[-1]
        raise DeviceError(f"cannot write the object file {path}: {line}") from error


def _prefixed(module: tvm.IRModule, prefix: str) -> tvm.IRModule:
    names = {v.name_hint: f"{prefix}_{v.name_hint}" for v in module.get_global_vars()}
    names["main"] = prefix
    functions = {}
    for old, new in names.items():
        function = module[old]
        if old == "main" and len(names) > 1:
            function = function.with_body(_renamed_calls(function.body, names))
        functions[new] = function.with_attr("global_symbol", new)
    return tvm.IRModule(functions)


def _renamed_calls(body: Any, names: dict[str, str]) -> Any:
    """A network's ``main`` (calls in turn, see `costmodel.program`) with other names called."""
    if isinstance(body, tirx.SeqStmt):
        return tirx.SeqStmt([_renamed_calls(child, names) for child in body.seq])
    if not isinstance(body, tirx.Evaluate) or not isinstance(body.value, tvm.ir.Call):
        raise DeviceError(f"cannot rename what a {type(body).__name__} of a network's main calls")
    callee, *arguments = body.value.args
    return tirx.Evaluate(tirx.call_cpacked(names[str(callee.value)], *arguments))
