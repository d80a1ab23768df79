"""A whole network as one TVM module: its kernels, and a ``main`` that calls them in turn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import tvm
from tvm import tirx

from costmodel.folding import fold
from costmodel.kernels import Array
from costmodel.lowering import lower
from costmodel.memory import Arena, plan_arena
from costmodel.network import Network, Weights
from costmodel.operators import Shape
from costmodel.partition import Step
from costmodel.schedules.family import Schedule
from costmodel.schedules.registry import family_of
from costmodel.target import FLOAT_BYTES, Target


@dataclass(frozen=True)
class Program:
    """A network ready to be assembled: every kernel with its schedule."""

    steps: tuple[Step, ...]
    schedules: tuple[Schedule, ...]
    input_shape: Shape
    target: Target

    def shapes(self, index: int) -> tuple[Shape, ...]:
        """Argument shapes of step ``index``: values read, constants, output."""
        schedule = self.schedules[index]
        return family_of(schedule).shapes(self.steps[index].kernel, schedule, self.target)

    def constant_shapes(self, index: int) -> tuple[Shape, ...]:
        """Those of the constants alone."""
        return self.shapes(index)[self.steps[index].kernel.inputs : -1]

    @property
    def output_shape(self) -> Shape:
        """Shape of the last kernel's output, channels padded."""
        return self.shapes(len(self.steps) - 1)[-1]

    def arena(self) -> Arena:
        """Where each value between two kernels lies, reusing what is dead."""
        sizes = {
            step.output: int(np.prod(self.shapes(i)[-1])) for i, step in enumerate(self.steps[:-1])
        }
        reads = [step.sources for step in self.steps]
        return plan_arena([step.output for step in self.steps], reads, sizes)

    def peak_memory_bytes(self) -> int:
        """Weights, activations between kernels, input and output, and the largest scratch."""
        constants = sum(
            int(np.prod(shape)) for i in range(len(self.steps)) for shape in self.constant_shapes(i)
        )
        edges = int(np.prod(self.input_shape)) + int(np.prod(self.output_shape))
        scratch = max(
            family_of(schedule).scratch_elements(step.kernel, schedule, self.target)
            for step, schedule in zip(self.steps, self.schedules, strict=True)
        )
        return FLOAT_BYTES * (constants + edges + self.arena().elements + scratch)


def assemble(program: Program) -> tvm.IRModule:
    """Module whose ``main`` takes input, constants of each step in order, workspace, output."""
    functions: dict[str, tvm.tirx.PrimFunc] = {}
    names: dict[tuple[str, Schedule], str] = {}
    for step, schedule in zip(program.steps, program.schedules, strict=True):
        identity = (step.kernel.key, schedule)
        if identity not in names:
            names[identity] = name = f"kernel{len(names)}"
            lowered = lower(step.kernel, schedule, program.target)
            functions[name] = lowered.module["main"].with_attr("global_symbol", name)
    called = [
        names[step.kernel.key, schedule]
        for step, schedule in zip(program.steps, program.schedules, strict=True)
    ]
    functions["main"] = _main(program, called)
    return tvm.IRModule(functions)


def constants(program: Program, network: Network, weights: Weights) -> list[Array]:
    """The arrays that ``main`` takes between input and workspace, packed for each schedule."""
    packed: list[Array] = []
    for step, schedule in zip(program.steps, program.schedules, strict=True):
        folded = fold(network, step, weights)
        packed += family_of(schedule).pack(step.kernel, schedule, program.target, folded)
    return packed


def _main(program: Program, called: list[str]) -> tvm.tirx.PrimFunc:
    arena = program.arena()
    source = tirx.decl_buffer(program.input_shape, "float32", "x")
    workspace = tirx.decl_buffer((max(arena.elements, 1),), "float32", "workspace")
    output = tirx.decl_buffer(program.output_shape, "float32", "out")
    parameters, calls = [source], []
    for index, step in enumerate(program.steps):
        *read_shapes, written_shape = (
            *program.shapes(index)[: step.kernel.inputs], program.shapes(index)[-1],
        )  # fmt: skip
        arrays = [
            tirx.decl_buffer(shape, "float32", f"p{index}_{j}")
            for j, shape in enumerate(program.constant_shapes(index))
        ]
        parameters += arrays
        read = [
            source if name == Network.INPUT else _slice(workspace, arena.offsets[name], shape)
            for name, shape in zip(step.sources, read_shapes, strict=True)
        ]
        last = index == len(program.steps) - 1
        written = output if last else _slice(workspace, arena.offsets[step.output], written_shape)
        calls.append(tirx.Evaluate(tirx.call_cpacked(called[index], *read, *arrays, written)))
    body = tirx.SeqStmt(calls) if len(calls) > 1 else calls[0]
    main = tirx.PrimFunc([*parameters, workspace, output], body)
    return main.with_attr("global_symbol", "main").with_attr("tirx.noalias", True)


def _slice(buffer: Any, offset: int, shape: Shape) -> Any:  # noqa: ANN401 - TVM has no types
    """A tensor descriptor for ``shape`` at ``offset`` elements into a flat buffer.

    Written out because TVM's own packing passes a byte offset, which generated kernels ignore.
    """
    integers = [tirx.IntImm("int64", extent) for extent in shape]
    pointer = tvm.ir.PointerType(tvm.ir.PrimType("int64"))
    extents = tvm.ir.Call("tirx.tvm_stack_make_shape", integers, ret_ty=pointer)
    arguments = [
        tirx.address_of(buffer[offset]),
        extents,
        tirx.const(0, "int32"),
        tirx.const(len(shape), "int32"),
        tirx.const(0, "float32"),
        tirx.const(0, "int32"),
    ]
    make_array = tvm.ir.Op.get("tirx.tvm_stack_make_array")
    return tvm.ir.Call(make_array, arguments, ret_ty="handle")
