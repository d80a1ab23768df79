"""Which TVM the process at the other end of a runner runs."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePosixPath

_RUNTIME = re.compile(r"(/\S*)/tvm/(?:lib/)?libtvm_runtime\w*\.so")
"""Where a process has its TVM from, if that is a wheel: in its memory map."""
_VERSION = re.compile(r"^Version: (\S+)", re.MULTILINE)


def tvm_version(files: Callable[[Sequence[str]], Mapping[str, str]]) -> str:
    """That of the process whose ``files`` are read (see `Runner.files`).

    Empty where it runs none, or none that is from a wheel.
    """
    packages = _first(_RUNTIME, files(["/proc/self/maps"]))
    if not packages:
        return ""
    return _first(_VERSION, files([f"{PurePosixPath(packages)}/apache_tvm-*/METADATA"]))


def _first(wanted: re.Pattern[str], files: Mapping[str, str]) -> str:
    """The first group of ``wanted`` in the first file that has it, else empty."""
    for text in files.values():
        if match := wanted.search(text):
            return match[1]
    return ""
