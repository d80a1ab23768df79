"""Runs a static program here, natively or under an emulator."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from costmodel.crossbuild.link import StaticProgram
from costmodel.crossbuild.messages import (
    TimeSettings,
    Timing,
    check_input,
    check_output,
    parse_timing,
)
from costmodel.errors import DeviceError
from costmodel.kernels import Array


def check(
    program: StaticProgram,
    calls: Sequence[tuple[str, Sequence[Array]]],
    *,
    emulator: Sequence[str] = (),
    threads: int = 1,
    timeout_s: float = 300,
) -> list[Array]:
    """The outputs of ``calls`` (a kernel's name, all its arguments but the last), in order.

    ``emulator`` is put before the program's path. Raises DeviceError, with the program's own
    line, where it fails.
    """
    named = [(program.signature(name), arrays) for name, arrays in calls]
    words = ["check", "--threads", str(threads)]
    answer = run(
        program.path, words, emulator=emulator, given=check_input(named), timeout_s=timeout_s
    )
    return check_output(named, answer)


def time_kernels(
    program: StaticProgram,
    kernels: Sequence[str],
    settings: TimeSettings,
    *,
    emulator: Sequence[str] = (),
    timeout_s: float = 300,
) -> list[Timing]:
    """The times of ``kernels`` in this order."""
    words = settings.arguments(kernels)
    answer = run(program.path, words, emulator=emulator, timeout_s=timeout_s)
    return [parse_timing(line) for line in answer.decode(errors="replace").splitlines()]


def run(
    path: Path,
    arguments: Sequence[str],
    *,
    emulator: Sequence[str] = (),
    given: bytes = b"",
    timeout_s: float = 300,
) -> bytes:
    """What the program ``path`` writes; DeviceError, one line, where it fails or takes too long."""
    try:
        done = subprocess.run(
            [*emulator, str(path.absolute()), *arguments],
            input=given, capture_output=True, timeout=timeout_s, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise DeviceError(f"{path.name} took more than {timeout_s:g} s") from None
    except OSError as error:
        raise DeviceError(f"cannot start {path}: {error.strerror}") from error
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        reason = lines[-1] if lines else f"it ended with status {done.returncode}"
        raise DeviceError(f"{path.name}: {reason}")
    return done.stdout
