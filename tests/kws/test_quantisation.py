import dataclasses

import numpy as np
import onnx
import pytest
from trained import WORDS, lived_model

from kws.errors import InputError
from kws.onnx_model import load_onnx
from kws.quantisation import (
    FLOAT_LAYERS,
    QuantisationSettings,
    quantise,
    quantised_graph,
)

TEXT = "3x3,8 1x1,12 3x3,10"
FEW = QuantisationSettings(clips=60)


@pytest.fixture(scope="module")
def model(feature_set):
    """Of the set's own normalisation and words."""
    drawn = lived_model(TEXT, words=feature_set.words)
    return dataclasses.replace(drawn, normalisation=feature_set.normalisation)


@pytest.fixture(scope="module")
def file(model, feature_set, tmp_path_factory):
    path = tmp_path_factory.mktemp("int8") / "model.int8.onnx"
    quantise(path, model, feature_set, FEW, batch=None)
    return path


def test_weights_are_whole_numbers_symmetric_and_within_half_a_step(model, file):
    """Each filter by its own scale: the largest weight over 127."""
    graph = onnx.load(str(file)).graph
    arrays = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    float32 = quantised_reference(model)
    for name in ("conv2", "conv3"):
        whole, scale = arrays[f"{name}.weight_quantized"], arrays[f"{name}.weight_scale"]
        assert whole.dtype == np.int8
        assert not arrays[f"{name}.weight_zero_point"].any()
        assert np.allclose(scale, np.abs(float32[name]).max(axis=(1, 2, 3)) / 127, rtol=1e-5)
        restored = whole * scale[:, None, None, None]
        assert (np.abs(restored - float32[name]) <= 0.5001 * scale[:, None, None, None]).all()


def quantised_reference(model):
    """Weights with their batch norm folded in, by torch."""
    import torch

    found = {}
    for number in (2, 3):
        convolution = model.module.get_submodule(f"conv{number}")
        norm = model.module.get_submodule(f"bn{number}")
        fused = torch.nn.utils.fuse_conv_bn_eval(convolution, norm)
        found[f"conv{number}"] = fused.weight.detach().numpy()
    return found


def test_the_first_layer_and_the_last_stay_in_float32(file):
    nodes = {node.name: node for node in onnx.load(str(file)).graph.node}
    for layer in FLOAT_LAYERS:
        assert nodes[layer].input[1] == f"{layer}.weight"
    for layer in ("conv2", "conv3"):
        assert nodes[layer].input[1] != f"{layer}.weight"


@pytest.mark.parametrize("calibration", ["minmax", "percentile", "entropy"])
def test_answers_change_little(model, feature_set, tmp_path, capsys, calibration):
    path = tmp_path / "model.onnx"
    quantise(path, model, feature_set, QuantisationSettings(calibration=calibration, clips=60))
    raw = feature_set.splits["testing"].features
    before, after = model.logits(raw), load_onnx(path).logits(raw)
    assert np.sqrt(np.mean((after - before) ** 2)) < 0.2 * before.std()
    assert (after != before).any()
    assert capsys.readouterr().out == ""


def test_scales_are_those_of_the_clips_and_no_others(model, feature_set):
    """Louder features than any that were seen are clipped, by the range that was seen."""
    features = np.ascontiguousarray(feature_set.splits["training"].features[:70])
    settings = QuantisationSettings(calibration="minmax")
    arrays = {
        tensor.name: onnx.numpy_helper.to_array(tensor)
        for tensor in quantised_graph(model, features, settings).graph.initializer
    }
    seen = first_layer(model, features)
    assert arrays["relu1.out_scale"] == pytest.approx(seen.max() / 255, rel=1e-4)
    assert arrays["relu1.out_zero_point"] == 0


def first_layer(model, features):
    import torch

    module = model.module
    with torch.inference_mode():
        x = torch.from_numpy(model.normalisation.apply(features))[:, None]
        return torch.relu(module.bn1(module.conv1(module.pad1(x)))).numpy()


def test_everything_travels_along(model, file):
    found = load_onnx(file)
    assert found.words == model.words
    assert found.architecture == TEXT
    assert found.settings == model.settings
    assert np.array_equal(found.normalisation.mean, model.normalisation.mean)
    assert found.quantised == "int8, percentile over 60 training clips, seed 0"


def test_the_seed_alone_decides(model, feature_set, file, tmp_path):
    for seed, same in ((0, True), (1, False)):
        path = tmp_path / f"{seed}.onnx"
        quantise(path, model, feature_set, dataclasses.replace(FEW, seed=seed), batch=None)
        left = [onnx.load(str(each)).graph.initializer for each in (path, file)]
        assert (left[0] == left[1]) is same


def test_what_cannot_be_quantised_is_said(model, feature_set, tmp_path):
    path = tmp_path / "model.onnx"
    with pytest.raises(InputError, match="one convolution"):
        quantise(path, lived_model("3x3,4", words=WORDS), feature_set, FEW)
    with pytest.raises(InputError, match=r"has \d+ training clips, not 5000; ask for fewer"):
        quantise(path, model, feature_set, QuantisationSettings(clips=5000))
    with pytest.raises(InputError, match="minmax, entropy, percentile are known"):
        QuantisationSettings(calibration="best")
    with pytest.raises(InputError, match="at least one"):
        QuantisationSettings(clips=0)
    assert not path.exists()
