"""The graph against ONNX's own reference evaluator, which is no part of ONNX Runtime."""

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator
from trained import lived_model, random_features

from costmodel.frontends.onnx_file import from_onnx
from costmodel.operations import flops
from kws.architecture import to_network
from kws.mfcc import MfccSettings
from kws.onnx_graph import IR_VERSION, OPSET, build_graph, set_batch

ODD = [
    "4x10,7 3x3,5",
    "2x4,3 4x2,6/2x2 5x5,4/3x2",
    "1x1,3/4x4 2x2,4",
    "5x5,2/1x1 4x5,3/2x3",
]


@pytest.mark.parametrize("text", ODD)
@pytest.mark.parametrize(
    "settings", [MfccSettings(), MfccSettings(coefficients=13, hop_samples=333)]
)
def test_the_graph_computes_what_the_network_computes(text, settings):
    model = lived_model(text, settings=settings)
    features = random_features(model, 3)
    graph = build_graph(model, batch=None)
    onnx.checker.check_model(graph, full_check=True)
    [found] = ReferenceEvaluator(graph).run(["logits"], {"mfcc": features[:, None]})
    expected = model.logits(features)
    assert np.abs(found - expected).max() < 1e-5 * np.abs(expected).max()


def test_batch_norms_are_folded_and_normalisation_is_inside():
    graph = build_graph(lived_model("3x3,4 1x1,5")).graph
    assert [node.op_type for node in graph.node] == [
        "Sub", "Div", "Conv", "Relu", "Conv", "Relu", "GlobalAveragePool", "Flatten", "Gemm",
    ]  # fmt: skip
    assert [value.name for value in graph.input] == ["mfcc"]
    assert [value.name for value in graph.output] == ["logits"]


def test_old_runtimes_can_read_it():
    model = build_graph(lived_model("3x3,4"))
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", OPSET)]
    assert model.ir_version == IR_VERSION == onnx.helper.find_min_ir_version_for(model.opset_import)
    newest_needed = max(
        onnx.defs.get_schema(node.op_type, OPSET).since_version for node in model.graph.node
    )
    assert newest_needed <= OPSET


@pytest.mark.parametrize(("batch", "declared"), [(1, 1), (7, 7), (None, "N")])
def test_the_batch_is_declared_at_both_ends(batch, declared):
    graph = build_graph(lived_model("3x3,4"), batch=batch)
    shapes = [
        [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]
        for value in (*graph.graph.input, *graph.graph.output)
    ]
    assert shapes == [[declared, 1, 40, 32], [declared, 4]]
    set_batch(graph, 2)
    assert graph == build_graph(lived_model("3x3,4"), batch=2)


def test_the_cost_model_reads_it_as_the_network_it_is(tmp_path):
    model = lived_model("3x3,8 1x1,4 2x4,6")
    onnx.save(build_graph(model), tmp_path / "model.onnx")
    found, _ = from_onnx(tmp_path / "model.onnx")
    expected = to_network(model.architecture, classes=len(model.words))
    convolutions = [operator for operator, _, _ in found.convolutions()]
    assert convolutions == [operator for operator, _, _ in expected.convolutions()]
    assert flops(found) == flops(expected)
