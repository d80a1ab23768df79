"""One ATen operation with its arguments by name, as values and constants of the import."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import fx

from costmodel.frontends.assembly import NO_PADDING, Array, Operand, Value
from costmodel.operators import Padding

if TYPE_CHECKING:
    from costmodel.frontends.torch_export import TorchImporter

LAYOUT = {"view", "reshape", "_unsafe_view", "permute", "transpose", "contiguous", "clone", "pad",
          "constant_pad_nd", "flatten", "unflatten", "squeeze", "unsqueeze"}  # fmt: skip
"""Operations that only move numbers."""


def operator_name(node: fx.Node) -> str:
    """``relu`` of ``aten.relu_.default``: the in-place form is the same (see torch_aliases)."""
    if isinstance(node.target, torch._ops.OpOverload):
        return node.target._opname.removesuffix("_")
    return str(getattr(node.target, "__name__", node.target))


class Call:
    """One operation with its arguments by name, and where its value goes."""

    def __init__(self, importer: TorchImporter, node: fx.Node) -> None:
        self.importer = importer
        self.node = node
        self.build = importer.assembly
        self.name = importer.name(node)
        self._given = arguments(node)

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401 - torch gives anything
        """An argument as it is in the graph."""
        return self._given.get(name)

    def value(self, name: str = "self") -> Value | None:
        """An argument that the network computes."""
        found = self[name]
        return self.importer.value(found.name) if isinstance(found, fx.Node) else None

    def array(self, name: str) -> Array | None:
        """An argument that is known: a weight or a number."""
        found = self[name]
        if isinstance(found, fx.Node):
            found = self.importer.constants.get(found.name)
        if found is None or isinstance(found, str):
            return None
        return np.asarray(found, np.float32)

    def operand(self, name: str = "self") -> Operand:
        """An argument that the network computes or that is known."""
        value = self.value(name)
        return self.array(name) if value is None else value

    def padded(self) -> tuple[Value | None, Padding]:
        """The input before zeros were put around it, and the zeros."""
        found = self["input"] if self["input"] is not None else self["self"]
        importer = self.importer
        if importer.is_deferred(found.name):
            pad = importer.producers.get(found.name)
            zeros = _zeros_around(pad) if pad is not None else None
            if pad is not None and zeros is not None:
                source = importer.values.get(pad.all_input_nodes[0].name)
                if source is not None:
                    return source, zeros
        return importer.value(found.name), NO_PADDING

    def flag(self, name: str) -> bool:
        """A switch that is off where it is not given."""
        return bool(self[name])


def arguments(node: fx.Node) -> dict[str, Any]:
    """What an operation is given, by the names of its schema; a plain function has none."""
    if not isinstance(node.target, torch._ops.OpOverload):
        return {}
    schema = node.target._schema.arguments
    found = {argument.name: argument.default_value for argument in schema}
    found.update(zip((argument.name for argument in schema), node.args, strict=False))
    found.update(node.kwargs)
    return found


def pair(given: Sequence[int] | int | None, default: tuple[int, int] = (1, 1)) -> tuple[int, int]:
    """One number for rows and columns, or one each."""
    if given is None or (isinstance(given, Sequence) and not given):
        return default
    if isinstance(given, int):
        return given, given
    return int(given[0]), int(given[-1])


def around(both: tuple[int, int]) -> Padding:
    """The same padding before and after."""
    return both[0], both[1], both[0], both[1]


def _zeros_around(node: fx.Node) -> Padding | None:
    """Zeros that a pad adds to rows and columns; None for another sort of pad."""
    if operator_name(node) not in {"pad", "constant_pad_nd"}:
        return None
    given = arguments(node)
    pad = [*given["pad"], 0, 0, 0, 0][:4] if len(given["pad"]) <= 4 else None
    plain = given.get("mode", "constant") == "constant" and not given.get("value")
    if pad is None or not plain or min(pad) < 0:
        return None
    left, right, top, bottom = pad
    return top, left, bottom, right
