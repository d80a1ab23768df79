import math

import numpy as np
import pytest
import torch

from costmodel.network import Network
from kws.architecture import PUBLISHED, SEED, Architecture, to_network
from kws.errors import InputError
from kws.module import export_weights, to_module

ODD_ARCHITECTURES = [
    "4x10,7 3x3,5",  # the seed's even first kernel
    "2x4,3 4x2,6/2x2 5x5,4/3x2",
    "1x1,3/4x4 2x2,4",
    "5x5,2/1x1 4x5,3/2x3",
]


def slow_forward(network: Network, weights, features):
    """The network from its definition, one clip [H, W, C], one output position at a time."""
    x = features
    for node in network.nodes():
        w = weights.get(node, {})
        if node.startswith("conv"):
            x = slow_convolution(x, w["weight"], network.operator(node).stride)
        elif node.startswith("bn"):
            x = (x - w["mean"]) / np.sqrt(w["variance"] + 1e-5) * w["gamma"] + w["beta"]
        elif node.startswith("relu"):
            x = np.maximum(x, 0)
        elif node == "pool":
            x = x.mean(axis=(0, 1))
        else:
            x = w["weight"] @ x + w["bias"]
    return x


def slow_convolution(x, weight, stride):
    """TensorFlow's 'SAME': the odd row and column of zeros at the bottom and right."""
    filters, _, kh, kw = weight.shape
    h, w = math.ceil(x.shape[0] / stride[0]), math.ceil(x.shape[1] / stride[1])
    rows = max((h - 1) * stride[0] + kh - x.shape[0], 0)
    columns = max((w - 1) * stride[1] + kw - x.shape[1], 0)
    padded = np.pad(
        x,
        ((rows // 2, rows - rows // 2), (columns // 2, columns - columns // 2), (0, 0)),
    )
    out = np.zeros((h, w, filters))
    for i in range(h):
        for j in range(w):
            top, left = i * stride[0], j * stride[1]
            window = padded[top : top + kh, left : left + kw]
            out[i, j] = np.einsum("hwc,mchw->m", window, weight)
    return out


def with_lived_statistics(module):
    generator = torch.Generator().manual_seed(5)
    for name, value in module.named_buffers():
        if name.endswith("running_mean"):
            value.normal_(generator=generator)
        if name.endswith("running_var"):
            value.uniform_(0.5, 2, generator=generator)
    for name, value in module.named_parameters():
        if name.startswith("bn"):
            torch.nn.init.normal_(value, generator=generator)
    return module


@pytest.mark.parametrize("text", ODD_ARCHITECTURES)
def test_module_computes_the_network_of_the_same_architecture(text):
    architecture = Architecture.parse(text)
    network = to_network(architecture)
    module = with_lived_statistics(to_module(architecture, seed=1)).eval()
    features = np.random.default_rng(0).standard_normal((40, 32, 1))
    expected = slow_forward(network, export_weights(module, network), features)
    with torch.inference_mode():
        batch = torch.from_numpy(features.transpose(2, 0, 1)[None].astype(np.float32))
        logits = module(batch).numpy()[0]
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", PUBLISHED)
def test_exported_weights_have_the_names_and_shapes_that_the_network_has(name):
    network = to_network(PUBLISHED[name])
    exported = export_weights(to_module(PUBLISHED[name]), network)
    expected = network.random_weights(0)
    assert {n: {k: a.shape for k, a in p.items()} for n, p in exported.items()} == {
        n: {k: a.shape for k, a in p.items()} for n, p in expected.items()
    }
    assert all(a.flags.c_contiguous for p in exported.values() for a in p.values())


def test_initial_weights_follow_from_the_seed_alone():
    state = torch.random.get_rng_state()
    first = to_module(SEED, seed=4).state_dict()
    torch.rand(3)
    again = to_module(SEED, seed=4).state_dict()
    other = to_module(SEED, seed=5).state_dict()
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not torch.equal(first["conv1.weight"], other["conv1.weight"])
    torch.random.set_rng_state(state)


def test_making_a_module_leaves_the_global_random_state_alone():
    before = torch.random.get_rng_state()
    to_module(SEED)
    assert torch.equal(before, torch.random.get_rng_state())


def test_weights_of_another_architecture_are_refused_by_node():
    module = to_module(Architecture.parse("3x3,4 3x3,5"))
    with pytest.raises(InputError, match=r"node 'conv2' needs a weight of shape \(6, 4, 3, 3\)"):
        export_weights(module, to_network(Architecture.parse("3x3,4 3x3,6")))
    with pytest.raises(InputError, match="module has nothing"):
        export_weights(module, to_network(Architecture.parse("3x3,4 3x3,5 1x1,5")))


def test_classes_and_input_are_those_asked_for():
    module = to_module(Architecture.parse("3x3,4"), 3, input_shape=(20, 11, 1)).eval()
    assert module(torch.zeros(2, 1, 20, 11)).shape == (2, 3)
