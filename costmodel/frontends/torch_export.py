"""A network and its weights from a ``torch.nn.Module``, through ``torch.export``."""

from __future__ import annotations

import copy
import inspect
import io
import logging
import warnings
from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import torch
from torch import fx
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind, OutputKind

from costmodel.errors import InputError
from costmodel.frontends.assembly import Assembly, Value, network_shape
from costmodel.frontends.importer import SUPPORTED, Importer, Region, TensorType, first_line
from costmodel.frontends.relax_graph import Lowered, lower_module
from costmodel.frontends.torch_aliases import drop_dropout, has_visible_mutation
from costmodel.frontends.torch_call import LAYOUT, arguments, operator_name
from costmodel.frontends.torch_operators import take
from costmodel.network import Network, Weights
from costmodel.operators import Shape


def from_torch(
    module: torch.nn.Module, example: Sequence[int] | torch.Tensor
) -> tuple[Network, Weights]:
    """The network that ``module`` computes in evaluation mode, and its weights.

    ``example`` is an input, or the shape of one: (1, C, H, W) or (1, C). The module is copied,
    never changed. Nodes are named after the submodule that computes them (``features.0.conv``),
    or after the operation (``features.0.add``).

    Raises InputError, in one line that names the node where there is one, for anything that is
    not a feed-forward float32 network of one input, one output, batch one and fixed shapes.
    """
    given = _example(example)
    if not isinstance(module, torch.nn.Module):
        raise InputError(
            f"a torch.nn.Module is needed, got {type(module).__name__}; for a file, load it first"
        )
    program = _export(_copy(module), given)
    importer = TorchImporter(program, tuple(given.shape))
    return importer.run(importer.output)


def from_exported_file(path: Path) -> tuple[Network, Weights]:
    """The network of a model that ``torch.export.save`` wrote; see `from_torch`.

    Raises InputError also where there is no such file, or it is none of these.
    """
    if path.is_dir():
        raise InputError(f"'{path}' is a folder; give a file that torch.export.save wrote")
    if not path.is_file():
        raise InputError(f"there is no file '{path}'; correct the path of the exported model")
    try:
        with _quiet():
            program = torch.export.load(path)
            if has_visible_mutation(program.graph):
                drop_dropout(program)
                program = program.run_decompositions({})
    except Exception:
        raise InputError(
            f"'{path}' is not a model that torch.export.save wrote and torch {torch.__version__} "
            "reads: it may be truncated, of another version, or saved by torch.save; save it with: "
            "torch.export.save(torch.export.export(model, (example,)), path)"
        ) from None
    importer = TorchImporter(program, _input_shape(program, path))
    return importer.run(importer.output)


def _input_shape(program: ExportedProgram, path: Path) -> Shape:
    """The shape of the one input of an exported program."""
    inputs = program.graph_signature.user_inputs
    if len(inputs) != 1:
        raise InputError(f"{path} has {len(inputs)} inputs; a network has one")
    (node,) = (node for node in program.graph.nodes if node.name == inputs[0])
    given = node.meta.get("val")
    shape = tuple(getattr(given, "shape", ()))
    if getattr(given, "dtype", torch.float32) != torch.float32:
        raise InputError(
            f"input '{node.name}' of '{path}' is {given.dtype}; export the model in torch.float32"
        )
    if not all(isinstance(extent, int) for extent in shape):
        raise InputError(
            f"input '{node.name}' of {path} has the dynamic shape "
            f"({', '.join(map(str, shape))}); export the model with fixed extents"
        )
    return tuple(_example(shape).shape)


def _example(example: Sequence[int] | torch.Tensor) -> torch.Tensor:
    shape = tuple(example.shape if isinstance(example, torch.Tensor) else example)
    if not all(isinstance(n, int) and n >= 1 for n in shape):
        raise InputError(f"an input shape has positive whole extents, got {shape}")
    if len(shape) not in {2, 4}:
        raise InputError(f"an input has the shape (1, C, H, W) or (1, C), got {shape}")
    if shape[0] != 1:
        raise InputError(f"batch {shape[0]} in {shape}; give an input of batch one")
    if not isinstance(example, torch.Tensor):
        return torch.zeros(shape)
    if example.dtype != torch.float32:
        raise InputError(f"the input is {example.dtype}; float32 is supported")
    return example.detach().cpu()


