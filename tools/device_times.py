"""What one second of sound takes on a device: its features, and the network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from costmodel.errors import CostModelError
from costmodel.estimate import Estimator
from costmodel.measure import measure_kernel, measure_networks, measure_parts
from costmodel.mfcc.kernel import mfcc_job
from costmodel.network import Network
from costmodel.profile import Profile
from kws.mfcc import MfccSettings
from tools.device_features import plan_of
from tools.places import open_runner


@dataclass(frozen=True, kw_only=True)
class DeviceTimes:
    """Measured milliseconds, by network."""

    network_ms: Mapping[str, float]
    features_ms: Mapping[str, float | None]
    """Of the features that the network takes; None where they are others than ours."""
    no_features: str | None = None
    """Why no features were measured, where some should have been."""
    kernel_us: Mapping[str, float] = field(default_factory=dict)
    """Measured microseconds of the networks' kernels by themselves, by their jobs' keys."""

    def total_ms(self, name: str) -> float | None:
        """From sound to answer."""
        features_ms = self.features_ms[name]
        return None if features_ms is None else features_ms + self.network_ms[name]


def measure_end_to_end(
    networks: Mapping[str, Network],
    estimator: Estimator,
    profile: Profile,
    *,
    kernels: bool = False,
) -> DeviceTimes:
    """All in one run of the runner, the features of `MfccSettings()` once; kernels where wanted.

    Raises DeviceError where a network could not be measured; features that could not be are left
    out, with the reason.
    """
    programs = {name: estimator.estimate(n).program for name, n in networks.items()}
    settings = MfccSettings()
    takes = {name: _extents(network) == settings.shape for name, network in networks.items()}
    features_ms, reason = None, None
    with open_runner(profile) as runner:
        network_ms = measure_networks(programs, runner, profile.protocol)
        kernel_us = measure_parts(programs, runner, profile.protocol) if kernels else {}
        if any(takes.values()):
            try:
                job = mfcc_job(plan_of(settings), profile.target())
                features_ms = measure_kernel(job, runner, profile.protocol)
            except CostModelError as error:
                reason = str(error)
    return DeviceTimes(
        network_ms=network_ms,
        features_ms={name: features_ms if takes[name] else None for name in networks},
        no_features=reason,
        kernel_us=kernel_us,
    )


def _extents(network: Network) -> tuple[int, ...]:
    """Of the input, whichever way its one channel lies."""
    return tuple(extent for extent in network.input_shape if extent > 1)
