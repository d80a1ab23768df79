"""Well-known networks as plain torch modules, with seeded weights and lived-in statistics.

Structures follow their papers: MobileNetV2 (Sandler et al. 2018, table 2), MobileNetV3's blocks
(Howard et al. 2019), SqueezeNet's fire (Iandola et al. 2016), ShuffleNet V2's unit (Ma et al.
2018), ResNet-8 and DS-CNN as MLPerf Tiny has them (Banbury et al. 2021), the cells and the skeleton
of NAS-Bench-201 (Dong and Yang 2020).
"""

from itertools import product

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn


def settled(module, seed=0):
    """``module`` in evaluation mode with weights and batch-norm statistics drawn from ``seed``."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for layer in module.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                fan_in = layer.weight[0].numel()
                layer.weight.copy_(
                    torch.randn(layer.weight.shape, generator=generator) * (2 / fan_in) ** 0.5
                )
                if layer.bias is not None:
                    layer.bias.copy_(torch.randn(layer.bias.shape, generator=generator) * 0.1)
            elif isinstance(layer, nn.BatchNorm2d | nn.BatchNorm1d):
                shape = layer.running_mean.shape
                layer.weight.copy_(torch.rand(shape, generator=generator) + 0.5)
                layer.bias.copy_(torch.randn(shape, generator=generator) * 0.2)
                layer.running_mean.copy_(torch.randn(shape, generator=generator) * 0.2)
                layer.running_var.copy_(torch.rand(shape, generator=generator) + 0.5)
    return module.eval()


def conv_bn(inputs, outputs, kernel=3, stride=1, groups=1, activation=nn.ReLU):
    padding = tuple(k // 2 for k in kernel) if isinstance(kernel, tuple) else kernel // 2
    layers = [
        nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
    ]
    return nn.Sequential(*layers, *([activation(inplace=True)] if activation else []))


class InvertedResidual(nn.Module):
    """MobileNetV2's block; with ``squeeze`` MobileNetV3's."""

    def __init__(self, inputs, outputs, stride, expand, activation=nn.ReLU6, squeeze=False):
        super().__init__()
        inner = inputs * expand
        self.residual = stride == 1 and inputs == outputs
        self.expand = conv_bn(inputs, inner, 1, activation=activation) if expand > 1 else None
        self.depthwise = conv_bn(inner, inner, 3, stride, inner, activation)
        self.squeeze = SqueezeExcite(inner) if squeeze else None
        self.project = conv_bn(inner, outputs, 1, activation=None)

    def forward(self, x):
        y = x if self.expand is None else self.expand(x)
        y = self.depthwise(y)
        if self.squeeze is not None:
            y = self.squeeze(y)
        y = self.project(y)
        return x + y if self.residual else y


class SqueezeExcite(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.reduce = nn.Conv2d(channels, channels // 4, 1)
        self.expand = nn.Conv2d(channels // 4, channels, 1)

    def forward(self, x):
        gate = self.expand(F.relu(self.reduce(F.adaptive_avg_pool2d(x, 1))))
        return x * F.hardsigmoid(gate)


MOBILENET_V2 = [
    (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2),
    (6, 320, 1, 1),
]  # fmt: skip
"""Expansion t, channels c, repeats n, stride s."""


def mobilenet_v2(width=1.0, classes=1000):
    def scaled(channels):
        return max(8, int(channels * width + 4) // 8 * 8)

    channels = scaled(32)
    layers = [conv_bn(3, channels, 3, 2, activation=nn.ReLU6)]
    for expand, outputs, repeats, stride in MOBILENET_V2:
        for i in range(repeats):
            layers.append(
                InvertedResidual(channels, scaled(outputs), stride if i == 0 else 1, expand)
            )
            channels = scaled(outputs)
    last = max(1280, scaled(1280))
    layers.append(conv_bn(channels, last, 1, activation=nn.ReLU6))
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(last, classes)]
    return settled(nn.Sequential(nn.Sequential(*layers), *head))


def small_mobilenet_v3():
    return settled(
        nn.Sequential(
            conv_bn(3, 16, 3, 2, activation=nn.Hardswish),
            InvertedResidual(16, 16, 2, 1, nn.ReLU, squeeze=True),
            InvertedResidual(16, 24, 2, 4, nn.ReLU),
            InvertedResidual(24, 24, 1, 3, nn.Hardswish, squeeze=True),
            conv_bn(24, 64, 1, activation=nn.Hardswish),
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(64, 96, 1),
            nn.Hardswish(),
            nn.Flatten(),
            nn.Linear(96, 10),
        )
    )


class Fire(nn.Module):
    def __init__(self, inputs, squeeze, expand):
        super().__init__()
        self.squeeze = nn.Conv2d(inputs, squeeze, 1)
        self.expand1x1 = nn.Conv2d(squeeze, expand, 1)
        self.expand3x3 = nn.Conv2d(squeeze, expand, 3, padding=1)

    def forward(self, x):
        x = F.relu(self.squeeze(x))
        return torch.cat([F.relu(self.expand1x1(x)), F.relu(self.expand3x3(x))], 1)


def small_squeezenet():
    return settled(
        nn.Sequential(
            nn.Conv2d(3, 32, 3, stride=2),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, 2, ceil_mode=True),
            Fire(32, 8, 24),
            Fire(48, 8, 24),
            nn.MaxPool2d(3, 2, ceil_mode=True),
            Fire(48, 12, 32),
            nn.Dropout(),
            nn.Conv2d(64, 10, 1),
            nn.ReLU(inplace=True),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )
    )


def shuffled(x, groups):
    batch, channels, height, width = x.shape
    x = x.view(batch, groups, channels // groups, height, width)
    return torch.transpose(x, 1, 2).contiguous().view(batch, channels, height, width)


class ShuffleUnit(nn.Module):
    """ShuffleNet V2's unit with its two halves; ``stride`` 2 takes the whole input twice."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.stride, half = stride, outputs // 2
        given = inputs if stride == 2 else half
        self.branch = nn.Sequential(
            conv_bn(given, half, 1),
            conv_bn(half, half, 3, stride, half, None),
            conv_bn(half, half, 1),
        )
        self.short = (
            nn.Sequential(conv_bn(inputs, inputs, 3, 2, inputs, None), conv_bn(inputs, half, 1))
            if stride == 2
            else None
        )

    def forward(self, x):
        if self.short is None:
            left, right = x.chunk(2, 1)
        else:
            left, right = self.short(x), x
        return shuffled(torch.cat([left, self.branch(right)], 1), 2)


