"""What is asked of a search, looked at before minutes are spent on data and calibration."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from search.errors import InputError

if TYPE_CHECKING:
    from tools.execution import Execution
    from tools.job import Request

THREADS_PER_PROCESSOR = 4
"""More threads than that, or trainings at a time, only wait for each other."""


def check_asked(request: Request, execution: Execution) -> None:
    """Raises InputError for settings that contradict each other, or that this machine lacks."""
    if request.max_latency_ms is not None and request.objective != "latency":
        raise InputError("--max-latency-ms needs --objective latency")
    if not request.data.strip():
        raise InputError("--data names nothing; give a folder, an archive or 'generated'")
    _check_numbers(request)
    if execution.executor == "local":  # a cluster's machines have devices of their own
        from kws.training import torch_device

        torch_device(request.device)
        for option, number in (("--threads", request.threads), ("--workers", execution.workers)):
            _check_processors(option, number)


def check_resumed(path: Path, kept: Request, given: Mapping[str, Any]) -> None:
    """Raises InputError where ``given`` options ask for another search than the study's.

    ``given``: values of a command line by the names of `Request`'s fields.
    """
    for name, value in given.items():
        was = getattr(kept, name)
        if value != was:
            option = f"--{name.replace('_', '-')}"
            raise InputError(
                f"study {path} was begun with {option} {_text(was)}, not {_text(value)}, and goes "
                f"on as it was begun; leave {option} out, or start a new study at another path"
            )


def _check_numbers(request: Request) -> None:
    if request.filters_step > request.max_filters:
        raise InputError(
            f"--filters-step {request.filters_step} is above --max-filters {request.max_filters}: "
            "no number of filters is left; lower the one or raise the other"
        )
    if request.initial is not None and request.initial > request.candidates:
        raise InputError(
            f"--initial {request.initial} is above --candidates {request.candidates}, of which it "
            "is a part; lower the one or raise the other"
        )
    if request.tuning >= request.candidates:
        raise InputError(
            f"--tuning {request.tuning} leaves none of --candidates {request.candidates} for "
            "architectures; lower the one or raise the other"
        )


def _check_processors(option: str, number: int | None) -> None:
    processors = os.cpu_count() or 1
    most = THREADS_PER_PROCESSOR * processors
    if number is not None and number > most:
        raise InputError(
            f"{option} {number} is too much for the {processors} processors of this machine; give "
            f"at most {most}"
        )


def _text(value: object) -> str:
    """A value as it is written on a command line."""
    if isinstance(value, tuple):
        return "x".join(map(str, value))
    if isinstance(value, bool):
        return "on" if value else "off"
    return "none" if value is None else f"{value}"
