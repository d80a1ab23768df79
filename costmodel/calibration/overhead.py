"""What whole networks take beyond the sum of their kernels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.optimize import nnls

from costmodel.kernels import Kernel
from costmodel.predictor import Overhead, traffic_bytes
from costmodel.target import Target


def fit_overhead(
    networks: Sequence[Sequence[Kernel]],
    sums: Sequence[float],
    totals: Sequence[float],
    target: Target,
) -> Overhead:
    """Least squares of (total - sum) on kernels and bytes, neither below zero.

    ``sums``: seconds of each network's kernels timed alone; ``totals``: seconds of the whole.
    Each network weighs by the inverse of its time, so that errors are relative.
    """
    if not networks:
        return Overhead()
    weights = 1 / np.asarray(totals)
    rows = np.array(
        [[len(kernels), sum(traffic_bytes(k, target) for k in kernels)] for kernels in networks],
        np.float64,
    )
    excess = np.asarray(totals) - np.asarray(sums)
    scale = rows.max(axis=0)
    (per_kernel, per_byte), _ = nnls(rows / scale * weights[:, None], excess * weights)
    return Overhead(
        seconds_per_kernel=float(per_kernel / scale[0]),
        seconds_per_byte=float(per_byte / scale[1]),
    )
