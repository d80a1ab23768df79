"""One ONNX node with its attributes by name, and its inputs as values and constants."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from costmodel.errors import InputError
from costmodel.frontends.assembly import NO_PADDING, Array, Operand, Value
from costmodel.operators import Padding, same_padding

if TYPE_CHECKING:
    import onnx

    from costmodel.frontends.onnx_file import OnnxImporter


class Call:
    """One node with its attributes by name, and its inputs as values and constants."""

    def __init__(self, importer: OnnxImporter, node: onnx.NodeProto) -> None:
        from onnx import helper

        self.importer = importer
        self.node = node
        self.build = importer.assembly
        self.name = importer.name(node)
        self.attributes: dict[str, Any] = {
            entry.name: helper.get_attribute_value(entry) for entry in node.attribute
        }

    def tensor(self, index: int) -> str | None:
        """Name of an input; None where it is left out."""
        given = self.node.input
        return given[index] if index < len(given) and given[index] else None

    def value(self, index: int = 0) -> Value | None:
        """An input that the network computes."""
        name = self.tensor(index)
        return None if name is None else self.importer.value(name)

    def array(self, index: int) -> Array | None:
        """An input that is known: a float32 array."""
        found = self.importer.constants.get(self.tensor(index) or "")
        if found is not None and found.dtype != np.float32:
            raise InputError(
                f"its input '{self.tensor(index)}' is {found.dtype}; float32 weights are supported"
            )
        return None if found is None else np.asarray(found, np.float32)

    def integers(self, attribute: str, index: int) -> list[int] | None:
        """Whole numbers that older opsets have as an attribute, newer ones as an input."""
        if attribute in self.attributes:
            return [int(n) for n in self.attributes[attribute]]
        found = self.importer.constants.get(self.tensor(index) or "")
        return None if found is None else [int(n) for n in np.ravel(found)]

    def operand(self, index: int) -> Operand:
        """An input that the network computes or that is known."""
        value = self.value(index)
        return self.array(index) if value is None else value

    def pair(self, attribute: str) -> tuple[int, int]:
        """Rows and columns; (1, 1) where it is left out."""
        first, second = self.attributes.get(attribute, (1, 1))
        return int(first), int(second)

    def padded(self) -> tuple[Value | None, Padding]:
        """The input before zeros were put around it, and the zeros."""
        importer, name = self.importer, self.node.input[0]
        if importer.is_deferred(name):
            pad = Call(importer, importer.producers[name])
            zeros = _zeros_around(pad)
            source = importer.values.get(pad.node.input[0])
            if zeros is not None and source is not None:
                return source, zeros
        return importer.value(name), NO_PADDING

    def padding(
        self, size: tuple[int, int], window: tuple[int, int], stride: tuple[int, int]
    ) -> Padding:
        """Zeros that the operator adds: said, or 'same' as ``auto_pad`` has it."""
        automatic = self.attributes.get("auto_pad", b"NOTSET").decode()
        if automatic == "NOTSET":
            top, left, bottom, right = self.attributes.get("pads", NO_PADDING)
            return top, left, bottom, right
        if automatic == "VALID":
            return NO_PADDING
        top, left, bottom, right = same_padding(size, window, stride)
        if automatic == "SAME_LOWER":
            return bottom, right, top, left
        return top, left, bottom, right


def _zeros_around(call: Call) -> Padding | None:
    """Zeros that a Pad adds to rows and columns; None for another node or another sort of pad."""
    pads = call.integers("pads", 1) if call.node.op_type == "Pad" else None
    mode = call.attributes.get("mode", b"constant")
    filler = call.attributes.get("value", 0)
    if call.tensor(2) is not None:
        filler = call.importer.constants.get(call.tensor(2) or "", 1)
    if pads is None or len(pads) != 8 or mode != b"constant" or call.tensor(3) is not None:
        return None
    moves = [*pads[:2], *pads[4:6]]
    if any(moves) or min(pads) < 0 or np.any(filler):
        return None
    return pads[2], pads[3], pads[6], pads[7]