def small_shufflenet():
    return settled(
        nn.Sequential(
            conv_bn(3, 24, 3, 2),
            nn.MaxPool2d(3, 2, 1),
            ShuffleUnit(24, 48, 2),
            ShuffleUnit(48, 48, 1),
            ShuffleUnit(48, 48, 1),
            conv_bn(48, 64, 1),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(64, 10),
        )
    )


class ResidualBlock(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.short = nn.Conv2d(inputs, outputs, 1, stride) if stride > 1 else nn.Identity()

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + self.short(x))


def resnet8():
    """MLPerf Tiny's image classifier: (1, 3, 32, 32) to ten classes."""
    return settled(
        nn.Sequential(
            nn.Conv2d(3, 16, 3, padding=1),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            ResidualBlock(16, 16, 1),
            ResidualBlock(16, 32, 2),
            ResidualBlock(32, 64, 2),
            nn.AvgPool2d(8),
            nn.Flatten(),
            nn.Linear(64, 10),
            nn.Softmax(1),
        )
    )


def ds_cnn():
    """MLPerf Tiny's keyword spotter: (1, 1, 49, 10) to twelve classes."""
    layers = [
        nn.ZeroPad2d((1, 1, 4, 5)),
        nn.Conv2d(1, 64, (10, 4), 2),
        nn.BatchNorm2d(64),
        nn.ReLU(),
        nn.Dropout(0.2),
    ]
    for _ in range(4):
        layers += [conv_bn(64, 64, 3, groups=64), conv_bn(64, 64, 1)]
    head = [nn.Dropout(0.4), nn.AvgPool2d((25, 5)), nn.Flatten(), nn.Linear(64, 12), nn.Softmax(1)]
    return settled(nn.Sequential(*layers, *head))


