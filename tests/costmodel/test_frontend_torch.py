import models
import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import largest_relative_error, torch_output
from torch import nn

from costmodel.errors import InputError
from costmodel.frontends.torch_export import from_torch
from costmodel.frontends.windows import ceil_padding
from costmodel.network import Network
from costmodel.operators import (
    Activation,
    BatchNorm,
    Combine,
    Conv2d,
    Dense,
    Flatten,
    GlobalAveragePool,
    Pool2d,
    TvmOperator,
)


class Run(nn.Module):
    """A function as a module, with the layers it uses."""

    def __init__(self, function, **layers):
        super().__init__()
        self.function = function
        for name, layer in layers.items():
            setattr(self, name, layer)

    def forward(self, x):
        return self.function(self, x)


def imported(module, shape, seed=1):
    """The network of ``module``, after a check that both compute the same."""
    x = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    module.eval()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    network, weights = from_torch(module, shape)
    with torch.no_grad():
        expected = module(x.clone())[0]
    expected = (expected.permute(1, 2, 0) if expected.ndim == 3 else expected).squeeze().numpy()
    given = x[0].permute(1, 2, 0).numpy() if x.ndim == 4 else x[0].numpy()
    found = torch_output(network, weights, given)
    assert np.ptp(expected) > 0, "a constant output would agree with anything"
    assert largest_relative_error(found, expected) < 1e-4
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())
    assert all(set(weights[n]) == set(network.operator(n).parameters) for n in weights)
    return network


def kinds(network):
    return [type(network.operator(node)) for node in network.nodes()]


MAP = (1, 6, 9, 8)
VECTOR = (1, 12)


@pytest.mark.parametrize(
    "conv",
    [
        nn.Conv2d(6, 5, (3, 2), (2, 1), (1, 2)),
        nn.Conv2d(6, 4, 3, padding=2, dilation=2, bias=False),
        nn.Conv2d(6, 12, 3, groups=6),
        nn.Conv2d(6, 4, 1, stride=3, groups=2),
        nn.Conv2d(6, 4, (4, 2), padding="same"),
        nn.Conv2d(6, 4, 3, padding="same", dilation=(1, 2)),
        nn.Conv2d(6, 4, 5, padding="valid"),
    ],
    ids=str,
)
def test_a_convolution_of_any_sort_is_taken(conv):
    found = kinds(imported(nn.Sequential(conv), MAP))
    assert found[0] is Conv2d
    assert TvmOperator not in found


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda _, x: F.relu(x), [Activation]),
        (lambda _, x: F.relu6(x * 4), [BatchNorm, Activation]),
        (lambda _, x: torch.clamp(x * 4, 0, 6), [BatchNorm, Activation]),
        (lambda _, x: torch.clamp(x, min=0), [Activation]),
        (lambda _, x: F.hardtanh(x * 4, 0, 6), [BatchNorm, Activation]),
        (lambda _, x: F.hardswish(x), [Activation]),
        (lambda _, x: F.hardsigmoid(x), [Activation]),
        (lambda _, x: torch.sigmoid(x), [Activation]),
        (lambda _, x: F.silu(x), [Activation, Combine]),
        (lambda _, x: -x, [BatchNorm]),
        (lambda _, x: x / 3, [BatchNorm]),
        (lambda _, x: F.relu(x) + x, [Activation, Combine]),
        (lambda _, x: F.relu(x) - x, [Activation, BatchNorm, Combine]),
        (lambda _, x: torch.add(F.relu(x), x, alpha=0.5), [Activation, BatchNorm, Combine]),
        (lambda _, x: F.relu(x) * x, [Activation, Combine]),
        (lambda _, x: torch.cat([x, F.relu(x), x], 1).relu(), None),
        (lambda _, x: F.softmax(x, 1), None),
        (lambda _, x: F.dropout(x, training=False).relu(), [Activation]),
        (lambda _, x: x.contiguous().clone().relu(), [Activation]),
    ],
)
@pytest.mark.parametrize("shape", [MAP, VECTOR])
def test_functions_of_single_numbers_and_channels_are_taken(function, expected, shape):
    found = kinds(imported(Run(function), shape))
    assert TvmOperator not in found
    if expected is not None:
        assert [kind.__name__ for kind in found] == [kind.__name__ for kind in expected]


