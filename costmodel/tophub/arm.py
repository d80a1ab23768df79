"""Loops of the Winograd and depthwise schedules of TVM's old ``arm_cpu``, as TopHub records them.

The direct ones are points of `costmodel.schedules.spatial_pack`. These are descriptions alone, of
TOPI's ``conv2d_nchw_winograd.arm_cpu`` and ``depthwise_conv2d_nchw.arm_cpu`` as of TVM 0.8:
values lie as [C, H, W], inputs of all statements are copied into vectors first, and weights come
transformed (Winograd) or are packed in the kernel (depthwise). A vectorised loop is given as the
innermost one wherever the annotation stands: the code is the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from costmodel.kernels import ConvKernel
from costmodel.loopnest import LoopKind, LoopNest, PlainAccess, Statement, statement

WINOGRAD_TILE = 4
"""Outputs of a tile along an axis: F(4x4, 3x3), the only one that ``arm_cpu`` has."""
TRANSFORM_FLOPS = 1
"""Arithmetic of one term of a transform: a multiply-add, or nothing where the constant is zero and
TVM folds it away, as in 48 % of the terms of F(4x4, 3x3)'s input and 44 % of its output."""

KINDS = MappingProxyType(
    {"none": LoopKind.SERIAL, "unroll": LoopKind.UNROLLED, "vec": LoopKind.VECTORIZED}
)
SERIAL, PARALLEL, UNROLLED = LoopKind.SERIAL, LoopKind.PARALLEL, LoopKind.UNROLLED
Axes = Mapping[str, tuple[int, LoopKind]]
"""Loop -> (extent, kind), outermost first."""
Strided = tuple[str, Mapping[str, int], int | None]
"""Buffer, elements moved by each loop that moves any, loops around its allocation."""


def winograd_tiles(kernel: ConvKernel, tile: int) -> tuple[int, int]:
    """Tiles of ``tile`` x ``tile`` outputs along the rows and along the columns."""
    rows, columns = kernel.output_size
    return math.ceil(rows / tile), math.ceil(columns / tile)


def winograd(kernel: ConvKernel, knobs: Mapping[str, Any]) -> LoopNest:
    """Input transform, a product of matrices for each of 36 places, output transform.

    ``tile_p``: tiles, ``tile_k``: filters, ``tile_c``: channels of a step; ``ann_reduce`` of the
    channels in it, ``ann_spatial`` of its filters and tiles.
    """
    m = WINOGRAD_TILE
    alpha = m + 2
    rows, columns = kernel.output_size
    down, across = winograd_tiles(kernel, m)
    (tiles, vp), (filters, vk), (channels, ci) = (
        knobs[name] for name in ("tile_p", "tile_k", "tile_c")
    )
    c, places = kernel.channels, down * across
    plane, width = kernel.height * kernel.width, kernel.width
    k_kind, p_kind = (KINDS[annotation] for annotation in knobs["ann_spatial"])
    vector = (vp, LoopKind.VECTORIZED)
    image: Axes = {"b": (tiles, PARALLEL), "c": (c, SERIAL)}
    here: Axes = {"eps": (alpha, UNROLLED), "nu": (alpha, UNROLLED)}
    terms: Axes = {"r": (alpha, UNROLLED), "s": (alpha, UNROLLED)}

    def corner(place: int) -> int:
        """Of the input that tile ``place`` reads."""
        return place // across * m * width + place % across * m

    x = ("x", {"b": corner(vp), "c": plane, "eps": width, "nu": 1, "bb": corner(1)}, None)
    d = {"eps": alpha * vp, "nu": vp, "bb": 1}
    v = {
        "eps": alpha * tiles * c * vp, "nu": tiles * c * vp, "b": c * vp, "c": vp, "bb": 1,
    }  # fmt: skip
    transform = [
        _statement(
            {**image, "eps": (alpha, SERIAL), "nu": (alpha, SERIAL), "bb": (vp, SERIAL)},
            ("d", d, 2), [x],
        ),
        _statement({**image, **here, "bb": vector}, ("v", v, 0), []),
        _statement(
            {**image, **here, **terms, "bb": vector}, ("v", v, 0),
            [("v", v, 0), ("d", {"r": alpha * vp, "s": vp, "bb": 1}, 2)], flops=TRANSFORM_FLOPS,
        ),
    ]  # fmt: skip

    blocks: Axes = {"p": (filters, PARALLEL)}
    batch: Axes = {**blocks, "eps": (alpha, SERIAL), "nu": (alpha, SERIAL), "b": (tiles, SERIAL)}
    product = {"eps": alpha * vk * places, "nu": vk * places, "b": vp, "k": places, "bb": 1}
    weights = {
        "eps": alpha * filters * c * vk, "nu": filters * c * vk, "p": c * vk, "co": ci * vk,
        "ci": vk, "k": 1,
    }  # fmt: skip
    values = {**{n: v[n] for n in ("eps", "nu", "b")}, "co": ci * vp, "ci": vp, "bb": 1}
    m_store: Strided = ("m", product, 1)
    gemm = [
        _statement({**batch, "k": (vk, k_kind), "bb": (vp, p_kind)}, m_store, []),
        _statement(
            {**batch, "co": (channels, SERIAL), "k": (vk, k_kind),
             "ci": (ci, KINDS[knobs["ann_reduce"][0]]), "bb": (vp, p_kind)},
            m_store, [m_store, ("u", weights, None), ("v", values, 0)], flops=2,
        ),
    ]  # fmt: skip

    tile: Axes = {**blocks, "k": (vk, SERIAL), "ho": (down, SERIAL), "wo": (across, SERIAL)}
    inside: Axes = {"h": (m, UNROLLED), "w": (m, UNROLLED)}
    gathered = {"k": places, "ho": across, "wo": 1, "r": product["eps"], "s": product["nu"]}
    y: Strided = ("y", {"h": m, "w": 1}, 4)
    written = {
        "p": vk * rows * columns, "k": rows * columns, "ho": m * columns, "wo": m, "h": columns,
        "w": 1,
    }  # fmt: skip
    inverse = [
        _statement(
            {**tile, "r": (alpha, SERIAL), "s": (alpha, SERIAL)},
            ("mm", {"r": alpha, "s": 1}, 4), [("m", gathered, 1)],
        ),
        _statement({**tile, **inside}, y, []),
        _statement(
            {**tile, **inside, **terms}, y, [y, ("mm", {"r": alpha, "s": 1}, 4)],
            flops=TRANSFORM_FLOPS,
        ),
        _statement(
            {**tile, "h": (m, SERIAL), "w": (m, SERIAL)}, ("out", written, None), [y],
            guarded=bool(rows % m or columns % m),
        ),
    ]  # fmt: skip
    return LoopNest((*transform, *gemm, *inverse))


