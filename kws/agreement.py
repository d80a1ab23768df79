"""Whether another program of a trained network answers as the network does.

Shapes: N clips, H coefficients, W frames, K words.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from kws.errors import KwsError
from kws.model_file import SavedModel

Array = npt.NDArray[np.float32]

TOLERANCE = 1e-4
"""Largest difference of logits over the largest of them. Correct float32 programs, which add in
another order, were seen to differ by less than 1e-6 of it; half precision differs by 1e-3."""

CLIPS = 16
SEED = 0


class ExportError(KwsError, RuntimeError):
    """A program that does not answer as its network does."""


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """How far the logits of two programs of one network are apart."""

    by: str
    """What was compared."""

    clips: int
    largest_difference: float

    peak: float
    """The largest logit, whatever its sign."""

    def json(self) -> dict[str, object]:
        """The fields by name."""
        return asdict(self)

    def __str__(self) -> str:
        return (
            f"{self.by}, {self.clips} random clips: logits differ by up to "
            f"{self.largest_difference:.1g}, the largest is {self.peak:.3g}"
        )


def check_agreement(model: SavedModel, by: str, logits: Callable[[Array], Array]) -> Agreement:
    """Compares with the network in torch, on random features that are spread as real ones are.

    Args:
        model: The network.
        by: What is compared, for people: ``ONNX Runtime against torch``.
        logits: The other program: features [N, H, W], not normalised, to logits [N, K].

    Raises:
        ExportError: where a logit differs by more than `TOLERANCE`, or is not finite.

    """
    drawn = np.random.default_rng(SEED).normal(size=(CLIPS, *model.settings.shape))
    mean, std = model.normalisation.mean, model.normalisation.std
    features = (drawn * std + mean[:, None]).astype(np.float32)
    expected = model.logits(features)
    found = Agreement(
        by=by,
        clips=CLIPS,
        largest_difference=float(np.abs(logits(features) - expected).max()),
        peak=float(np.abs(expected).max()),
    )
    if not found.largest_difference <= TOLERANCE * found.peak:
        raise ExportError(
            f"the exported network does not answer as the trained one ({found}); please report "
            "it with the model"
        )
    return found