@pytest.mark.parametrize(
    "function",
    [
        lambda _, x: 2.5 + x,
        lambda _, x: 1.0 - x,
        lambda m, x: x + m.offset,
        lambda m, x: (x - m.offset) * m.offset,
        lambda m, x: x / (m.offset.abs() + 1),
    ],
)
def test_a_constant_per_channel_folds_into_batch_norm_or_bias(function):
    offset = nn.Parameter(torch.randn(6, 1, 1))
    found = kinds(imported(Run(function, offset=offset), MAP))
    assert {kind.__name__ for kind in found} <= {"BatchNorm", "Bias"}


@pytest.mark.parametrize(
    "layer",
    [
        nn.MaxPool2d(3, 2, 1),
        nn.MaxPool2d(2, ceil_mode=True),
        nn.MaxPool2d((3, 2), (2, 3), (1, 0), ceil_mode=True),
        nn.AvgPool2d(3, 2, 1),
        nn.AvgPool2d(3, 1, 1, count_include_pad=False),
        nn.AvgPool2d(3, 2, 1, ceil_mode=True, count_include_pad=False),
        nn.AvgPool2d(2, 2, ceil_mode=False),
        nn.AdaptiveAvgPool2d((3, 4)),
        nn.AdaptiveMaxPool2d((3, 1)),
        nn.AdaptiveAvgPool2d((None, 2)),
        nn.Sequential(nn.ZeroPad2d((1, 0, 2, 1)), nn.AvgPool2d(3, 2)),
    ],
    ids=str,
)
def test_pooling_is_taken(layer):
    assert kinds(imported(nn.Sequential(layer), MAP)) == [Pool2d]


@pytest.mark.parametrize(
    "function",
    [
        lambda _, x: x.mean((2, 3)),
        lambda _, x: x.mean([-1, -2], keepdim=True).flatten(1),
        lambda _, x: F.adaptive_avg_pool2d(x, 1),
        lambda _, x: F.adaptive_avg_pool2d(x, 1).squeeze(-1).squeeze(-1),
        lambda _, x: F.avg_pool2d(x, (9, 8)).view(1, -1),
    ],
)
def test_the_mean_of_a_whole_map_is_a_global_pool(function):
    assert kinds(imported(Run(function), MAP)) == [GlobalAveragePool]


@pytest.mark.parametrize(
    "flatten",
    [
        lambda _, x: x.flatten(1),
        lambda _, x: x.view(1, -1),
        lambda _, x: torch.reshape(x, (x.shape[0], -1)),
    ],
)
def test_flatten_before_dense_keeps_torchs_order(flatten):
    module = nn.Sequential(Run(flatten), models.settled(nn.Linear(6 * 9 * 8, 4)))
    assert kinds(imported(module, MAP)) == [Flatten, Dense]


@pytest.mark.parametrize(
    "function",
    [
        lambda m, x: x @ m.weight.T,
        lambda m, x: torch.mm(x, m.weight.T),
        lambda m, x: torch.addmm(m.bias, x, m.weight.T),
        lambda m, x: F.linear(x, m.weight * 2, m.bias),
    ],
)
def test_a_product_with_a_constant_matrix_is_dense(function):
    layers = {"weight": nn.Parameter(torch.randn(5, 12)), "bias": nn.Parameter(torch.randn(5))}
    assert kinds(imported(Run(function, **layers), VECTOR)) == [Dense]


@pytest.mark.parametrize("groups", [2, 3])
@pytest.mark.parametrize(
    "shuffle",
    [
        models.shuffled,
        F.channel_shuffle,
        lambda x, g: x.reshape(1, g, -1, 9, 8).permute(0, 2, 1, 3, 4).reshape(1, -1, 9, 8),
        lambda x, g: x.view(1, g, -1, 72).transpose(1, 2).contiguous().view(1, -1, 9, 8),
    ],
)
def test_every_way_to_write_a_channel_shuffle_is_one(shuffle, groups):
    network = imported(Run(lambda _, x: shuffle(x, groups)), MAP)
    (node,) = network.nodes()
    assert network.operator(node).groups == groups


def test_zeros_around_a_convolution_become_its_padding():
    module = nn.Sequential(nn.ZeroPad2d((0, 1, 2, 3)), nn.Conv2d(6, 4, (4, 3), padding=1))
    network = imported(module, MAP)
    assert network.operator("1").padding == (3, 1, 4, 2)
    assert TvmOperator not in kinds(network)


def test_zeros_that_others_read_too_stay():
    def function(module, x):
        y = F.pad(x, (1, 1, 1, 1))
        return module.conv(y) + y

    network = imported(Run(function, conv=nn.Conv2d(6, 6, 3, padding=1)), MAP)
    assert kinds(network)[0] is TvmOperator


