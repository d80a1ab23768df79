"""A trained network as an ONNX graph, from features as they are computed to logits.

Shapes: N clips, H coefficients, W frames, C channels, M filters, K words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from kws.architecture import to_network
from kws.errors import MissingToolError
from kws.model_file import SavedModel
from kws.module import export_weights

if TYPE_CHECKING:
    from onnx import ModelProto

    from costmodel.network import Weights

INPUT, OUTPUT = "mfcc", "logits"
"""Features [N, 1, H, W] as `kws.mfcc` computes them; logits [N, K]. Both float32."""

OPSET = 13
"""Of ONNX's operators: the first in which QuantizeLinear takes a scale for each channel (ONNX
operator changelog), so that a quantised file is of the same one; all else here is older."""

IR_VERSION = 7
"""Of the file: what came with opset 13 (ONNX release 1.8), so that runtimes from then on read it;
the newest is written by default, and refused by all but the newest."""

ANY_BATCH = "N"
"""Name of the first axis in a graph that takes any number of clips."""

EPSILON = 1e-5
"""Of the batch norms: torch's default, which `kws.module` leaves as it is."""

Array = npt.NDArray[np.float32]


def build_graph(model: SavedModel, *, batch: int | None = 1) -> ModelProto:
    """The network with its normalisation, batch norms folded into the convolutions before them.

    The nodes are ``mean`` and ``deviation`` (which normalise), ``conv{i}``, ``relu{i}``, ``pool``,
    ``flatten`` and ``dense``.

    Args:
        model: The network.
        batch: Clips that the graph takes at once; None is any number.

    Raises:
        MissingToolError: where the package onnx is not installed.

    """
    onnx = import_onnx()
    network = to_network(model.architecture, (*model.settings.shape, 1), len(model.words))
    weights = export_weights(model.module, network)
    arrays: dict[str, Array] = {
        "mean.value": model.normalisation.mean.reshape(1, 1, -1, 1),
        "deviation.value": np.array(model.normalisation.std, np.float32),
        "dense.weight": weights["dense"]["weight"],
        "dense.bias": weights["dense"]["bias"],
    }
    node = onnx.helper.make_node
    nodes = [
        node("Sub", [INPUT, "mean.value"], ["mean.out"], name="mean"),
        node("Div", ["mean.out", "deviation.value"], ["deviation.out"], name="deviation"),
    ]
    before = "deviation.out"
    for i, (convolution, _, _) in enumerate(network.convolutions(), start=1):
        arrays[f"conv{i}.weight"], arrays[f"conv{i}.bias"] = _folded(weights, i)
        given = [before, f"conv{i}.weight", f"conv{i}.bias"]
        before = f"relu{i}.out"
        nodes += [
            node(
                "Conv", given, [f"conv{i}.out"], name=f"conv{i}",
                kernel_shape=convolution.kernel, pads=convolution.padding,
                strides=convolution.stride,
            ),
            node("Relu", [f"conv{i}.out"], [before], name=f"relu{i}"),
        ]  # fmt: skip
    dense = ["flatten.out", "dense.weight", "dense.bias"]
    nodes += [
        node("GlobalAveragePool", [before], ["pool.out"], name="pool"),
        node("Flatten", ["pool.out"], ["flatten.out"], name="flatten"),
        node("Gemm", dense, [OUTPUT], name="dense", transB=1),
    ]
    return _model(nodes, arrays, (1, *model.settings.shape), len(model.words), batch)


def set_batch(graph: ModelProto, batch: int | None) -> None:
    """Declares how many clips a graph takes at once; None is any number."""
    for value in (*graph.graph.input, *graph.graph.output):
        axis = value.type.tensor_type.shape.dim[0]
        if batch is None:
            axis.dim_param = ANY_BATCH
        else:
            axis.dim_value = batch


def import_onnx() -> Any:  # noqa: ANN401 (a module)
    """The package onnx; MissingToolError, naming the extra, where it is not installed."""
    try:
        import onnx
    except ImportError:
        raise MissingToolError(
            "writing ONNX files needs the package onnx; get it with: pip install 'ponas[onnx]'"
        ) from None
    return onnx


def _folded(weights: Weights, number: int) -> tuple[Array, Array]:
    """Weight [M, C, kh, kw] and bias [M] of a convolution with its batch norm folded in.

    In evaluation a batch norm is gamma (x - mean) / sqrt(variance + epsilon) + beta; computed in
    double precision, rounded once.
    """
    norm = {name: array.astype(np.float64) for name, array in weights[f"bn{number}"].items()}
    scale = norm["gamma"] / np.sqrt(norm["variance"] + EPSILON)
    weight = weights[f"conv{number}"]["weight"] * scale[:, None, None, None]
    bias = norm["beta"] - norm["mean"] * scale
    return weight.astype(np.float32), bias.astype(np.float32)


def _model(
    nodes: list[Any],
    arrays: dict[str, Array],
    clip: tuple[int, ...],
    words: int,
    batch: int | None,
) -> ModelProto:
    onnx = import_onnx()
    kind = onnx.TensorProto.FLOAT
    model: ModelProto = onnx.helper.make_model(
        onnx.helper.make_graph(
            nodes,
            "ponas",
            [onnx.helper.make_tensor_value_info(INPUT, kind, [1, *clip])],
            [onnx.helper.make_tensor_value_info(OUTPUT, kind, [1, words])],
            [onnx.numpy_helper.from_array(array, name) for name, array in arrays.items()],
        ),
        opset_imports=[onnx.helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )
    set_batch(model, batch)
    return model
