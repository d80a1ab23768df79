"""Calibration: plan, build, measure, fit, error card. Every step can be resumed."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from costmodel.calibration.adaptive import Adaptive
from costmodel.calibration.ahead import carried, planned_jobs
from costmodel.calibration.plan import NetworkSampler
from costmodel.calibration.records import Header, Journal
from costmodel.calibration.session import OnProgress, Session
from costmodel.calibration.settings import (
    MINIMUM_KERNELS,
    Calibrated,
    CalibrationSettings,
    Progress,
)
from costmodel.protocol import Protocol
from costmodel.runners.contract import Runner
from costmodel.target import Target

__all__ = [
    "MINIMUM_KERNELS",
    "Calibrated",
    "CalibrationSettings",
    "Progress",
    "calibrate",
    "journal_header",
    "planned_jobs",
]


def calibrate(
    target: Target,
    runner: Runner,
    sample: NetworkSampler,
    *,
    protocol: Protocol,
    settings: CalibrationSettings,
    journal_path: Path,
    on_progress: OnProgress = lambda _: None,
) -> Calibrated:
    """Times kernels and networks and fits the model of ``target``.

    First the space's corners; then batches of the kernels that teach most about networks, until
    the error on the watched networks is at most ``settings.target_error``, the time is up or all
    kernels are timed. The watched networks decide when to stop, so their error flatters: the
    error card is of others, which are timed after everything else and decide nothing.

    Everything measured is in the journal at once; called again with the same arguments, it goes
    on from there. A job that fails is tried once more after the others of its batch and once in
    each later call, then set aside. Raises DeviceError where too little could be measured.

    A journal of other arguments that is at ``journal_path`` is kept beside it under another name.
    """
    header = journal_header(target, settings, protocol)
    journal = Journal(journal_path, header)
    try:
        session = Session(target, runner, protocol, settings, journal, on_progress)
        return carried(session, sample) if settings.ahead else Adaptive(session, sample).run()
    finally:
        journal.close()


def journal_header(target: Target, settings: CalibrationSettings, protocol: Protocol) -> Header:
    """What the journal of a calibration begins with; another one starts afresh."""
    return Header(target=target.digest, settings=json.dumps([asdict(settings), asdict(protocol)]))