def test_squeeze_and_excite_is_dense_layers_and_a_product():
    found = kinds(imported(models.settled(models.SqueezeExcite(8)), (1, 8, 7, 5)))
    expected = [GlobalAveragePool, Dense, Activation, Dense, Activation, Combine]
    assert found == expected


def test_squeeze_and_excite_with_linear_layers_is_the_same():
    def function(m, x):
        gate = torch.sigmoid(m.layer(x.mean((2, 3)))).view(1, -1, 1, 1)
        return gate * x

    found = kinds(imported(Run(function, layer=nn.Linear(6, 6)), MAP))
    assert found == [GlobalAveragePool, Dense, Activation, Combine]


def test_a_padded_convolution_of_one_pixel_uses_its_middle():
    module = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(6, 4, 3, padding=1))
    assert kinds(imported(module, MAP)) == [GlobalAveragePool, Dense]


def test_a_map_of_one_pixel_multiplies_as_a_vector():
    module = Run(lambda m, x: x * torch.sigmoid(m.conv(x)), conv=nn.Conv2d(6, 6, (9, 8)))
    assert Flatten in kinds(imported(module, MAP))


@pytest.mark.parametrize(
    ("function", "title"),
    [
        (lambda _, x: F.gelu(x), "relax.nn.gelu"),
        (lambda _, x: torch.tanh(x), "relax.tanh"),
        (lambda _, x: F.elu(x), ""),
        (lambda _, x: x[:, 1:4], "relax.strided_slice"),
        (lambda _, x: x.permute(0, 2, 3, 1), "relax.permute_dims"),
        (lambda _, x: F.interpolate(x, scale_factor=2), "relax.image.resize2d"),
        (lambda _, x: F.adaptive_avg_pool2d(x, (4, 5)), "relax.nn.adaptive_avg_pool2d"),
        (lambda _, x: F.pad(x, (1, 1, 1, 1), mode="reflect"), ""),
        (lambda _, x: F.pad(x, (1, 2, 0, 1)), "relax.nn.pad"),
        (lambda _, x: x * x.amax(1, keepdim=True), ""),
        (lambda _, x: F.softmax(x.flatten(2), -1).view(x.shape), "relax.nn.softmax"),
        (lambda _, x: F.max_pool2d(x, 3, 1, dilation=2), "relax.nn.max_pool2d"),
        (lambda _, x: x * F.layer_norm(x, x.shape[1:]), "relax.nn.layer_norm"),
        (lambda _, x: (x > 0) * x, ""),
    ],
)
def test_anything_else_goes_through_tvm(function, title):
    network = imported(Run(function), MAP)
    found = [network.operator(n) for n in network.nodes()]
    lowered = [operator for operator in found if isinstance(operator, TvmOperator)]
    assert lowered
    assert any(title in operator.title for operator in lowered)


@pytest.mark.parametrize(
    ("layer", "parameters"),
    [
        (nn.PReLU(6), [(6,)]),
        (nn.ConvTranspose2d(6, 4, 3, 2), [(6, 4, 3, 3), (4,)]),
        (nn.InstanceNorm2d(6, affine=True), [(6,), (6,)]),
        (nn.GroupNorm(3, 6), [(6,), (6,)]),
    ],
    ids=str,
)
def test_constants_of_tvms_functions_are_parameters(layer, parameters):
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(torch.rand_like(parameter) + 0.5)
    network = imported(nn.Sequential(layer), MAP)
    (node,) = network.nodes()
    found = network.operator(node).parameter_shapes
    assert sorted(map(np.prod, found)) == sorted(map(np.prod, parameters))


def test_tensors_that_a_network_cannot_hold_stay_inside_one_function():
    def attention(_, x):
        q = x.flatten(2)
        return (q @ torch.softmax(q.transpose(1, 2) @ q, -1)).view(x.shape).relu()

    assert kinds(imported(Run(attention), MAP)) == [TvmOperator, Activation]


def test_equal_functions_are_equal_text():
    network = imported(Run(lambda _, x: F.gelu(F.relu(F.gelu(x)))), MAP)
    first, _, second = (network.operator(node) for node in network.nodes())
    assert first == second


def _read_after(m, x):
    y = m.conv(x)
    return y.relu_() + y


def _view_before(m, x):
    y = m.conv(x)
    flat = y.flatten(1)
    y.relu_()
    return flat


