"""What is put into a bundle: jobs, with the protocol that each is timed under."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from costmodel.calibration.ahead import PlannedJob
from costmodel.calibration.session import network_protocol
from costmodel.protocol import Protocol
from costmodel.runners.contract import Job


@dataclass(frozen=True)
class Stage:
    """Jobs that one `Runner.measure` will ask for, and its protocol."""

    jobs: tuple[Job, ...]
    protocol: Protocol


def stages_of(planned: Sequence[PlannedJob], protocol: Protocol) -> tuple[Stage, ...]:
    """The stages of a calibration planned ahead (`planned_jobs`): kernels, then networks."""
    kernels = tuple(job for role, job, _ in planned if role == "kernel")
    networks = tuple(job for role, job, _ in planned if role != "kernel")
    found = (Stage(kernels, protocol), Stage(networks, network_protocol(protocol)))
    return tuple(stage for stage in found if stage.jobs)
