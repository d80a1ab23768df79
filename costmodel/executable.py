"""Compiled kernels and networks on this machine: run them, time them."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import tvm

from costmodel.errors import InputError
from costmodel.kernels import Array
from costmodel.lowering import LoweredKernel, compile_module
from costmodel.network import Network, Weights
from costmodel.operators import Shape
from costmodel.program import Program, assemble, constants
from costmodel.protocol import STABLE, WARM_UPS, Protocol
from costmodel.schedules.registry import family_of
from costmodel.target import CpuTarget, Target

_ONE_CORE_PER_THREAD = -2
"""TVM's `ThreadGroup::AffinityMode::kSpecifyOneCorePerThread`."""


class Executable:
    """A compiled function with its arguments in place."""

    def __init__(
        self,
        module: Any,  # noqa: ANN401 - TVM has no types
        arguments: list[Array],
        output_shape: Shape,
        cores: int = 1,
    ) -> None:
        self.cores = cores
        self._module = module
        self._main = module["main"]
        self._device = tvm.cpu()
        self._arguments = [tvm.runtime.tensor(np.ascontiguousarray(a)) for a in arguments]
        # The same memory seen by NumPy: TVM's own copies take longer than a small network.
        self._input: Array = np.asarray(np.from_dlpack(self._arguments[0]), np.float32)
        self._output: Array = np.asarray(np.from_dlpack(self._arguments[-1]), np.float32)
        self._output_shape = output_shape

    @staticmethod
    def of_kernel(lowered: LoweredKernel, seed: int = 0) -> Executable:
        """One kernel on random data."""
        family = family_of(lowered.schedule)
        shapes = family.shapes(lowered.kernel, lowered.schedule, lowered.target)
        return Executable(
            compile_module(lowered.module, lowered.target),
            _random(shapes, seed),
            shapes[-1],
            _cores(lowered.target),
        )

    @staticmethod
    def of_program(
        program: Program, network: Network | None = None, weights: Weights | None = None
    ) -> Executable:
        """A whole network; with ``network`` and ``weights`` it computes, else it is for timing."""
        workspace: Shape = (max(program.arena().elements, 1),)
        if network is not None and weights is not None:
            packed = constants(program, network, weights)
            shape = network.shape(network.output)
        else:
            packed = _random(
                [s for i in range(len(program.steps)) for s in program.constant_shapes(i)], 0
            )
            shape = program.output_shape
        edges = _random([program.input_shape, workspace, program.output_shape], 1)
        module = compile_module(assemble(program), program.target)
        arguments = [edges[0], *packed, *edges[1:]]
        return Executable(module, arguments, shape, _cores(program.target))

    def run(self, x: Array) -> Array:
        """Output for an input ``[H, W, C]``, channels without padding, extents of one dropped."""
        if x.shape != self._input.shape:
            raise InputError(
                f"this network takes an input of shape {self._input.shape}, got {x.shape}"
            )
        np.copyto(self._input, x)
        self._main(*self._arguments)
        *size, channels = self._output_shape
        output: Array = self._output.reshape(*size, -1)[..., :channels].squeeze().copy()
        return output

    def time(self, protocol: Protocol) -> tuple[float, ...]:
        """Seconds of one run: the samples of one round, after a warm-up that is not counted."""
        for _ in range(WARM_UPS if protocol.warm_up_ms else 0):
            first, second = self._samples(2, protocol.warm_up_ms / 2, protocol.flush_kb)
            if abs(first - second) <= STABLE * min(first, second):
                break
        return self._samples(protocol.samples, protocol.min_repeat_ms, protocol.flush_kb)

    def _samples(self, count: int, min_repeat_ms: float, flush_kb: int) -> tuple[float, ...]:
        evaluator = self._module.time_evaluator(
            "main",
            self._device,
            number=1,
            repeat=count,
            min_repeat_ms=math.ceil(min_repeat_ms),
            cache_flush_bytes=flush_kb * 1024,
        )
        return tuple(float(sample) for sample in evaluator(*self._arguments).results)


def run_on(cores: Sequence[int]) -> None:
    """Keeps this process to ``cores`` and has kernels for several use a thread on each.

    TVM's own choice is half the cores that an x86 machine shows. Without ``cores``, or where the
    system does not pin, nothing changes.
    """
    if not cores or not hasattr(os, "sched_setaffinity"):
        return
    try:
        os.sched_setaffinity(0, cores)
    except OSError:
        allowed = ", ".join(map(str, sorted(os.sched_getaffinity(0))))
        wanted = ", ".join(map(str, cores))
        raise InputError(
            f"there is no processor {wanted} for this process, which may use {allowed}; give some "
            "of these with --cpus, or: --cpus any"
        ) from None
    if len(cores) > 1:
        configure = tvm.get_global_func("runtime.config_threadpool")
        configure(_ONE_CORE_PER_THREAD, len(cores), [str(core) for core in cores])


def _cores(target: Target) -> int:
    return target.cores if isinstance(target, CpuTarget) else 1


def _random(shapes: Iterable[Shape], seed: int) -> list[Array]:
    generator = np.random.default_rng(seed)
    return [generator.standard_normal(shape, dtype=np.float32) for shape in shapes]