def _through_a_view(m, x):
    y = m.conv(x)
    y[:, :3].relu_()
    return y


def _through_dropout(m, x):
    y = m.conv(x)
    F.dropout(y, training=False).relu_()
    return y


@pytest.mark.parametrize(
    "function",
    [
        lambda m, x: m.conv(x).relu_().add_(x).relu_(),
        lambda m, x: m.norm(m.conv(x)).mul_(2.0),
        _read_after,
        _view_before,
        _through_a_view,
        _through_dropout,
    ],
)
def test_changes_in_place_mean_what_they_mean_in_torch(function):
    layers = {"conv": nn.Conv2d(6, 6, 3, padding=1), "norm": models.settled(nn.BatchNorm2d(6))}
    imported(Run(function, **layers), MAP)


def test_a_module_in_training_mode_is_read_in_evaluation_mode_and_left_in_training():
    module = nn.Sequential(nn.Conv2d(6, 4, 3), nn.BatchNorm2d(4), nn.Dropout())
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    network, _ = from_torch(module, MAP)
    assert kinds(network) == [Conv2d, type(network.operator("0.bias")), BatchNorm]
    assert module.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())


def test_weights_are_copies():
    module = nn.Sequential(nn.Conv2d(6, 4, 3, bias=False)).eval()
    _, weights = from_torch(module, MAP)
    before = weights["0"]["weight"].copy()
    with torch.no_grad():
        module[0].weight.zero_()
    assert np.array_equal(weights["0"]["weight"], before)


def test_nodes_are_named_after_layers_and_operations():
    network, _ = from_torch(models.resnet8(), (1, 3, 32, 32))
    nodes = list(network.nodes())
    assert nodes[:8] == ["0", "0.bias", "1", "2", "3.conv1", "3.conv1.bias", "3.bn1", "3.relu"]
    assert {"3.add", "3.relu_1", "4.short"} <= set(nodes)


def test_what_does_not_reach_the_output_is_left_out():
    def function(module, x):
        module.conv(x).relu()
        return x.sigmoid()

    assert len(kinds(imported(Run(function, conv=nn.Conv2d(6, 6, 3)), MAP))) == 1


@pytest.mark.parametrize(
    ("build", "shape"),
    [
        (models.resnet8, (1, 3, 32, 32)),
        (models.ds_cnn, (1, 1, 49, 10)),
        (models.small_mobilenet_v3, (1, 3, 32, 32)),
        (models.small_squeezenet, (1, 3, 47, 40)),
        (models.small_shufflenet, (1, 3, 32, 32)),
        (lambda: models.mobilenet_v2(0.35), (1, 3, 64, 64)),
    ],
)
def test_well_known_networks_agree_with_torch(build, shape):
    imported(build(), shape)


def test_mobilenet_v2_is_convolutions_and_sums_alone():
    found = kinds(imported(models.mobilenet_v2(classes=10), (1, 3, 32, 32)))
    assert found.count(Conv2d) == 52
    assert found.count(Combine) == 10
    assert TvmOperator not in found


NAS_BENCH_201_SAMPLE = [
    *(models.nas_bench_201_text([name] * 6) for name in models.NAS_BENCH_201_OPERATIONS),
    "|nor_conv_3x3~0|+|none~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_1x1~1|skip_connect~2|",
    "|none~0|+|nor_conv_1x1~0|nor_conv_3x3~1|+|none~0|none~1|avg_pool_3x3~2|",
]


@pytest.mark.parametrize("cell", NAS_BENCH_201_SAMPLE)
def test_a_network_of_nas_bench_201_agrees_with_torch(cell):
    imported(models.nas_bench_201(cell, cells=1), (1, 3, 32, 32))


def test_the_whole_network_of_nas_bench_201_agrees_with_torch():
    cell = models.nas_bench_201_text(["nor_conv_3x3", "nor_conv_1x1", "skip_connect"] * 2)
    found = kinds(imported(models.nas_bench_201(cell), (1, 3, 32, 32)))
    assert found.count(Conv2d) == 1 + 15 * 4 + 2 * 3


def test_nas_bench_201_has_its_15625_cells_of_which_fewer_differ():
    cells = list(models.nas_bench_201_cells())
    assert len(set(cells)) == len(cells) == 5**6
    collapsed = {models.nas_bench_201_canonical(cell) for cell in cells}
    assert 5_000 < len(collapsed) <= 6_466  # the paper's count, which keeps some terms of zero


