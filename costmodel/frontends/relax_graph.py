"""A Relax module of TVM as one `TvmOperator` of a network."""

# ruff: noqa: ANN401 - TVM has no types

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from costmodel.errors import InputError
from costmodel.operators import Shape, TvmOperator


@dataclass(frozen=True)
class Lowered:
    """An operator, and the arrays of its parameters by name."""

    operator: TvmOperator
    parameters: dict[str, npt.NDArray[np.float32]]


def lower_module(module: Any, inputs: int, shape: Shape) -> Lowered:
    """The ``main`` of a Relax module, which takes ``inputs`` tensors, as one function.

    ``shape``: of the output in the network, channels last. Constants that are more than one number
    become parameters. Raises InputError for what is no single float32 function of fixed shape or
    calls the runtime library of TVM, which a board does not have.
    """
    import tvm
    from tvm import relax

    title = _title(module["main"])
    legal = relax.transform.LegalizeOps()(relax.transform.CanonicalizeBindings()(module))
    legal = relax.transform.DeadCodeElimination()(legal)
    _check_bindings(legal["main"])
    if any(_shape(call) for call in _constants(legal["main"])):
        legal = relax.transform.FoldConstant()(legal)
    main, arrays = _lift_constants(legal["main"])
    if len(main.params) != inputs + len(arrays):
        raise InputError(f"TVM's function takes {len(main.params)} values instead of {inputs}")
    others = {v: f for v, f in legal.functions.items() if v.name_hint != "main"}
    builder = relax.BlockBuilder(tvm.IRModule(others))
    inner = relax.Function(main.params, main.body, main.ret_ty, main.is_pure)
    fused = builder.add_func(inner.with_attr("Primitive", True), "fused")
    parameters = [relax.Var(f"v{i}", p.ty) for i, p in enumerate(main.params)]
    with builder.function("main", parameters):
        with builder.dataflow():
            result = builder.emit_output(relax.Call(fused, parameters))
        builder.emit_func_output(result)
    whole = relax.transform.LegalizeOps()(builder.get())  # the casts of lifted constants
    functions = relax.transform.FuseTIR()(whole).functions
    found = [f for v, f in functions.items() if v.name_hint != "main"]
    if len(found) != 1 or not isinstance(found[0], tvm.tirx.PrimFunc):
        raise InputError("TVM makes no single function of it")
    function = found[0].with_attr("global_symbol", "main")
    _check(function)
    text = tvm.ir.save_json(function)
    _check_calls(text)
    names = tuple(f"p{i}" for i in range(len(arrays)))
    operator = TvmOperator(
        title=title,
        function=text,
        shape=shape,
        parameters=names,
        parameter_shapes=tuple(array.shape for array in arrays),
    )
    return Lowered(operator, dict(zip(names, arrays, strict=True)))


def _title(main: Any) -> str:
    """Names of the operations in order, layouts left out where there is anything else."""
    import tvm

    names: dict[str, None] = {}
    for binding in _bindings(main):
        if isinstance(binding.value, tvm.relax.Call) and isinstance(binding.value.op, tvm.ir.Op):
            names[binding.value.op.name] = None
    telling = [name for name in names if name not in _LAYOUTS] or list(names)
    return " + ".join(telling)


_LAYOUTS = {"relax.reshape", "relax.permute_dims", "relax.broadcast_to", "relax.astype",
            "relax.squeeze", "relax.expand_dims"}  # fmt: skip


def _bindings(main: Any) -> Iterator[Any]:
    for block in main.body.blocks:
        yield from block.bindings


def _constants(main: Any) -> list[Any]:
    import tvm

    found: list[Any] = []

    def visit(node: Any) -> None:
        if isinstance(node, tvm.ir.GenericConst):
            found.append(node)

    tvm.relax.analysis.post_order_visit(main, visit)
    return found


def _shape(constant: Any) -> Shape:
    return tuple(int(n) for n in constant.value.shape)


def _lift_constants(main: Any) -> tuple[Any, list[npt.NDArray[np.float32]]]:
    """``main`` with its constants as further parameters, and their arrays.

    Whole numbers (places to gather from) travel as float32 too.
    """
    from tvm import relax

    arrays: list[npt.NDArray[np.float32]] = []
    lifted: list[Any] = []

    @relax.expr_functor.mutator
    class Lift(relax.PyExprMutator):  # type: ignore[misc]
        def visit_generic_const_(self, op: Any) -> Any:
            array = op.value.numpy()
            arrays.append(array.astype(np.float32))
            if not np.array_equal(arrays[-1].astype(array.dtype), array):
                raise InputError(f"a constant of {array.dtype} is too large for float32")
            shape = [int(extent) for extent in array.shape]
            lifted.append(relax.Var(f"p{len(lifted)}", relax.TensorType(shape, "float32")))
            if array.dtype == np.float32:
                return lifted[-1]
            return self.builder_.emit(relax.op.astype(lifted[-1], str(array.dtype)))

    body = Lift().visit_expr(main.body)
    return relax.Function([*main.params, *lifted], body, main.ret_ty, main.is_pure), arrays


def _check_bindings(main: Any) -> None:
    import tvm

    for binding in _bindings(main):
        call = binding.value
        if isinstance(call, tvm.relax.Call) and call.op != tvm.ir.Op.get("relax.call_tir"):
            name = getattr(call.op, "name", type(call.op).__name__)
            raise InputError(f"TVM has no loops for {name}; export the network without it")


def _check(function: Any) -> None:
    """Raises InputError unless arguments are float32 of fixed shape and no library is called."""
    import tvm

    for argument in function.params:
        if str(argument.dtype) != "float32":
            raise InputError(f"it takes or gives {argument.dtype}; float32 is supported")
        if not all(isinstance(extent, tvm.tirx.IntImm) for extent in argument.shape):
            raise InputError("its shape is not fixed")


def _check_calls(text: str) -> None:
    """Raises InputError for a function, as JSON, that calls what a board does not have."""
    for name in _LIBRARY_CALLS:
        if f'"{name}"' in text:
            raise InputError("TVM calls its runtime library for it, which a board does not have")


_LIBRARY_CALLS = ("tirx.tvm_call_packed", "tirx.tvm_call_cpacked", "tirx.call_extern")
