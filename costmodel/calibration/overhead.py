"""What whole networks take beyond the sum of their kernels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.optimize import least_squares

from costmodel.kernels import Kernel
from costmodel.predictor import Overhead, argument_bytes
from costmodel.target import Target

TYPICAL_ERROR = 0.01
"""Share of its time that an undisturbed network differs by from one measurement to the next."""


def fit_overhead(
    networks: Sequence[Sequence[Kernel]],
    sums: Sequence[float],
    totals: Sequence[float],
    target: Target,
) -> Overhead:
    """Robust least squares of (total - sum) on kernels and bytes, neither below zero.

    ``sums``: seconds of each network's kernels timed alone; ``totals``: seconds of the whole.
    Errors are relative to a network's time; those beyond `TYPICAL_ERROR` count less and less
    (soft L1), because a disturbed total can be far off and only ever upwards.
    """
    if not networks:
        return Overhead()
    totals_s, sums_s = np.asarray(totals), np.asarray(sums)
    rows = np.array(
        [[len(kernels), sum(argument_bytes(k, target) for k in kernels)] for kernels in networks],
        np.float64,
    )
    scale = rows.max(axis=0) / totals_s.mean()

    def relative_errors(terms: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        errors: npt.NDArray[np.float64] = (sums_s + rows @ (terms / scale) - totals_s) / totals_s
        return errors

    found = least_squares(
        relative_errors, [0.01, 0.01], bounds=(0, np.inf), loss="soft_l1", f_scale=TYPICAL_ERROR
    )
    per_kernel, per_byte = found.x / scale
    return Overhead(seconds_per_kernel=float(per_kernel), seconds_per_byte=float(per_byte))
