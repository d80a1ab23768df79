"""Small functions written straight in TVM, for what is around kernels and not in them."""

import numpy as np
from tvm import te
from tvm.s_tir import Schedule


def primfunc(*arrays):
    return te.create_prim_func(list(arrays)).with_attr("global_symbol", "main")


def matmul(rows=7, inner=33, columns=20):
    a = te.placeholder((rows, inner), name="a")
    b = te.placeholder((inner, columns), name="b")
    k = te.reduce_axis((0, inner), name="k")
    c = te.compute((rows, columns), lambda i, j: te.sum(a[i, k] * b[k, j], axis=k), name="c")
    schedule = Schedule(primfunc(a, b, c))
    i, j, k = schedule.get_loops(schedule.get_sblock("c"))
    schedule.reorder(i, k, j)
    schedule.vectorize(schedule.split(j, [None, 4])[1])
    return schedule.mod


def mirrored_sum(rows, parallel):
    """(2 a + 1) + a upside down, through a scratch array too large for the stack."""
    a = te.placeholder((rows, 64), name="a")
    b = te.compute((rows, 64), lambda i, j: a[i, j] * 2.0 + 1.0, name="b")
    c = te.compute((rows, 64), lambda i, j: b[i, j] + a[rows - 1 - i, j], name="c")
    schedule = Schedule(primfunc(a, c))
    for name in ("b", "c"):
        i, j = schedule.get_loops(schedule.get_sblock(name))
        if parallel:
            schedule.parallel(i)
        schedule.vectorize(schedule.split(j, [None, 4])[1])
    return schedule.mod


def normal(*shape):
    return np.random.default_rng(sum(shape)).standard_normal(shape, dtype=np.float32)
