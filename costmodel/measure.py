"""Measurement on a profile's device: networks, their kernels, and the features before them."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from costmodel.errors import DeviceError
from costmodel.program import Program
from costmodel.protocol import Protocol
from costmodel.runners.contract import KernelJob, NetworkJob, Outcome, Runner


def measure_networks(
    programs: Mapping[str, Program], runner: Runner, protocol: Protocol
) -> dict[str, float]:
    """Milliseconds of one inference of each program, by name.

    Raises DeviceError, naming the network, where one could not be measured.
    """
    outcomes: dict[str, Outcome] = {}
    jobs = [NetworkJob(name, program) for name, program in programs.items()]
    runner.measure(jobs, protocol, lambda outcome: outcomes.__setitem__(outcome.key, outcome))
    for name in programs:
        if outcomes[name].error:
            raise DeviceError(f"network '{name}' could not be measured: {outcomes[name].error}")
    return {name: outcomes[name].seconds * 1e3 for name in programs}


def measure_parts(
    programs: Mapping[str, Program], runner: Runner, protocol: Protocol
) -> dict[str, float]:
    """Microseconds of each distinct kernel of the programs, timed by itself, by its job's key.

    Kernels that cannot be measured are left out, and where the device is gone those after them.
    """
    jobs = {
        job.key: job
        for program in programs.values()
        for step, schedule in zip(program.steps, program.schedules, strict=True)
        for job in (KernelJob(step.kernel, schedule, program.target),)
    }
    outcomes: list[Outcome] = []
    with suppress(DeviceError):
        runner.measure(list(jobs.values()), protocol, outcomes.append)
    return {outcome.key: outcome.seconds * 1e6 for outcome in outcomes if not outcome.error}


def measure_kernel(job: KernelJob, runner: Runner, protocol: Protocol) -> float:
    """Milliseconds of one run of a kernel; DeviceError, naming it, where it cannot be measured."""
    outcomes: list[Outcome] = []
    runner.measure([job], protocol, outcomes.append)
    (outcome,) = outcomes
    if outcome.error:
        raise DeviceError(f"'{job.kernel.title}' could not be measured: {outcome.error}")
    return outcome.seconds * 1e3
