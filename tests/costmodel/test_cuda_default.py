"""Kernels that TVM's own rule schedules for GPUs: numbers of the definition, and machine code."""

import numpy as np
import pytest
import tvm
from cuda_drawing import make_gpu
from drawing import make_target

from costmodel.cuda.assemble import assemble
from costmodel.errors import InputError
from costmodel.kernels import ChannelsKernel, LayoutKernel
from costmodel.loopnest import LoopKind
from costmodel.lowering import compile_module, lower
from costmodel.schedules.cuda_default import definition
from costmodel.schedules.registry import points

GPU = make_gpu("sm_61")
SIZE = {"height": 4, "width": 5}


def shuffled(x):
    return x.reshape(3, 2, 4, 5).swapaxes(0, 1).reshape(6, 4, 5)


CASES = [
    pytest.param(
        ChannelsKernel(**SIZE, sources=((3, 3), (1, 1), (5, 5))),
        lambda *xs: np.concatenate(xs),
        id="concat",
    ),
    pytest.param(ChannelsKernel(**SIZE, sources=((6, 6),), groups=3), shuffled, id="shuffle"),
    pytest.param(LayoutKernel(**SIZE, channels=6, stride=6, planar=True), lambda x: x, id="layout"),
]


def shapes(kernel):
    (schedule,) = points(kernel, GPU)
    lowered = lower(kernel, schedule, GPU)
    return tuple(
        tuple(int(extent) for extent in buffer.shape) for buffer in lowered.module["main"].params
    )


@pytest.mark.parametrize(("kernel", "expected"), CASES)
def test_the_definition_computes_what_numpy_does(kernel, expected):
    *inputs, output = shapes(kernel)
    generator = np.random.default_rng(0)
    arrays = [generator.standard_normal(shape, dtype=np.float32) for shape in inputs]
    function = definition(kernel, (*inputs, output)).with_attr("global_symbol", "main")
    compiled = compile_module(tvm.IRModule({"main": function}), make_target())
    found = tvm.runtime.tensor(np.empty(output, np.float32))
    compiled["main"](*(tvm.runtime.tensor(a) for a in arrays), found)
    assert np.allclose(found.numpy(), expected(*arrays), atol=1e-6)


@pytest.mark.parametrize(("kernel", "_"), CASES)
def test_every_loop_is_shared_out_to_threads(kernel, _):
    (schedule,) = points(kernel, GPU)
    for statement in lower(kernel, schedule, GPU).nest.statements:
        assert any(loop.kind is LoopKind.THREAD for loop in statement.loops)


@pytest.mark.parametrize(("kernel", "_"), CASES)
@pytest.mark.parametrize("arch", ["sm_53", "sm_90"])
def test_it_assembles(kernel, _, arch):
    gpu = make_gpu(arch)
    (schedule,) = points(kernel, gpu)
    try:
        assembly = assemble(lower(kernel, schedule, gpu).module, gpu)
    except InputError as error:
        if "ponas[cuda]" not in str(error):
            raise
        pytest.skip(str(error))
    assert all(usage.spill_store_bytes == 0 for usage in assembly.kernels)
    assert assembly.cubin
