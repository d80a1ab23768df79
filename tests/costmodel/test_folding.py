import numpy as np
import pytest
import torch
from drawing import make_target, small_network
from hypothesis import given, settings
from hypothesis import strategies as st

from costmodel.errors import InputError
from costmodel.folding import fold
from costmodel.network import Network
from costmodel.partition import partition

TARGET = make_target(lanes=8)


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 6), st.integers(1, 6), st.floats(1e-6, 1e-2), st.integers(0, 99))
def test_a_folded_batch_norm_computes_what_torch_does_in_eval_mode(
    channels, filters, epsilon, seed
):
    network = Network((6, 5, channels))
    conv = network.conv2d(Network.INPUT, filters=filters, kernel=(3, 2), name="conv")
    network.batch_norm(network.bias(conv, name="bias"), epsilon=epsilon, name="bn")
    weights = network.random_weights(seed)
    torch_conv = torch.nn.Conv2d(channels, filters, (3, 2))
    norm = torch.nn.BatchNorm2d(filters, eps=epsilon)
    with torch.no_grad():
        torch_conv.weight.copy_(torch.from_numpy(weights["conv"]["weight"]))
        torch_conv.bias.copy_(torch.from_numpy(weights["bias"]["bias"]))
        norm.weight.copy_(torch.from_numpy(weights["bn"]["gamma"]))
        norm.bias.copy_(torch.from_numpy(weights["bn"]["beta"]))
        norm.running_mean.copy_(torch.from_numpy(weights["bn"]["mean"]))
        norm.running_var.copy_(torch.from_numpy(weights["bn"]["variance"]))
        x = torch.randn(1, channels, 6, 5, generator=torch.Generator().manual_seed(seed))
        expected = norm.eval()(torch_conv(x))
        (step,) = partition(network, TARGET)
        weight, bias = fold(network, step, weights)
        folded = torch.nn.functional.conv2d(x, torch.from_numpy(weight), torch.from_numpy(bias))
    torch.testing.assert_close(folded, expected, rtol=1e-4, atol=1e-4)


def test_missing_weights_are_named():
    network = small_network()
    weights = network.random_weights(0)
    steps = partition(network, TARGET)
    without_norm = {k: v for k, v in weights.items() if k != "bn1"}
    with pytest.raises(InputError, match="no weights given for node 'bn1'; given: conv1"):
        fold(network, steps[0], without_norm)
    without_mean = {**weights, "bn1": {k: v for k, v in weights["bn1"].items() if k != "mean"}}
    with pytest.raises(InputError, match="the weights of node 'bn1' lack 'mean'"):
        fold(network, steps[0], without_mean)
    without_bias = {**weights, "dense": {"weight": weights["dense"]["weight"]}}
    with pytest.raises(InputError, match="the weights of node 'dense' lack 'bias'"):
        fold(network, steps[3], without_bias)


def test_weights_in_another_layout_are_refused_and_not_reshaped():
    network = small_network()
    weights = network.random_weights(0)
    (step, *_) = partition(network, TARGET)
    turned = {"weight": np.swapaxes(weights["conv1"]["weight"], 0, 1)}
    with pytest.raises(InputError, match=r"'weight' of node 'conv1' has the shape \(2, 7, 3, 2\)"):
        fold(network, step, {**weights, "conv1": turned})


def test_a_pool_has_nothing_to_fold():
    network = small_network()
    pool = partition(network, TARGET)[2]
    assert fold(network, pool, network.random_weights(0)) == ()