def depthwise(kernel: ConvKernel, knobs: Mapping[str, Any]) -> LoopNest:
    """Weights in vectors, rows of input in vectors, sums straight in memory, output in planes.

    ``tile_c``, ``tile_h``, ``tile_w``: channels, rows and columns of a tile; ``ann`` of its rows,
    columns and channels.
    """
    (kh, kw), (sh, sw) = kernel.kernel, kernel.stride
    rows, columns = kernel.output_size
    (blocks, vc), (oh, vh), (ow, vw) = (knobs[name] for name in ("tile_c", "tile_h", "tile_w"))
    row_kind, column_kind, channel_kind = (KINDS[annotation] for annotation in knobs["ann"])
    plane, width = kernel.height * kernel.width, kernel.width
    strip_rows, strip_width = (vh - 1) * sh + kh, (columns - 1) * sw + kw
    block: Axes = {"c": (blocks, PARALLEL)}
    strip: Axes = {**block, "oh": (oh, SERIAL)}
    tile: Axes = {"h": (vh, row_kind), "w": (vw, column_kind), "vc": (vc, channel_kind)}
    taps: Axes = {"r": (kh, SERIAL), "s": (kw, SERIAL)}
    packed_weights = {"c": kh * kw * vc, "r": kw * vc, "s": vc, "vc": 1}
    sums: Strided = (
        "acc",
        {"c": rows * columns * vc, "oh": vh * columns * vc, "ow": vw * vc, "h": columns * vc,
         "w": vc, "vc": 1},
        0,
    )  # fmt: skip
    line = strip_width * vc
    inputs: Strided = (
        "pack",
        {"ow": vw * sw * vc, "r": line, "s": vc, "h": sh * line, "w": sw * vc, "vc": 1},
        2,
    )
    given = {"c": vc * plane, "oh": vh * sh * width, "i": width, "j": 1, "vc": plane}
    # Its loop over channels turns inside a vector first.
    unpacked = {"c": 1 if vc > 1 else rows * columns, "h": columns * vc, "w": vc}
    return LoopNest((
        _statement(
            {**block, **taps, "vc": (vc, SERIAL)}, ("wv", packed_weights, 0),
            [("w", {"c": vc * kh * kw, "r": kw, "s": 1, "vc": kh * kw}, None)],
        ),
        _statement(
            {**strip, "i": (strip_rows, SERIAL), "j": (strip_width, SERIAL), "vc": (vc, SERIAL)},
            ("pack", {"i": line, "j": vc, "vc": 1}, 2), [("x", given, None)],
        ),
        _statement({**strip, "ow": (ow, SERIAL), **tile}, sums, []),
        _statement(
            {**strip, "ow": (ow, SERIAL), **taps, **tile}, sums,
            [sums, inputs, ("wv", packed_weights, 0)], flops=2,
        ),
        _statement(
            {"c": (kernel.channels, PARALLEL), "h": (rows, SERIAL), "w": (columns, SERIAL)},
            ("out", {"c": rows * columns, "h": columns, "w": 1}, None), [("acc", unpacked, 0)],
        ),
    ))  # fmt: skip


DESCRIPTIONS: Mapping[str, Callable[[ConvKernel, Mapping[str, Any]], LoopNest]] = MappingProxyType(
    {"winograd_conv2d": winograd, "depthwise_conv2d": depthwise}
)
"""op -> its loops under the knobs of a record."""


def _statement(
    axes: Axes, store: Strided, loads: list[Strided], *, flops: int = 0, guarded: bool = False
) -> Statement:
    """A statement whose accesses name the loops that move them."""
    order = sorted(axes, key=lambda name: axes[name][1] is LoopKind.VECTORIZED)

    def access(given: Strided) -> PlainAccess:
        buffer, strides, depth = given
        return buffer, tuple(strides.get(name, 0) for name in order), depth

    return statement(
        [axes[name] for name in order],
        access(store),
        [access(load) for load in loads],
        flops=flops,
        guarded=guarded,
    )
