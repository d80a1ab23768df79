"""A calibration whose every job is known before anything is measured: to be carried elsewhere."""

from __future__ import annotations

from costmodel.calibration.candidates import draw_candidates
from costmodel.calibration.plan import (
    Networks,
    NetworkSampler,
    draw_networks,
    random_jobs,
)
from costmodel.calibration.records import KernelRecord, Role
from costmodel.calibration.session import Session, Work, kernel_work
from costmodel.calibration.settings import MINIMUM_KERNELS, Calibrated, CalibrationSettings
from costmodel.calibration.whole import chosen_parts, finished, overhead_of, whole_work
from costmodel.errors import InputError
from costmodel.predictor import Overhead, Predictor
from costmodel.runners.contract import Job
from costmodel.target import Target

PlannedJob = tuple[Role, Job, tuple[KernelRecord, ...]]


def planned_jobs(
    target: Target, sample: NetworkSampler, settings: CalibrationSettings
) -> list[PlannedJob]:
    """Every job of a calibration that is planned ahead, with its role and its records.

    Kernels: the space's corners, or random ones (``settings.plan``), then those of the overhead
    networks; then the networks whole, all under schedules that the roofline chooses. `calibrate`
    with the same settings (``ahead``) measures these jobs and no others: with an outcome of each
    in its journal, it measures nothing.
    """
    if not settings.ahead:
        raise InputError("jobs are known beforehand only where the settings say ahead")
    networks = draw_networks(sample, target, settings)
    count = kernel_budget(networks, settings)
    roofline = Predictor(target, None, Overhead())
    if settings.plan == "active":
        pool = draw_candidates(sample, target, networks.secret, seed=settings.seed)
        firsts = pool.corners(count)
    else:
        seed, secret = settings.seed, networks.secret
        firsts = list(random_jobs(sample, target, secret, count=count, seed=seed))
    overheads = [(network, chosen_parts(network, roofline)) for network in networks.overhead]
    scheduled = [(job.kernel, job.schedule) for job in firsts]
    scheduled += [part for _, parts in overheads for part in parts]
    work: list[tuple[Role, Work]] = [
        ("kernel", kernel_work(kernel, schedule, target))
        for kernel, schedule in dict.fromkeys(scheduled)
    ]
    work += [("overhead", whole_work(network, parts, target)) for network, parts in overheads]
    work += [
        ("held_out", whole_work(network, chosen_parts(network, roofline), target))
        for network in networks.held_out
    ]
    return [(role, job, records) for role, (job, records) in work]


def carried(session: Session, sample: NetworkSampler) -> Calibrated:
    """Measures what was planned ahead, as far as the journal does not have it, and fits."""
    planned = planned_jobs(session.target, sample, session.settings)
    work: dict[Role, list[Work]] = {"kernel": [], "overhead": [], "held_out": []}
    for role, job, records in planned:
        work[role].append((job, records))
    kernels, overheads = work["kernel"], work["overhead"]
    session.measure("kernel", kernels, session.counting("kernels", len(kernels)))
    model = session.fit()
    session.measure("overhead", overheads, session.counting("networks", len(overheads)))
    return finished(session, model, overhead_of(session, overheads), work["held_out"])


def kernel_budget(networks: Networks, settings: CalibrationSettings) -> int:
    """Kernels that may be timed beside those of the overhead networks; InputError if too few."""
    beside = len(networks.in_parts)
    if settings.kernels - beside < MINIMUM_KERNELS:
        raise InputError(
            f"{settings.kernels} kernels are too few: the "
            f"{settings.overhead_networks} overhead networks have {beside} of them; "
            f"give at least {beside + MINIMUM_KERNELS} kernels or fewer networks"
        )
    return settings.kernels - beside
