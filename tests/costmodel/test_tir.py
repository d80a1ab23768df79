"""Reading of hand-written functions; whole families are held to it in test_family_conformance."""

import pytest
import tvm
from tvm import te, tirx
from tvm.s_tir import Schedule

from costmodel.errors import DeviceError
from costmodel.loopnest import Access, Loop, LoopKind, Memory
from costmodel.tir import read


def module_of(*tensors, schedule=lambda _: None):
    made = Schedule(te.create_prim_func(list(tensors)).with_attr("global_symbol", "main"))
    schedule(made)
    return made.mod


def test_a_matrix_product_by_hand():
    a, b = te.placeholder((4, 6), name="a"), te.placeholder((6, 8), name="b")
    k = te.reduce_axis((0, 6), name="k")
    c = te.compute((4, 8), lambda i, j: te.sum(a[i, k] * b[k, j], axis=k), name="c")

    def tile(schedule):
        block = schedule.get_sblock("c")
        i, j, k_ = schedule.get_loops(block)
        schedule.reorder(i, k_, j)
        schedule.parallel(i)
        schedule.vectorize(j)
        schedule.decompose_reduction(block, k_)

    start, update = read(module_of(a, b, c, schedule=tile)).statements
    assert start.flops == 0
    assert update.loops == (
        Loop(4, LoopKind.PARALLEL),
        Loop(6, LoopKind.SERIAL),
        Loop(8, LoopKind.VECTORIZED),
    )
    assert update.store == Access("c", (8, 0, 1), None)
    assert update.loads == (
        Access("a", (6, 1, 0), None),
        Access("b", (0, 8, 1), None),
        Access("c", (8, 0, 1), None),
    )
    assert (update.flops, update.total_flops, update.guarded) == (2, 2 * 4 * 6 * 8, False)


def test_a_ragged_split_is_guarded():
    x = te.placeholder((10,), name="x")
    y = te.compute((10,), lambda i: x[i] + tirx.const(1, "float32"), name="y")

    def split(schedule):
        (i,) = schedule.get_loops(schedule.get_sblock("y"))
        schedule.split(i, [None, 4])

    (found,) = read(module_of(x, y, schedule=split)).statements
    assert found.guarded
    assert [loop.extent for loop in found.loops] == [3, 4]
    assert found.store.strides == (4, 1)


def test_a_stage_of_its_own_is_private_and_conditions_are_no_arithmetic():
    x = te.placeholder((4,), name="x")
    pad = te.compute(
        (6,),
        lambda i: tirx.if_then_else(tirx.all(i >= 1, i < 5), x[i - 1], tirx.const(0, "float32")),
        name="pad",
    )
    y = te.compute((5,), lambda i: tirx.max(pad[i], pad[i + 1]) * pad[i], name="y")
    padding, product = read(module_of(x, y)).statements
    assert (padding.flops, padding.store.private_depth) == (0, 0)
    assert padding.loads == (Access("x", (1,), None),)
    assert product.flops == 2
    assert all(load.private_depth == 0 for load in product.loads)


def test_what_the_reader_does_not_know_is_an_error_and_not_a_guess():
    body = tirx.Evaluate(tirx.const(0, "int32"))
    module = tvm.IRModule({"main": tirx.PrimFunc([], body)})
    with pytest.raises(DeviceError, match="cannot read a Evaluate"):
        read(module)


def test_a_gpus_launch_is_loops_and_its_buffers_have_memories():
    x = te.placeholder((8, 32), name="x")
    copy = te.compute((8, 32), lambda i, j: x[i, j] * tirx.const(2, "float32"), name="copy")
    y = te.compute((8, 32), lambda i, j: copy[i, 31 - j], name="y")

    def launch(schedule):
        stored, read_ = schedule.get_sblock("copy"), schedule.get_sblock("y")
        i, j = schedule.get_loops(read_)
        schedule.bind(i, "blockIdx.x")
        schedule.compute_at(stored, i)
        schedule.set_scope(stored, 0, "shared")
        schedule.bind(schedule.get_loops(stored)[-1], "threadIdx.x")
        schedule.bind(j, "threadIdx.x")

    double, reverse = read(module_of(x, y, schedule=launch)).statements
    loops = (Loop(8, LoopKind.BLOCK), Loop(32, LoopKind.THREAD))
    assert double.loops == reverse.loops == loops
    assert double.store == Access("copy_shared", (0, 1), 1, Memory.SHARED)
    assert double.loads == (Access("x", (32, 1), None, Memory.GLOBAL),)
    assert reverse.loads == (Access("copy_shared", (0, -1), 1, Memory.SHARED),)
    assert reverse.store.memory is Memory.GLOBAL


def test_memory_is_one_on_a_cpu():
    x = te.placeholder((4,), name="x")
    copy = te.compute((4,), lambda i: x[i], name="copy")
    y = te.compute((4,), lambda i: copy[i], name="y")
    in_local = module_of(x, y, schedule=lambda s: s.set_scope(s.get_sblock("copy"), 0, "local"))
    nest = read(in_local)
    assert {a.memory for s in nest.statements for a in (s.store, *s.loads)} == {Memory.GLOBAL}