def test_cells_that_compute_the_same_collapse():
    first = "|skip_connect~0|+|none~0|nor_conv_1x1~1|+|none~0|none~1|avg_pool_3x3~2|"
    second = "|nor_conv_3x3~0|+|nor_conv_1x1~0|none~1|+|none~0|none~1|avg_pool_3x3~2|"
    other = "|nor_conv_3x3~0|+|nor_conv_3x3~0|none~1|+|none~0|none~1|avg_pool_3x3~2|"
    canonical = models.nas_bench_201_canonical
    assert canonical(first) == canonical(second) != canonical(other)


@pytest.mark.parametrize(
    ("module", "shape", "message"),
    [
        ("model.pt", MAP, "a torch.nn.Module is needed, got str"),
        (nn.ReLU(), (2, 6, 9, 8), r"batch 2 in \(2, 6, 9, 8\); give an input of batch one"),
        (nn.ReLU(), (6, 9, 8), r"has the shape \(1, C, H, W\) or \(1, C\), got \(6, 9, 8\)"),
        (nn.ReLU(), (1, 6, 0, 8), "positive whole extents"),
        (nn.ReLU(), torch.zeros(MAP, dtype=torch.int64), "the input is torch.int64; float32"),
        (nn.Conv2d(6, 4, 3).half(), MAP, r"'weight' is torch.float16; call .float\(\)"),
        (nn.Conv2d(3, 4, 3), MAP, r"cannot trace the module on \(1, 6, 9, 8\): .*channels"),
        (nn.Bilinear(2, 3, 4), MAP, "does not take one tensor; a network has one input"),
        (Run(lambda _, x: (x, x + 1)), MAP, "the module gives 2 tensors; a network has one output"),
        (nn.Identity(), MAP, "the output is the input itself"),
        (Run(lambda *_: torch.ones(1, 4)), MAP, "the output does not depend on the input"),
        (Run(lambda _, x: x if x.sum() > 0 else -x), MAP, "may depend on shapes, not on values"),
        (Run(lambda _, x: x[x > 0].sum().view(1, 1)), MAP, "depend"),
        (Run(lambda _, x: x.argmax(1)), MAP, r"node 'argmax' \(argmax\): the output has the shape"),
        (Run(lambda _, x: x + torch.rand(1)), MAP, r"node 'rand' \(rand\): it draws random"),
        (nn.BatchNorm2d(6, track_running_stats=False), MAP, "track_running_stats=True"),
        (Run(lambda _, x: x.flatten(2)), MAP, r"the output has the shape \[1, 6, 72\]"),
        (Run(lambda _, x: x.double().float() * 0.1), MAP, None),
        (Run(lambda _, x: torch.linalg.qr(x)[0]), MAP, r"node 'getitem' .*TVM cannot lower it"),
        (Run(lambda _, x: torch.i0(x)), MAP, r"node 'i0' .*TVM cannot lower it \(Unsupported"),
        (Run(lambda _, x: x.sort(1)[0]), MAP, r"node 'getitem' .*TVM has no loops for relax"),
    ],
)
def test_bad_input_is_one_line_that_says_what_is_wrong(module, shape, message):
    if message is None:
        from_torch(module.eval(), shape)
        return
    with pytest.raises(InputError, match=message) as error:
        from_torch(module.eval() if isinstance(module, nn.Module) else module, shape)
    assert "\n" not in str(error.value)


def test_an_example_tensor_serves_as_its_shape():
    network, _ = from_torch(nn.ReLU(), torch.randn(1, 3, 5, 4))
    assert network.input_shape == (5, 4, 3)
    assert network.shape(Network.INPUT) == network.shape(network.output)


extents = st.integers(1, 9)


@settings(deadline=None)
@given(size=extents, window=extents, stride=st.integers(1, 4), before=extents, seed=extents)
def test_ceil_padding_gives_torchs_places(size, window, stride, before, seed):
    before = min(before - 1, window // 2)
    if size + 2 * before < window:
        return
    padding = ceil_padding((size, size), (window, window), (stride, stride), (before,) * 4)
    x = torch.randn(1, 1, size, size, generator=torch.Generator().manual_seed(seed))
    expected = F.max_pool2d(x, window, stride, before, ceil_mode=True)
    top, left, bottom, right = padding
    padded = F.pad(x, (left, right, top, bottom), value=float("-inf"))
    assert torch.equal(F.max_pool2d(padded, window, stride), expected)
