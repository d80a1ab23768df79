"""Loops of TVM's old CUDA schedules, as TopHub records them; values lie as [C, H, W].

Direct convolutions are points of `costmodel.schedules.cuda_conv`. Winograd and depthwise ones are
descriptions alone, of TOPI's ``conv2d_nchw_winograd.cuda`` and ``depthwise_conv2d_nchw.cuda`` as
of TVM 0.8. A virtual thread is an unrolled loop right around the store that it repeats.
"""

# ruff: noqa: ANN401 - a loop's value is an integer or an expression; see `cuda_nest`
from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from costmodel.kernels import ConvKernel
from costmodel.loopnest import LoopNest, Memory
from costmodel.schedules.cuda_nest import Buffer, CudaNest, Ref, Repeat, Turn, unravel
from costmodel.target import Target
from costmodel.tophub.cuda_parts import (
    UNROLLED,
    Split,
    all_unrolled,
    assign,
    auto_unrolled,
    copy,
    move,
    virtual_threads,
)

TRANSFORM_THREADS = 128
"""Of a block that transforms inputs or outputs."""
TRANSFORM_FLOPS = 1
"""Arithmetic of one term of a transform: a multiply-add, or nothing where the constant is zero and
TVM folds it away, as in about half of the terms."""


def winograd_tile(places: int) -> int:
    """Outputs of a tile along an axis, of a transform with this many places: 2 (16) or 4 (36)."""
    return math.isqrt(places) - 2


def direct(kernel: ConvKernel, knobs: Mapping[str, Any], target: Target) -> LoopNest:
    """Through the family that schedules such kernels."""
    from costmodel.schedules.cuda_conv import CudaConvolution, schedule_of

    return CudaConvolution().describe(kernel, schedule_of(knobs), target)


def depthwise(kernel: ConvKernel, knobs: Mapping[str, Any], target: Target) -> LoopNest:
    """Input and weights of a block into shared memory, of a thread into registers, sums, output."""
    del target
    (kh, kw), (sh, sw), (rows, columns) = kernel.kernel, kernel.stride, kernel.output_size
    f, y, x = (Split(*knobs[f"tile_{axis}"]) for axis in "fyx")
    threads = (f.threads, y.threads, x.threads)
    strips = (y.size - 1) * sh + kh, (x.size - 1) * sw + kw
    own_rows, own_columns = (y.inner - 1) * sh + kh, (x.inner - 1) * sw + kw
    virtual = f.virtual, y.virtual, x.virtual
    image = Buffer("x", (kernel.channels, kernel.height, kernel.width))
    weight = Buffer("w", (kernel.channels, kh, kw))
    out = Buffer("out", (kernel.channels, rows, columns))
    shared_x = Buffer("shared_x", (f.size, *strips), Memory.SHARED)
    shared_w = Buffer("shared_w", (f.size, kh, kw), Memory.SHARED)
    local_x = Buffer("local_x", (*virtual, f.inner, own_rows, own_columns), Memory.LOCAL)
    local_w = Buffer("local_w", (*virtual, f.inner, kh, kw), Memory.LOCAL)
    acc = Buffer("acc", (*virtual, f.inner, y.inner, x.inner), Memory.LOCAL)
    vthreads = virtual_threads(*virtual)

    def place(i: Any) -> tuple[Any, Any, Any]:
        """First output of a thread in its block."""
        return (
            f.start(i.vf, i.tz), y.start(i.vy, i.ty), x.start(i.vx, i.tx),
        )  # fmt: skip

    def of_block(i: Any, c: Any, row: Any, column: Any) -> tuple[Any, Any, Any]:
        return i.bz * f.size + c, i.by * y.size * sh + row, i.bx * x.size * sw + column

    def own(i: Any) -> tuple[Any, Any, Any]:
        return i.vf, i.vy, i.vx

    def turns(**extents: int) -> tuple[Turn, ...]:
        return (*auto_unrolled(knobs, math.prod(virtual), **extents), *vthreads)

    sum_ = Ref(acc, lambda i: (*own(i), i.fi, i.yi, i.xi))
    nest = CudaNest(
        parameters=(image, weight, out),
        blocks=(f.blocks, y.blocks, x.blocks),
        threads=threads,
        scratch=(shared_x, shared_w, local_x, local_w, acc),
        body=(
            copy(shared_x, threads, Ref(image, lambda i: i), of_block),
            copy(shared_w, threads, Ref(weight, lambda i: i),
                  lambda i, c, r, s: (i.bz * f.size + c, r, s)),
            move(
                turns(fi=f.inner, i=own_rows, j=own_columns),
                Ref(local_x, lambda i: (*own(i), i.fi, i.i, i.j)),
                Ref(shared_x, lambda i: (
                    place(i)[0] + i.fi, place(i)[1] * sh + i.i, place(i)[2] * sw + i.j)),
            ),
            move(
                turns(fi=f.inner, r=kh, s=kw),
                Ref(local_w, lambda i: (*own(i), i.fi, i.r, i.s)),
                Ref(shared_w, lambda i: (place(i)[0] + i.fi, i.r, i.s)),
            ),
            assign(turns(fi=f.inner, yi=y.inner, xi=x.inner), sum_),
            assign(
                turns(r=kh, s=kw, fi=f.inner, yi=y.inner, xi=x.inner), sum_, sum_,
                Ref(local_x, lambda i: (*own(i), i.fi, i.yi * sh + i.r, i.xi * sw + i.s)),
                Ref(local_w, lambda i: (*own(i), i.fi, i.r, i.s)),
                flops=2,
            ),
            move(
                turns(fi=f.inner, yi=y.inner, xi=x.inner),
                Ref(out, lambda i: (
                    i.bz * f.size + place(i)[0] + i.fi, i.by * y.size + place(i)[1] + i.yi,
                    i.bx * x.size + place(i)[2] + i.xi)),
                sum_,
            ),
        ),
    )  # fmt: skip
    return nest.describe()


