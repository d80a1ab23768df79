"""Calibrates a profile from timings of whole networks in a runtime of the user's own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tools.console import Stages
from tools.nas_bench_201 import (
    EXECUTIONS,
    Cell,
    Execution,
    executed,
    is_cell,
    network_of,
    parse_cell,
)
from tools.networks import is_model_file, named_network

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from costmodel.kernels import Kernel
    from costmodel.network import Network
    from costmodel.profile import Profile, ProfileStore
    from costmodel.target import Target

READING, LOWERING, FITTING = "reading networks", "cutting into kernels", "fitting"


def calibrate_from(store: ProfileStore, profile: Profile, path: Path, stages: Stages) -> Profile:
    """Fits ``profile``'s model to the timings in ``path`` and saves it.

    NAS-Bench-201 cells are read in each `Execution` and the one kept that predicts networks left
    out best. Raises InputError, in one line with its cure, for a file that is no such table
    (`costmodel.calibration.timings`) and for networks that are too few or cannot be lowered.
    """
    from costmodel.calibration.lock import calibrating
    from costmodel.calibration.sums import fit_best
    from costmodel.calibration.sums_store import save_sums
    from costmodel.calibration.timings import read_timings

    timings = read_timings(path, resolve, lambda done, total: stages.update(READING, done, total))
    readings = kernels_by_execution(
        [(timing.name, timing.network) for timing in timings],
        profile.target(),
        lambda done, total: stages.update(LOWERING, done, total),
    )
    stages.update(FITTING, 0, 1)
    seconds = [timing.latency_ms * 1e-3 for timing in timings]
    execution, result = fit_best(readings, seconds, profile.target())
    stages.update(FITTING, 1, 1)
    space = f"the networks of {path.name}"
    if len(readings) > 1:
        space += f"{_EXECUTED_AS}'{execution}'"
        stages.line(
            "NAS-Bench-201 cells, by mean |log error| of networks left out, are executed as "
            f"'{execution}' (tried: {', '.join(readings)})"
        )
    with calibrating(store, profile.name):
        return save_sums(store, profile, result, timings, source=path, space=space)


_EXECUTED_AS = ", NAS-Bench-201 cells executed as "
"""In the space of a calibration, before the execution."""


def execution_of(profile: Profile) -> Execution:
    """How the device's runtime executes cells: as its calibration found, else as TVM does."""
    facts = profile.calibration()
    space = facts.space if facts else ""
    return next((e for e in EXECUTIONS if space.endswith(f"{_EXECUTED_AS}'{e}'")), "compiled")


def resolve(text: str, folder: Path) -> tuple[str, Network | Cell]:
    """What ``text`` names, with its full name: a cell, or what `named_network` knows.

    Files are looked for in ``folder``. Raises InputError where it is nothing of this.
    """
    from costmodel.errors import InputError
    from kws.errors import InputError as KwsInputError

    if is_cell(text):
        return text, parse_cell(text)
    if is_model_file(text):
        path = folder / text
        if not path.is_file():
            raise InputError(
                f"there is no file {path}; paths start at the folder of the timings: correct it, "
                "or leave the row out"
            )
        return text, named_network(str(path))[1]
    try:
        return named_network(text)
    except KwsInputError as error:
        raise InputError(
            f"unknown network '{text}' ({error}); it is an architecture such as '3x3,40 3x3,30', "
            "seed or kws1 to kws12, a file .onnx or .pt2, or a NAS-Bench-201 cell |...|"
        ) from None


def kernels_by_execution(
    networks: Sequence[tuple[str, Network | Cell]],
    target: Target,
    on_progress: Callable[[int, int], None] = lambda *_: None,
) -> dict[str, list[list[Kernel]]]:
    """Kernels of each named network, in each `Execution` of cells; one of them without cells.

    Raises InputError, with its name, for a network that cannot be lowered for ``target``.
    """
    has_cells = any(isinstance(network, tuple) for _, network in networks)
    executions = EXECUTIONS if has_cells else EXECUTIONS[:1]
    known: dict[object, list[Kernel]] = {}
    readings: dict[str, list[list[Kernel]]] = {}
    for execution in executions:
        readings[execution] = []
        for name, network in networks:
            # Many cells run alike, in one execution and in several.
            key = executed(network, execution) if isinstance(network, tuple) else name
            if key not in known:
                known[key] = _kernels(name, network, execution, target)
            readings[execution].append(known[key])
            done = sum(map(len, readings.values()))
            on_progress(done, len(networks) * len(executions))
    return readings


def _kernels(
    name: str, network: Network | Cell, execution: Execution, target: Target
) -> list[Kernel]:
    from costmodel.errors import InputError
    from costmodel.partition import partition

    if isinstance(network, tuple):
        network = network_of(network, execution)
    try:
        return [step.kernel for step in partition(network, target)]
    except InputError as error:
        raise InputError(f"network '{name}' cannot be lowered: {error}") from None
