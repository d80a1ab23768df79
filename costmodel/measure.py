"""End-to-end measurement of whole networks on a profile's device."""

from __future__ import annotations

from collections.abc import Mapping

from costmodel.errors import DeviceError
from costmodel.program import Program
from costmodel.protocol import Protocol
from costmodel.runners.contract import NetworkJob, Outcome, Runner


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
