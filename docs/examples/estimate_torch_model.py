"""A torch model's latency on several devices, with what each figure rests on, kernel by kernel."""

from pathlib import Path

import torch
from torch import nn

import hw_profiles
from costmodel.estimate import Estimator
from costmodel.frontends.torch_export import from_torch
from costmodel.profile import ProfileStore

INPUT = (1, 3, 32, 32)
"""Batch of one, channels, rows, columns."""
DEVICES = ("raspberry-pi-3b", "odroid-xu3-a15", "gtx-1080ti")


class Separable(nn.Sequential):
    """A depthwise convolution and a pointwise one, as in MobileNet."""

    def __init__(self, channels: int, filters: int, stride: int) -> None:
        super().__init__(
            nn.Conv2d(channels, channels, 3, stride, padding=1, groups=channels, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, filters, 1, bias=False),
            nn.BatchNorm2d(filters),
            nn.ReLU(),
        )


torch.manual_seed(0)
model = nn.Sequential(
    nn.Conv2d(3, 16, 3, stride=2, padding=1),
    nn.ReLU(),
    Separable(16, 32, stride=1),
    Separable(32, 64, stride=2),
    nn.AdaptiveAvgPool2d(1),
    nn.Flatten(),
    nn.Linear(64, 10),
)
network, _ = from_torch(model, INPUT)
store = ProfileStore([Path(hw_profiles.__path__[0])])
for name in DEVICES:
    profile = store.get(name)
    found = Estimator(profile).estimate(network)
    low, high = found.latency_interval_ms
    print(f"{name}: {found.latency_ms:.3f} ms (80 %: {low:.3f} to {high:.3f})")
    facts = profile.calibration()
    print(f"  {facts.origin if facts else 'not calibrated: a roofline estimate'}")
    for kernel in found.kernels:
        print(f"  {1e6 * kernel.seconds:7.1f} µs  {kernel.kernel.title:<24} {kernel.schedule}")
print(f"{found.flops:,} operations, {found.params:,} weights of convolutions (Equations 1 and 2)")
