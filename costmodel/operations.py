"""Counts of operations and parameters: what others minimise in place of time."""

from __future__ import annotations

import math

from costmodel.network import Network


def flops(network: Network) -> int:
    """FP_OPS = Σ M C ⌈H/Sh⌉ ⌈W/Sw⌉ (2 kh kw + 1) over the convolutions.

    C is the number of channels that a filter reads: those of its group.

    Source: Anderson et al., Performance-Oriented Neural Architecture Search (2019), Equation 1.
    """
    return sum(
        conv.filters
        * (source[2] // conv.groups)
        * math.ceil(source[0] / conv.stride[0])
        * math.ceil(source[1] / conv.stride[1])
        * (2 * conv.kernel[0] * conv.kernel[1] + 1)
        for conv, source, _ in network.convolutions()
    )


def flops_table2(network: Network) -> int:
    """Σ 2 kh kw M C H' W' over the convolutions, H' x W' the output: the count in Table II.

    Equation 1 as printed adds one operation a filter position; the paper's Table II leaves it
    out (all thirteen rows come out to the printed digit this way and not with Equation 1).
    """
    return sum(
        2 * math.prod(conv.kernel) * conv.filters * (source[2] // conv.groups) * math.prod(to[:2])
        for conv, source, to in network.convolutions()
    )


def params(network: Network) -> int:
    """FP_PARAMS = Σ M C kh kw over the convolutions, C as in `flops`.

    Source: as `flops`, Equation 2.
    """
    return sum(
        conv.filters * (source[2] // conv.groups) * math.prod(conv.kernel)
        for conv, source, _ in network.convolutions()
    )
