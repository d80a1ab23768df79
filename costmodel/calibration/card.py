"""The error card: how well whole networks that were never measured in parts are predicted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

SPLIT = "whole networks, none of whose kernels was timed by itself"
INTERVAL = 0.8
"""Share of networks that the interval of an estimate is meant to hold."""


class ErrorCard(BaseModel):
    """Errors of predicted against measured end-to-end latency."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    mape: float
    """Mean of |predicted / measured - 1|."""
    within_5: float
    """Share of networks within ±5 %."""
    within_10: float
    """Share of networks within ±10 %."""
    bias: float
    """Mean of predicted / measured - 1."""
    interval: float
    """|predicted / measured - 1| that 80 % of networks stay within."""
    networks: int
    """How many were held out; see ``of``."""
    split: str = SPLIT
    of: Literal["networks", "kernels"] = "networks"
    """What was held out."""


def make_card(predicted: Sequence[float], measured: Sequence[float]) -> ErrorCard:
    """The card of predicted and measured times of the same networks, in one unit."""
    errors = np.asarray(predicted) / np.asarray(measured) - 1
    size = np.abs(errors)
    # The conformal quantile: rank ⌈(n + 1) 0.8⌉ of the sizes, the largest where n is small.
    rank = min(int(np.ceil((len(size) + 1) * INTERVAL)), len(size))
    return ErrorCard(
        mape=float(size.mean()),
        within_5=float((size <= 0.05).mean()),
        within_10=float((size <= 0.10).mean()),
        bias=float(errors.mean()),
        interval=float(np.sort(size)[rank - 1]),
        networks=len(size),
    )