def winograd(kernel: ConvKernel, knobs: Mapping[str, Any], target: Target) -> LoopNest:
    """Three launches: input transform, products of matrices, output transform."""
    del target
    alpha = math.isqrt(math.prod(knobs["tile_b"]))
    tile = winograd_tile(alpha * alpha)
    down, across = (math.ceil(extent / tile) for extent in kernel.output_size)
    places, c, filters = down * across, kernel.channels, kernel.filters
    v = Buffer("v", (alpha * alpha, c, places))
    m = Buffer("m", (alpha * alpha, filters, places))
    launches = (
        _input_transform(kernel, v, alpha, across),
        _products(knobs, Buffer("u", (alpha * alpha, c, filters)), v, m),
        _output_transform(kernel, m, alpha, (down, across)),
    )
    return LoopNest(tuple(s for launch in launches for s in launch.describe().statements))


def _input_transform(kernel: ConvKernel, v: Buffer, alpha: int, across: int) -> CudaNest:
    _, c, places = v.shape
    image = Buffer("x", (c, kernel.height, kernel.width))
    d = Buffer("d", (alpha, alpha), Memory.LOCAL)
    acc = Buffer("acc", (alpha, alpha), Memory.LOCAL)
    tile = alpha - 2
    whole = (Turn("eps", alpha), Turn("nu", alpha))
    unrolled = all_unrolled(*whole)
    terms = (Turn("r", alpha, UNROLLED), Turn("s", alpha, UNROLLED))

    def read(i: Any) -> tuple[Any, ...]:
        channel, place = unravel(i.bx * TRANSFORM_THREADS + i.tx, (c, places))
        return channel, place // across * tile + i.eps, place % across * tile + i.nu

    sum_ = Ref(acc, lambda i: (i.eps, i.nu))
    return CudaNest(
        parameters=(image, v),
        blocks=(1, 1, math.ceil(c * places / TRANSFORM_THREADS)),
        threads=(1, 1, TRANSFORM_THREADS),
        scratch=(d, acc),
        body=(
            move(whole, Ref(d, lambda i: (i.eps, i.nu)), Ref(image, read)),
            assign(unrolled, sum_),
            assign((*unrolled, *terms), sum_, sum_, Ref(d, lambda i: (i.r, i.s)),
                    flops=TRANSFORM_FLOPS),
            move(
                whole,
                Ref(v, lambda i: (
                    i.eps * alpha + i.nu,
                    *unravel(i.bx * TRANSFORM_THREADS + i.tx, (c, places)))),
                sum_,
                ragged=c * places % TRANSFORM_THREADS > 0,
            ),
        ),
    )  # fmt: skip


