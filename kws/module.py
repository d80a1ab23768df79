"""Architectures as torch modules, and their weights in the layouts of the cost model.

Shapes: N clips, H coefficients, W frames, M filters.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from costmodel.network import Network, Weights
from kws.architecture import INPUT_SHAPE, Architecture, to_network
from kws.errors import InputError

_TORCH_NAMES = {
    "conv": {"weight": "weight"},
    "bn": {
        "gamma": "weight",
        "beta": "bias",
        "mean": "running_mean",
        "variance": "running_var",
    },
    "dense": {"weight": "weight", "bias": "bias"},
}
"""Kind of node -> parameter name in `costmodel.operators` -> its name in the torch module."""


_CONV_GAIN = 3**-0.5
"""Initial weights have this deviation over the root of the fan-in.

It is that of torch's own default. Batch normalisation takes scale out of what a convolution
gives, so this one only sets how far a step of the optimiser turns the weights: with He's root
of 2 the training loss of kws7 after 500 iterations was 1.55 in place of 1.37.
"""


class KeywordNet(nn.Module):
    """An architecture that can be trained: features [N, 1, H, W] in, logits [N, classes] out.

    Its layers carry the names of the nodes of `kws.architecture.to_network`: ``conv1``,
    ``bn1``, ..., ``dense``. Build it with `to_module`.
    """

    def __init__(self, network: Network) -> None:
        """Takes shapes and paddings from ``network``, so that the two cannot differ."""
        super().__init__()
        self.depth = 0
        channels = network.input_shape[2]
        for number, (convolution, _, _) in enumerate(network.convolutions(), start=1):
            top, left, bottom, right = convolution.padding
            symmetric = (top, left) == (bottom, right)
            padding = nn.Identity() if symmetric else nn.ZeroPad2d((left, right, top, bottom))
            layer = nn.Conv2d(
                channels,
                convolution.filters,
                convolution.kernel,
                stride=convolution.stride,
                padding=(top, left) if symmetric else 0,
                bias=False,
            )
            self.add_module(f"pad{number}", padding)
            self.add_module(f"conv{number}", layer)
            self.add_module(f"bn{number}", nn.BatchNorm2d(convolution.filters))
            channels = convolution.filters
            self.depth = number
        self.dense = nn.Linear(channels, network.shape(network.output)[0])

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        x = features
        for number in range(1, self.depth + 1):
            x = self.get_submodule(f"conv{number}")(self.get_submodule(f"pad{number}")(x))
            x = nn.functional.relu(self.get_submodule(f"bn{number}")(x), inplace=True)
        logits: torch.Tensor = self.dense(x.mean(dim=(2, 3)))
        return logits


def to_module(
    architecture: Architecture,
    classes: int = 10,
    *,
    input_shape: tuple[int, int, int] = INPUT_SHAPE,
    seed: int = 0,
) -> KeywordNet:
    """The architecture as a module for features [N, 1, 40, 32] (float32), on the CPU.

    Weights are drawn from ``seed`` alone; torch's global random state is neither read nor
    changed.

    Raises:
        InputError: for fewer than two classes.

    """
    with torch.device("meta"):
        module = KeywordNet(to_network(architecture, input_shape, classes))
    module.to_empty(device="cpu")
    generator = torch.Generator().manual_seed(seed)
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            fan_in = layer.weight[0].numel()
            nn.init.normal_(layer.weight, std=_CONV_GAIN * fan_in**-0.5, generator=generator)
        elif isinstance(layer, nn.BatchNorm2d):
            layer.reset_parameters()
        elif isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, std=layer.in_features**-0.5, generator=generator)
            nn.init.zeros_(layer.bias)
    return module.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def export_weights(module: nn.Module, network: Network) -> Weights:
    """The parameters of a module from `to_module` under the node names of its network.

    Batch normalisation is exported as in evaluation: with its running statistics.

    Raises:
        InputError: where module and network are not of one architecture.

    """
    weights: dict[str, dict[str, npt.NDArray[np.float32]]] = {}
    expected = network.random_weights(0)
    state = module.state_dict()
    for node, arrays in expected.items():
        names = _TORCH_NAMES[node.rstrip("0123456789")]
        weights[node] = {}
        for name, array in arrays.items():
            tensor = state.get(f"{node}.{names[name]}")
            if tensor is None or tuple(tensor.shape) != array.shape:
                found = "nothing" if tensor is None else f"the shape {tuple(tensor.shape)}"
                raise InputError(
                    f"the network's node '{node}' needs a {name} of shape {array.shape} and the "
                    f"module has {found}; make both from one architecture"
                )
            weights[node][name] = np.ascontiguousarray(
                tensor.detach().cpu().numpy(), dtype=np.float32
            )
    return weights
