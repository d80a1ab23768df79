"""Which kernels and networks a calibration times."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

import numpy as np

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
class Plan:
    """What to time: kernels under random schedules, and two disjoint sets of networks."""

    kernels: tuple[KernelJob, ...]
    overhead: tuple[NamedNetwork, ...]
    """Timed whole and in parts: their difference is the overhead."""
    held_out: tuple[NamedNetwork, ...]
    """Timed whole and never in parts: the error card."""


def make_plan(
    sample: NetworkSampler,
    target: Target,
    *,
    kernels: int,
    overhead_networks: int,
    held_out_networks: int,
    seed: int,
) -> Plan:
    """Draws the plan from one seed. No kernel of a held-out network is timed by itself.

    ``kernels`` counts those of the overhead networks too.
    """
    generator = np.random.default_rng(seed)
    drawn = _networks(sample, generator, target)
    held_out: list[NamedNetwork] = []
    while len(held_out) < held_out_networks:
        held_out.append(next(drawn))
    secret = set().union(*(n.kernel_keys for n in held_out)) if held_out else set()
    overhead: list[NamedNetwork] = []
    rejected = 0
    while len(overhead) < overhead_networks:
        candidate = next(drawn)
        if not candidate.kernel_keys & secret:
            overhead.append(candidate)
        elif (rejected := rejected + 1) == MAXIMUM_MISSES:
            raise InputError(TOO_FEW_NETWORKS)
    in_parts = set().union(*(n.kernel_keys for n in overhead)) if overhead else set()
    wanted = max(kernels - len(in_parts), 0)
    jobs = _kernel_jobs(drawn, generator, target, wanted, secret)
    return Plan(jobs, tuple(overhead), tuple(held_out))


def _networks(
    sample: NetworkSampler, generator: np.random.Generator, target: Target
) -> Iterator[NamedNetwork]:
    names: set[str] = set()
    misses = 0
    while misses < MAXIMUM_MISSES:
        name, network = sample(generator)
        if name in names:
            misses += 1
            continue
        names.add(name)
        yield NamedNetwork(name, network, partition(network, target))
    raise InputError(TOO_FEW_NETWORKS)


def _kernel_jobs(
    drawn: Iterator[NamedNetwork],
    generator: np.random.Generator,
    target: Target,
    wanted: int,
    secret: Collection[str],
) -> tuple[KernelJob, ...]:
    """Distinct kernels of random networks, each under one of its schedules.

    Poolings and dense layers are many and alike: one network in three gives its own.
    """
    jobs: dict[str, KernelJob] = {}
    index = barren = 0
    while len(jobs) < wanted:
        index += 1
        before = len(jobs)
        for step in next(drawn).steps:
            if step.kernel.key in secret or (_is_small(step.kernel) and index % 3):
                continue
            choices = points(step.kernel, target)
            job = KernelJob(step.kernel, choices[generator.integers(len(choices))], target)
            jobs[job.key] = job
        barren = barren + 1 if len(jobs) == before else 0
        if barren == MAXIMUM_MISSES:
            raise InputError(TOO_FEW_NETWORKS)
    return tuple(list(jobs.values())[:wanted])


def _is_small(kernel: Kernel) -> bool:
    return kernel.flops < 100_000