def _copy(module: torch.nn.Module) -> torch.nn.Module:
    for name, tensor in (*module.named_parameters(), *module.named_buffers()):
        if tensor.is_floating_point() and tensor.dtype != torch.float32:
            raise InputError(f"'{name}' is {tensor.dtype}; call .float() on the module first")
    try:
        return copy.deepcopy(module).cpu().eval()
    except Exception as error:
        raise InputError(f"the module cannot be copied: {first_line(error)}") from None


def _export(module: torch.nn.Module, example: torch.Tensor) -> ExportedProgram:
    try:
        inspect.signature(module.forward).bind(example)
    except TypeError:
        raise InputError(
            f"forward{inspect.signature(module.forward)} does not take one tensor; "
            "a network has one input"
        ) from None
    try:
        with _quiet():
            program = torch.export.export(module, (example,), strict=False)
            if has_visible_mutation(program.graph):
                drop_dropout(program)
                program = program.run_decompositions({})
    except Exception as error:
        raise InputError(
            f"torch.export cannot trace the module on {tuple(example.shape)}: {_reason(error)}; "
            "control flow may depend on shapes, not on values"
        ) from None
    return program


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {first_line(error)}"


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence: torch and TVM warn about their own code, log and print to standard output."""
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(logging.NOTSET)


def _names(graph: fx.Graph) -> dict[fx.Node, str]:
    """The path of the layer that a node comes from, or path and operation for a function's."""
    names: dict[fx.Node, str] = {}
    taken: Counter[str] = Counter()
    for node in graph.nodes:
        stack = list((node.meta.get("nn_module_stack") or {}).values())
        path, kind = stack[-1] if stack else ("", "")
        is_layer = path and str(kind).startswith("torch.nn.modules.")
        name = str(path) if is_layer else f"{path}.{operator_name(node)}".removeprefix(".")
        taken[name] += 1
        names[node] = name if taken[name] == 1 else f"{name}_{taken[name] - 1}"
    return names