NAS_BENCH_201_OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
NAS_BENCH_201_EDGES = ((0,), (0, 1), (0, 1, 2))
"""The nodes that nodes 1, 2 and 3 of a cell read."""


def nas_bench_201_cells():
    """All 15,625 cells, as the benchmark writes them: ``|op~0|+|op~0|op~1|+|op~0|op~1|op~2|``."""
    for operations in product(NAS_BENCH_201_OPERATIONS, repeat=6):
        yield nas_bench_201_text(operations)


def nas_bench_201_text(operations):
    left = iter(operations)
    nodes = (
        "|".join(f"{next(left)}~{source}" for source in sources) for sources in NAS_BENCH_201_EDGES
    )
    return "+".join(f"|{node}|" for node in nodes)


def nas_bench_201_canonical(text):
    """Equal for cells that compute the same function: what 'none' cuts off is left out."""
    nodes = ["0"]
    for node in _cell(text):
        terms = []
        for operation, source in node:
            if operation == "none" or not nodes[source]:
                continue
            short = operation == "skip_connect"
            terms.append(nodes[source] if short else f"{operation}({nodes[source]})")
        nodes.append("+".join(sorted(f"[{term}]" if "+" in term else term for term in terms)))
    return nodes[-1]


def _cell(text):
    """For nodes 1, 2, 3: (operation, node read) each."""
    return [
        [(edge.split("~")[0], int(edge.split("~")[1])) for edge in node.strip("|").split("|")]
        for node in text.split("+")
    ]


def _operation(name, channels):
    if name == "skip_connect":
        return nn.Identity()
    if name == "avg_pool_3x3":
        return nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)
    kernel = 1 if name == "nor_conv_1x1" else 3
    return nn.Sequential(
        nn.ReLU(),
        nn.Conv2d(channels, channels, kernel, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(channels),
    )


class Cell(nn.Module):
    """A cell as it would be deployed: an edge 'none' adds nothing, so it is not there."""

    def __init__(self, text, channels):
        super().__init__()
        self.cell = _cell(text)
        self.edges = nn.ModuleDict(
            {
                f"{i}_{source}": _operation(name, channels)
                for i, node in enumerate(self.cell)
                for name, source in node
                if name != "none"
            }
        )

    def forward(self, x):
        values = [x]
        for i, node in enumerate(self.cell):
            terms = [
                self.edges[f"{i}_{source}"](values[source])
                for name, source in node
                if name != "none" and values[source] is not None
            ]
            values.append(sum(terms[1:], terms[0]) if terms else None)
        return x * 0.0 if values[-1] is None else values[-1]


class Reduction(nn.Module):
    """The residual block between two stages."""

    def __init__(self, channels):
        super().__init__()

        def unit(inputs, stride):
            return nn.Sequential(
                nn.ReLU(),
                nn.Conv2d(inputs, 2 * channels, 3, stride, 1, bias=False),
                nn.BatchNorm2d(2 * channels),
            )

        self.first, self.second = unit(channels, 2), unit(2 * channels, 1)
        self.short = nn.Sequential(
            nn.AvgPool2d(2, 2), nn.Conv2d(channels, 2 * channels, 1, bias=False)
        )

    def forward(self, x):
        return self.short(x) + self.second(self.first(x))


def nas_bench_201(text, cells=5, channels=16, classes=10):
    """The network of a cell: (1, 3, 32, 32) to ``classes``; the benchmark has 5 cells a stage."""
    layers = [nn.Conv2d(3, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels)]
    for stage in range(3):
        layers += [Cell(text, channels * 2**stage) for _ in range(cells)]
        if stage < 2:
            layers.append(Reduction(channels * 2**stage))
    last = channels * 4
    head = [nn.BatchNorm2d(last), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return settled(nn.Sequential(*layers, *head, nn.Linear(last, classes)))
