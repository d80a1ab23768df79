"""Networks in whole numbers of 8 bits, made of trained ones without further training.

Static quantisation by ONNX Runtime: weights are rounded once, symmetrically, with a scale for
each filter; the numbers between layers are rounded with a scale and a zero point for each layer,
found by running the network on clips of the training split.

Shapes: N clips, H coefficients, W frames.
"""

from __future__ import annotations

import io
import tempfile
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from kws.errors import InputError, MissingToolError
from kws.model_file import SavedModel
from kws.onnx_graph import INPUT, Array, build_graph, import_onnx, set_batch
from kws.onnx_model import content_of, open_content
from kws.storage import new_file

if TYPE_CHECKING:
    from onnx import ModelProto

    from kws.features import FeatureSet

Calibration = Literal["minmax", "entropy", "percentile"]

FLOAT_LAYERS = ("conv1", "dense")
"""Layers that stay in float32, as does the normalisation: the first sees the MFCC, whose first
coefficient is many times as wide as the others, the last gives the logits, and both are small.

Measured on speech_commands_mini, as the root mean square by which logits of validation clips
change, over the deviation of logits, for three networks (kws12; "4x10,24" and five "3x3,24"; one of
six units of 8 and 24 filters): 4.2, 3.3 and 8.0 % with these two in float32, 8.6, 11.7 and 21.4 %
with all in 8 bits (the 99.99th percentile, both). In ONNX Runtime it is no slower either."""

PERCENTILE = 99.999
"""Of ``percentile``. As above: 3.1, 3.0 and 4.9 %; the 99.9th gave 18.7, 13.0 and 18.8 %, and
``minmax`` 12.7, 3.7 and 7.2 %. Weights of 7 bits keep sums from overflowing on x86 processors
without VNNI; on such a one they gave 5.0, 3.7 and 9.4 %."""


@dataclass(frozen=True, kw_only=True)
class QuantisationSettings:
    """How scales are found.

    Raises:
        InputError: for a setting out of range.

    """

    calibration: Calibration = "percentile"
    """Which of the numbers seen between layers an 8-bit number can still stand for: all of them
    (``minmax``), all but the largest 0.001 % (``percentile``), or those up to where the
    distribution changes least by its information (``entropy``)."""

    clips: int = 500
    """Of the training split, drawn by the seed, on which they are seen."""

    seed: int = 0

    def __post_init__(self) -> None:
        if self.calibration not in get_args(Calibration):
            raise InputError(
                f"calibration is '{self.calibration}'; {', '.join(get_args(Calibration))} are known"
            )
        if self.clips < 1:
            raise InputError(f"scales are found on clips, at least one; got {self.clips}")

    def __str__(self) -> str:
        return f"int8, {self.calibration} over {self.clips} training clips, seed {self.seed}"


BATCH = 50
"""Clips whose numbers are in memory at once: for the seed architecture, 10 times 64,000 of each."""


def quantise(
    path: Path,
    model: SavedModel,
    data: FeatureSet,
    settings: QuantisationSettings | None = None,
    *,
    batch: int | None = 1,
) -> None:
    """Writes the network in 8 bits, as an ONNX file that `kws.onnx_model.load_onnx` reads.

    Args:
        path: The file.
        model: The network.
        data: The speech set it was trained on, or one like it.
        settings: None is `QuantisationSettings()`.
        batch: Clips that the file takes at once; None is any number.

    Raises:
        InputError: for a network of one convolution, or a set with fewer training clips than the
            settings ask for.
        MissingToolError: where onnx or onnxruntime is not installed.
        StorageError: where it cannot be written.

    """
    settings = settings or QuantisationSettings()
    if len(model.architecture.units) == 1:
        raise InputError(
            f"'{model.architecture}' has one convolution, and the first stays in float32: nothing "
            "is left to quantise"
        )
    graph = quantised_graph(model, _drawn(data, settings), settings)
    set_batch(graph, batch)
    content = content_of(graph, model, quantised=str(settings))
    open_content(content, "the quantised network")
    with new_file(path) as file:
        file.write(content)


def quantised_graph(
    model: SavedModel, features: Array, settings: QuantisationSettings
) -> ModelProto:
    """The graph in 8 bits, for any number of clips at once; scales by features [N, H, W]."""
    onnx = import_onnx()
    graph = build_graph(model, batch=None)
    try:
        from onnxruntime import quantization
    except ImportError:
        raise MissingToolError(
            "quantisation needs the package onnxruntime; get it with: pip install 'ponas[onnx]'"
        ) from None
    onnx.helper.set_model_props(graph, _PREPARED)
    method = {"minmax": "MinMax", "entropy": "Entropy", "percentile": "Percentile"}
    with (
        tempfile.TemporaryDirectory(prefix="ponas-") as folder,
        redirect_stdout(io.StringIO()),  # it prints what it is about
    ):
        made = Path(folder) / "quantised.onnx"
        quantization.quantize_static(
            graph,
            made,
            _Batches(features),
            quant_format=quantization.QuantFormat.QDQ,
            op_types_to_quantize=["Conv"],
            nodes_to_exclude=list(FLOAT_LAYERS),
            per_channel=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            calibrate_method=quantization.CalibrationMethod[method[settings.calibration]],
            extra_options={"CalibStridedMinMax": 1, "CalibPercentile": PERCENTILE},
        )
        result: ModelProto = onnx.load(str(made))
    return result


class _Batches:
    """Features, batch by batch; a ``CalibrationDataReader`` of ONNX Runtime."""

    def __init__(self, features: Array) -> None:
        self._batches = [features[i : i + BATCH, None] for i in range(0, len(features), BATCH)]
        self.set_range(0, len(self._batches))

    def __len__(self) -> int:
        return len(self._batches)

    def set_range(self, start_index: int, end_index: int) -> None:
        self._left = iter(self._batches[start_index:end_index])

    def get_next(self) -> dict[str, Any] | None:
        batch = next(self._left, None)
        return None if batch is None else {INPUT: np.ascontiguousarray(batch)}


_PREPARED = {"onnx.quant.pre_process": "onnxruntime.quant"}
"""Batch norms are folded already, and all shapes are known: nothing is left to prepare."""


def _drawn(data: FeatureSet, settings: QuantisationSettings) -> Array:
    """Training clips [N, H, W] as `kws.mfcc` computes them, in the order of the set."""
    features = data.splits["training"].features
    if len(features) < settings.clips:
        raise InputError(
            f"the set has {len(features)} training clips, not {settings.clips}; ask for fewer"
        )
    chosen = np.random.default_rng(settings.seed).choice(
        len(features), settings.clips, replace=False
    )
    return np.ascontiguousarray(features[np.sort(chosen)])