class TorchImporter(Importer[fx.Node]):
    """The graph of an exported program; tensors are known by the names of their fx nodes."""

    def __init__(self, program: ExportedProgram, input_shape: Shape) -> None:
        super().__init__(Assembly(input_shape))
        self._program = program
        self._nodes = {node.name: node for node in program.graph.nodes}
        self._names: dict[fx.Node, str] = _names(program.graph)
        self.output = self._place_inputs_and_output()

    def _place_inputs_and_output(self) -> str:
        program = self._program
        held = {**program.state_dict, **program.constants}
        for spec in program.graph_signature.input_specs:
            if spec.kind == InputKind.USER_INPUT:
                self.values[spec.arg.name] = self.assembly.input
            elif spec.target is not None and spec.target in held:
                self.constants[spec.arg.name] = held[spec.target].detach()
        outputs = [
            spec.arg.name
            for spec in program.graph_signature.output_specs
            if spec.kind == OutputKind.USER_OUTPUT
        ]
        if len(outputs) != 1:
            raise InputError(f"the module gives {len(outputs)} tensors; a network has one output")
        return str(outputs[0])

    def nodes(self) -> Sequence[fx.Node]:
        return [n for n in self._program.graph.nodes if n.op in {"call_function", "get_attr"}]

    def inputs(self, node: fx.Node) -> Sequence[str]:
        return [read.name for read in node.all_input_nodes]

    def outputs(self, node: fx.Node) -> Sequence[str]:
        return [node.name]

    def type_of(self, tensor: str) -> TensorType | None:
        found = self._nodes[tensor].meta.get("val")
        if not isinstance(found, torch.Tensor):
            return None
        if not all(isinstance(extent, int) for extent in found.shape):
            raise InputError(f"its shape {list(found.shape)} depends on values; it must be fixed")
        return TensorType(tuple(found.shape), found.dtype == torch.float32)

    def label(self, node: fx.Node) -> str:
        return f"'{self.name(node)}' ({operator_name(node)})"

    def name(self, node: fx.Node) -> str:
        return self._names[node]

    def convert(self, node: fx.Node) -> Value | None:
        return take(self, node)

    def evaluate(self, node: fx.Node) -> dict[str, Any]:
        target = node.target
        if node.op == "get_attr":
            return {node.name: getattr(self._program.graph_module, str(target))}
        if not callable(target):
            raise InputError("it is no function")
        if torch.Tag.nondeterministic_seeded in getattr(target, "tags", ()):
            raise InputError("it draws random numbers; a network computes the same each time")
        args = fx.node.map_arg(node.args, lambda read: self.constants[read.name])
        kwargs = fx.node.map_arg(node.kwargs, lambda read: self.constants[read.name])
        try:
            with torch.no_grad():
                return {node.name: target(*args, **kwargs)}
        except Exception as error:
            raise InputError(f"it cannot be computed: {_reason(error)}") from None

    def is_layout(self, node: fx.Node) -> bool:
        return operator_name(node) in LAYOUT

    def region_key(self, region: Region[fx.Node]) -> Hashable | None:
        if any(name in self.constants for node in region.nodes for name in self.inputs(node)):
            return None
        place = {name: f"v{i}" for i, name in enumerate(region.leaves)}
        place.update({node.name: f"n{i}" for i, node in enumerate(region.nodes)})
        calls = [
            str((node.target, *fx.node.map_arg((node.args, node.kwargs), lambda n: place[n.name])))
            for node in region.nodes
        ]
        return tuple(calls), tuple(self.leaf_shapes_of(region))

    def leaf_shapes_of(self, region: Region[fx.Node]) -> Iterator[tuple[Shape, Shape]]:
        """Shape of each leaf as an argument, and in torch."""
        return ((argument, shape) for _, argument, shape in self.leaf_shapes(region))

    def lower(self, region: Region[fx.Node]) -> Lowered:
        from tvm.relax.frontend.torch import from_exported_program

        module, example = self._submodule(region)
        output = self.type_of(region.output)
        if output is None:
            raise InputError(f"it gives several tensors; supported are {SUPPORTED}")
        with _quiet():
            program = torch.export.export(module, example, strict=False)
            relax_module = from_exported_program(
                program, unwrap_unit_return_tuple=True,
                custom_convert_map={"amax.default": _extreme, "amin.default": _extreme},
            )  # fmt: skip
        return lower_module(relax_module, len(region.leaves), network_shape(output.shape))

    def _submodule(
        self, region: Region[fx.Node]
    ) -> tuple[fx.GraphModule, tuple[torch.Tensor, ...]]:
        """The region as a module of its own, and an example of what it takes."""
        root, graph = torch.nn.Module(), fx.Graph()
        copies: dict[str, fx.Node] = {}
        example: list[torch.Tensor] = []
        for i, (name, argument, _) in enumerate(self.leaf_shapes(region)):
            copies[name] = graph.placeholder(f"v{i}")
            example.append(torch.zeros(argument))
        for name, argument, shape in self.leaf_shapes(region):
            if argument != shape:
                view = torch.ops.aten.view.default
                copies[name] = graph.call_function(view, (copies[name], list(shape)))

        def copied(read: fx.Node) -> fx.Node:
            if read.name not in copies:
                attribute = f"c{len(copies)}"
                root.register_buffer(attribute, self.constants[read.name])
                copies[read.name] = graph.get_attr(attribute)
            return copies[read.name]

        for node in region.nodes:
            copies[node.name] = graph.node_copy(node, copied)
        graph.output(copies[region.output])
        return fx.GraphModule(root, graph), tuple(example)


def _extreme(node: fx.Node, translator: Any) -> Any:  # noqa: ANN401 - TVM has no types
    """Largest or smallest along axes, which TVM's frontend leaves out."""
    from tvm import relax

    given = arguments(node)
    operation = relax.op.max if operator_name(node) == "amax" else relax.op.min
    source, axes = translator.env[given["self"]], given["dim"] or None
    return translator.block_builder.emit(operation(source, axes, given["keepdim"]))
