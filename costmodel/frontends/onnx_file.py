"""A network and its weights from an ONNX file."""

from __future__ import annotations

import io
import warnings
from collections import Counter
from collections.abc import Hashable, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from costmodel.errors import InputError
from costmodel.frontends.assembly import Assembly, Value, network_shape
from costmodel.frontends.importer import Importer, Region, TensorType, first_line
from costmodel.frontends.onnx_check import Declared, read_model, shapes
from costmodel.frontends.onnx_operators import LAYOUT, take
from costmodel.frontends.relax_graph import Lowered, lower_module
from costmodel.network import Network, Weights
from costmodel.operators import Shape

if TYPE_CHECKING:
    import onnx

_CONTROL_FLOW = frozenset({"If", "Loop", "Scan", "SequenceMap"})
_RANDOM = frozenset({"Multinomial", "Bernoulli"})
_KEY_BYTES = 64 * 1024
"""Regions with more constants than this are not compared with others: they are never equal."""


def from_onnx(path: Path | str) -> tuple[Network, Weights]:
    """The network in an ONNX file, and its weights.

    Nodes have the names of the file's nodes, ``/features/0/Conv`` as ``features.0.Conv``.

    Raises InputError, in one line that names the node where there is one, for a file that is not
    whole and right (see `read_model`) and for anything that is not a feed-forward float32 network
    of one input, one output, batch one and fixed shapes.
    """
    model = read_model(path)
    importer = OnnxImporter(model)
    if len(model.graph.output) != 1:
        names = ", ".join(output.name for output in model.graph.output)
        raise InputError(f"'{path}' has the outputs {names}; export a network, which has one")
    return importer.run(model.graph.output[0].name)