def _products(knobs: Mapping[str, Any], u: Buffer, v: Buffer, m: Buffer) -> CudaNest:
    b, y, x = (Split(*knobs[f"tile_{axis}"]) for axis in "byx")
    steps, rc = knobs["tile_rc"]
    threads = (b.threads, y.threads, x.threads)
    virtual = b.virtual, y.virtual, x.virtual
    vthreads = virtual_threads(*virtual)
    shared_u = Buffer("shared_u", (b.size, rc, y.size), Memory.SHARED)
    shared_v = Buffer("shared_v", (b.size, rc, x.size), Memory.SHARED)
    acc = Buffer("acc", (*virtual, b.inner, y.inner, x.inner), Memory.LOCAL)

    def turns(**extents: int) -> tuple[Turn, ...]:
        return (*auto_unrolled(knobs, math.prod(virtual), **extents), *vthreads)

    def place(i: Any) -> tuple[Any, Any, Any]:
        return (
            b.start(i.vf, i.tz) + i.fi, y.start(i.vy, i.ty) + i.yi, x.start(i.vx, i.tx) + i.xi,
        )  # fmt: skip

    sum_ = Ref(acc, lambda i: (i.vf, i.vy, i.vx, i.fi, i.yi, i.xi))
    inner = {"fi": b.inner, "yi": y.inner, "xi": x.inner}
    slices = (
        copy(shared_u, threads, Ref(u, lambda i: i),
              lambda i, e, r, k: (i.bz * b.size + e, i.rco * rc + r, i.by * y.size + k)),
        copy(shared_v, threads, Ref(v, lambda i: i),
              lambda i, e, r, p: (i.bz * b.size + e, i.rco * rc + r, i.bx * x.size + p)),
        assign(
            turns(rci=rc, **inner), sum_, sum_,
            Ref(shared_u, lambda i: (place(i)[0], i.rci, place(i)[1])),
            Ref(shared_v, lambda i: (place(i)[0], i.rci, place(i)[2])),
            flops=2,
        ),
    )  # fmt: skip
    return CudaNest(
        parameters=(u, v, m),
        blocks=(b.blocks, y.blocks, x.blocks),
        threads=threads,
        scratch=(shared_u, shared_v, acc),
        body=(
            assign(turns(**inner), sum_),
            Repeat((Turn("rco", steps),), slices),
            move(
                turns(**inner),
                Ref(m, lambda i: (
                    i.bz * b.size + place(i)[0], i.by * y.size + place(i)[1],
                    i.bx * x.size + place(i)[2])),
                sum_,
            ),
        ),
    )  # fmt: skip


def _output_transform(
    kernel: ConvKernel, m: Buffer, alpha: int, tiles: tuple[int, int]
) -> CudaNest:
    rows, columns = kernel.output_size
    tile, grid = alpha - 2, (kernel.filters, *tiles)
    out = Buffer("out", (kernel.filters, rows, columns))
    y = Buffer("y", (tile, tile), Memory.LOCAL)
    inside = (Turn("h", tile), Turn("w", tile))
    unrolled = all_unrolled(*inside)
    terms = (Turn("r", alpha, UNROLLED), Turn("s", alpha, UNROLLED))
    tasks = math.prod(grid)

    def task(i: Any) -> tuple[Any, ...]:
        return unravel(i.bx * TRANSFORM_THREADS + i.tx, grid)

    def read(i: Any) -> tuple[Any, ...]:
        k, down, across = task(i)
        return i.r * alpha + i.s, k, down * tiles[1] + across

    def written(i: Any) -> tuple[Any, ...]:
        k, down, across = task(i)
        return k, down * tile + i.h, across * tile + i.w

    sum_ = Ref(y, lambda i: (i.h, i.w))
    return CudaNest(
        parameters=(m, out),
        blocks=(1, 1, math.ceil(tasks / TRANSFORM_THREADS)),
        threads=(1, 1, TRANSFORM_THREADS),
        scratch=(y,),
        body=(
            assign(unrolled, sum_),
            assign((*unrolled, *terms), sum_, sum_, Ref(m, read), flops=TRANSFORM_FLOPS),
            move(inside, Ref(out, written), sum_,
                  ragged=bool(rows % tile or columns % tile or tasks % TRANSFORM_THREADS)),
        ),
    )  # fmt: skip


DESCRIPTIONS: Mapping[str, Callable[[ConvKernel, Mapping[str, Any], Target], LoopNest]] = (
    MappingProxyType(
        {"direct_conv2d": direct, "winograd_conv2d": winograd, "depthwise_conv2d": depthwise}
    )
)
"""op -> its loops under the knobs of a record."""
