"""An ONNX file read and checked before anything believes it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from costmodel.errors import InputError
from costmodel.frontends.importer import first_line

if TYPE_CHECKING:
    import onnx

OLDEST_OPSET = 7
"""The first with numpy's broadcasting, which everything here relies on."""

Declared = tuple[int | str | None, ...]
"""Extents of a tensor: a number, a symbol, or nothing known."""


def read_model(path: Path | str) -> onnx.ModelProto:
    """The model in an ONNX file, with the shape of every tensor that ONNX can infer.

    Raises InputError for a missing, truncated or invalid file, for an opset that is too old or too
    new, and for declared shapes that differ from what the operators give.
    """
    try:
        import onnx
    except ImportError:
        raise InputError(
            "reading ONNX files needs the package onnx; get it with: pip install 'ponas[onnx]'"
        ) from None
    path = Path(path)
    if path.is_dir():
        raise InputError(f"'{path}' is a folder; give the .onnx file in it")
    if not path.is_file():
        raise InputError(f"there is no file '{path}'; correct the path of the ONNX file")
    try:
        model = onnx.load(str(path))
        _check_opset(model, path)
        onnx.checker.check_model(model)
    except InputError:
        raise
    except Exception as error:
        raise InputError(
            f"'{path}' is no valid ONNX file ({first_line(error)}); it may be truncated, or lack "
            "the file of its weights: export it again"
        ) from None
    if len(model.functions):
        model = onnx.inliner.inline_local_functions(model)
    return _inferred(model, path)


def shapes(model: onnx.ModelProto) -> dict[str, tuple[Declared, int]]:
    """Shape and element type of each tensor that the model declares."""
    found: dict[str, tuple[Declared, int]] = {}
    for info in (*model.graph.input, *model.graph.value_info, *model.graph.output):
        tensor = info.type.tensor_type
        if tensor.HasField("shape"):
            extents = tuple(
                d.dim_value if d.HasField("dim_value") else (d.dim_param or None)
                for d in tensor.shape.dim
            )
            found[info.name] = (extents, tensor.elem_type)
    return found


def _check_opset(model: onnx.ModelProto, path: Path) -> None:
    import onnx

    newest = onnx.defs.onnx_opset_version()
    for entry in model.opset_import:
        if entry.domain in {"", "ai.onnx"} and not OLDEST_OPSET <= entry.version <= newest:
            raise InputError(
                f"'{path}' uses opset {entry.version}; {OLDEST_OPSET} to {newest} are supported: "
                "export it again with one of these"
            )


def _inferred(model: onnx.ModelProto, path: Path) -> onnx.ModelProto:
    """The model with shapes that come from its input and its operators alone."""
    import onnx

    declared = shapes(model)
    bare = onnx.ModelProto()
    bare.CopyFrom(model)
    del bare.graph.value_info[:]
    for output in bare.graph.output:
        output.type.tensor_type.ClearField("shape")
    try:
        inferred = onnx.shape_inference.infer_shapes(
            bare, check_type=True, strict_mode=True, data_prop=True
        )
    except Exception as error:
        raise InputError(
            f"'{path}' has operators that do not go together: {_detail(error)}"
        ) from None
    found = shapes(inferred)
    for name, (extents, _) in declared.items():
        actual = found.get(name, (extents, 0))[0]
        if not _agree(extents, actual):
            raise InputError(
                f"'{path}' declares the shape {list(extents)} for '{name}', "
                f"its operators give {list(actual)}; export it again"
            )
    return inferred


def _agree(declared: Declared, actual: Declared) -> bool:
    """Whether no number of one contradicts the other."""
    return len(declared) == len(actual) and all(
        a == b
        for a, b in zip(declared, actual, strict=True)
        if isinstance(a, int) and isinstance(b, int)
    )


def _detail(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return next((line for line in lines if line.startswith("(")), first_line(error))