class OnnxImporter(Importer["onnx.NodeProto"]):
    """The graph of an ONNX model."""

    def __init__(self, model: onnx.ModelProto) -> None:
        from onnx import numpy_helper

        self._model = model
        self._types = shapes(model)
        self._known_at_inference = 0
        given = {tensor.name for tensor in model.graph.initializer}
        inputs = [value.name for value in model.graph.input if value.name not in given]
        if len(inputs) != 1:
            found = f"the inputs {', '.join(inputs)}" if inputs else "no input"
            raise InputError(f"the model has {found}; export a network, which has one")
        super().__init__(Assembly(self._input_shape(inputs[0])))
        self.values[inputs[0]] = self.assembly.input
        try:
            for tensor in model.graph.initializer:
                self.constants[tensor.name] = numpy_helper.to_array(tensor)
        except Exception as error:
            raise InputError(
                f"the weight '{tensor.name}' cannot be read: {first_line(error)}"
            ) from None
        self._names = _names(model.graph.node)

    @property
    def opset(self) -> int:
        """Version of ONNX's own operators."""
        entries = self._model.opset_import
        return int(next(entry.version for entry in entries if entry.domain in {"", "ai.onnx"}))

    def nodes(self) -> Sequence[onnx.NodeProto]:
        return list(self._model.graph.node)

    def inputs(self, node: onnx.NodeProto) -> Sequence[str]:
        if node.op_type == "Shape":
            return []  # a fixed shape is known without the tensor
        return [name for name in node.input if name]

    def outputs(self, node: onnx.NodeProto) -> Sequence[str]:
        return [name for name in node.output if name]

    def type_of(self, tensor: str) -> TensorType | None:
        from onnx import TensorProto

        extents, kind = self._types.get(tensor, ((None,), TensorProto.UNDEFINED))
        if not _is_fixed(extents) and len(self.constants) > self._known_at_inference:
            self._infer()
            extents, kind = self._types.get(tensor, ((None,), TensorProto.UNDEFINED))
        if not _is_fixed(extents):
            raise InputError(
                f"the shape of '{tensor}' is not fixed; export without dynamic axes, batch one"
            )
        return TensorType(tuple(map(int, extents)), kind == TensorProto.FLOAT)

    def label(self, node: onnx.NodeProto) -> str:
        return f"'{self.name(node)}' ({node.op_type})"

    def name(self, node: onnx.NodeProto) -> str:
        return self._names[tuple(node.output)]

    def convert(self, node: onnx.NodeProto) -> Value | None:
        if node.op_type in _CONTROL_FLOW:
            raise InputError("control flow that depends on values is not supported")
        if node.domain not in {"", "ai.onnx"}:
            raise InputError(
                f"operators of the domain '{node.domain}' are not supported; export it with those "
                "of ONNX"
            )
        return take(self, node)

    def evaluate(self, node: onnx.NodeProto) -> dict[str, Any]:
        from onnx.reference import ReferenceEvaluator

        if node.op_type.startswith("Random") or node.op_type in _RANDOM:
            raise InputError("it draws random numbers; a network computes the same each time")
        try:
            if node.op_type == "Shape":
                found = self.type_of(node.input[0])
                given = {node.input[0]: np.zeros(found.shape if found else (), bool)}
            else:
                given = {name: self.constants[name] for name in self.inputs(node)}
            results = ReferenceEvaluator(node, opsets={"": self.opset}).run(None, given)
        except InputError:
            raise
        except Exception as error:
            raise InputError(f"it cannot be computed: {first_line(error)}") from None
        return dict(zip(node.output, results, strict=False))

    def is_layout(self, node: onnx.NodeProto) -> bool:
        return node.op_type in LAYOUT

    def region_key(self, region: Region[onnx.NodeProto]) -> Hashable | None:
        model = self._submodel(region)
        return (
            None if model.ByteSize() > _KEY_BYTES else model.SerializeToString(deterministic=True)
        )

    def lower(self, region: Region[onnx.NodeProto]) -> Lowered:
        from tvm.relax.frontend.onnx import from_onnx as to_relax

        output = self.type_of(region.output)
        shape = network_shape(output.shape if output else ())
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            module = to_relax(self._submodel(region), keep_params_in_input=False)
        return lower_module(module, len(region.leaves), shape)

    def _input_shape(self, name: str) -> Shape:
        from onnx import TensorProto

        extents, kind = self._types.get(name, ((), TensorProto.UNDEFINED))
        if kind != TensorProto.FLOAT:
            named = TensorProto.DataType.Name(kind).lower()
            raise InputError(f"the input '{name}' is {named}; float (float32) is supported")
        if not _is_fixed(extents):
            raise InputError(
                f"the input '{name}' has the shape {list(extents)}; "
                "export with fixed extents and batch one, without dynamic axes"
            )
        shape = tuple(map(int, extents))
        if len(shape) not in {2, 4}:
            raise InputError(
                f"the input '{name}' has the shape {list(shape)}; [1, C, H, W] or [1, C] is needed"
            )
        if shape[0] != 1:
            raise InputError(f"the input '{name}' has batch {shape[0]}; export with batch one")
        return shape

    def _infer(self) -> None:
        """Infers shapes again, now that more constants are known."""
        import onnx

        self._known_at_inference = len(self.constants)
        model = onnx.ModelProto()
        model.CopyFrom(self._model)
        del model.graph.initializer[:]
        model.graph.initializer.extend(_tensors(self.constants))
        known = [n for n in model.graph.node if not self._is_known(n)]
        del model.graph.node[:]
        model.graph.node.extend(known)
        self._types |= shapes(onnx.shape_inference.infer_shapes(model, data_prop=True))

    def _is_known(self, node: onnx.NodeProto) -> bool:
        return all(name in self.constants for name in self.outputs(node))

    def _submodel(self, region: Region[onnx.NodeProto]) -> onnx.ModelProto:
        """The region as a model of its own, its tensors named by their order."""
        from onnx import TensorProto, helper

        names: dict[str, str] = {}
        inputs, nodes = [], []
        for i, (name, argument, shape) in enumerate(self.leaf_shapes(region)):
            names[name] = f"v{i}"
            inputs.append(helper.make_tensor_value_info(f"v{i}", TensorProto.FLOAT, argument))
            if argument != shape:
                names[name] = f"v{i}s"
                self_shape = helper.make_tensor(f"s{i}", TensorProto.INT64, [len(shape)], shape)
                nodes.append(helper.make_node("Constant", [], [f"s{i}"], value=self_shape))
                nodes.append(helper.make_node("Reshape", [f"v{i}", f"s{i}"], [f"v{i}s"]))
        constants: dict[str, Any] = {}
        for node in region.nodes:
            copied = type(node)()
            copied.CopyFrom(node)
            for name in (*node.input, *node.output):
                if name and name not in names:
                    names[name] = f"t{len(names)}"
                    if name in self.constants:
                        constants[names[name]] = self.constants[name]
            del copied.input[:], copied.output[:]
            copied.input.extend(names[name] if name else "" for name in node.input)
            copied.output.extend(names[name] if name else "" for name in node.output)
            copied.name = ""
            copied.doc_string = ""
            nodes.append(copied)
        found = self.type_of(region.output)
        output = helper.make_tensor_value_info(
            names[region.output], TensorProto.FLOAT, found.shape if found else None
        )
        graph = helper.make_graph(nodes, "region", inputs, [output], _tensors(constants))
        return helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", self.opset)],
            ir_version=self._model.ir_version,
        )  # fmt: skip


def _names(nodes: Sequence[onnx.NodeProto]) -> dict[tuple[str, ...], str]:
    """A name for each node, known by its outputs: its own, or its output's where it has none."""
    names: dict[tuple[str, ...], str] = {}
    taken: Counter[str] = Counter()
    for node in nodes:
        name = (node.name or node.output[0]).strip("/").replace("/", ".").replace(":", "_")
        taken[name] += 1
        names[tuple(node.output)] = name if taken[name] == 1 else f"{name}_{taken[name] - 1}"
    return names


def _tensors(constants: dict[str, Any]) -> list[onnx.TensorProto]:
    from onnx import numpy_helper

    return [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]


def _is_fixed(extents: Declared) -> bool:
    return all(isinstance(extent, int) and extent >= 1 for extent in extents)
