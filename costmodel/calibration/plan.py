"""What a calibration draws from the space: its networks, and kernels at random."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from costmodel.calibration.settings import CalibrationSettings
from costmodel.errors import InputError
from costmodel.kernels import Kernel
from costmodel.network import Network
from costmodel.partition import Step, partition
from costmodel.runners.contract import KernelJob
from costmodel.schedules.registry import points
from costmodel.target import Target

MAXIMUM_MISSES = 1000
"""Draws that give nothing new after which the space counts as exhausted."""
TOO_FEW_NETWORKS = "the space has too few networks to calibrate on; widen its bounds"
SMALL_FLOPS = 100_000
"""Operations below which a kernel is a pooling or a dense layer, of which there are many alike."""

NetworkSampler = Callable[[np.random.Generator], tuple[str, Network]]
"""Draws a network of the space that the model is for, with the text that names it."""


@dataclass(frozen=True)
class NamedNetwork:
    """A network of the plan, as kernels."""

    name: str
    network: Network
    steps: tuple[Step, ...]

    @property
    def kernel_keys(self) -> set[str]:
        """Workloads that it is made of."""
        return {step.kernel.key for step in self.steps}


@dataclass(frozen=True)
class Networks:
    """Three disjoint sets of networks."""

    overhead: tuple[NamedNetwork, ...]
    """Timed whole and in parts: their difference is the overhead."""
    watched: tuple[NamedNetwork, ...]
    """Timed whole and never in parts: they say when to stop."""
    held_out: tuple[NamedNetwork, ...]
    """Timed whole and never in parts, and looked at once, at the end: the error card."""

    @property
    def secret(self) -> set[str]:
        """Workloads that are never timed by themselves."""
        return _workloads((*self.watched, *self.held_out))

    @property
    def in_parts(self) -> set[str]:
        """Workloads of the overhead networks."""
        return _workloads(self.overhead)


def draw_networks(
    sample: NetworkSampler, target: Target, settings: CalibrationSettings
) -> Networks:
    """Draws the networks from the plan's seed; none shares a secret kernel with the overhead's.

    Raises InputError where the space is too small for that.
    """
    drawn = distinct_networks(sample, target, np.random.default_rng(settings.seed))
    held_out = tuple(next(drawn) for _ in range(settings.held_out_networks))
    # A plan made ahead has nothing to watch.
    watched = tuple(next(drawn) for _ in range(0 if settings.ahead else settings.watched_networks))
    secret = _workloads((*held_out, *watched))
    overhead: list[NamedNetwork] = []
    rejected = 0
    while len(overhead) < settings.overhead_networks:
        candidate = next(drawn)
        if not candidate.kernel_keys & secret:
            overhead.append(candidate)
        elif (rejected := rejected + 1) == MAXIMUM_MISSES:
            raise InputError(TOO_FEW_NETWORKS)
    return Networks(tuple(overhead), watched, held_out)


def distinct_networks(
    sample: NetworkSampler, target: Target, generator: np.random.Generator
) -> Iterator[NamedNetwork]:
    """Networks of distinct names, until InputError says that the space has no more."""
    names: set[str] = set()
    misses = 0
    while misses < MAXIMUM_MISSES:
        name, network = sample(generator)
        if name in names:
            misses += 1
            continue
        misses = 0
        names.add(name)
        yield NamedNetwork(name, network, partition(network, target))
    raise InputError(TOO_FEW_NETWORKS)


def random_jobs(
    sample: NetworkSampler, target: Target, secret: Collection[str], *, count: int, seed: int
) -> tuple[KernelJob, ...]:
    """Distinct kernels of random networks, each under a random one of its schedules.

    Poolings and dense layers are many and alike: one network in three gives its own.
    """
    generator = np.random.default_rng([seed, 1])
    drawn = distinct_networks(sample, target, generator)
    jobs: dict[str, KernelJob] = {}
    index = barren = 0
    while len(jobs) < count:
        index += 1
        before = len(jobs)
        for step in next(drawn).steps:
            if step.kernel.key in secret or (is_small(step.kernel) and index % 3):
                continue
            choices = points(step.kernel, target)
            job = KernelJob(step.kernel, choices[generator.integers(len(choices))], target)
            jobs[job.key] = job
        barren = barren + 1 if len(jobs) == before else 0
        if barren == MAXIMUM_MISSES:
            raise InputError(TOO_FEW_NETWORKS)
    return tuple(jobs.values())[:count]


def is_small(kernel: Kernel) -> bool:
    """Whether a kernel is a matter of microseconds wherever it runs."""
    return kernel.flops < SMALL_FLOPS


def _workloads(networks: Iterable[NamedNetwork]) -> set[str]:
    return {key for network in networks for key in network.kernel_keys}
