"""What every benchmark shares: its one option, its machine, its one JSON line."""

from __future__ import annotations

import argparse
import json
import os
import platform
from typing import Any

from costmodel.host import processor_name


def quick(description: str | None) -> bool:
    """Whether ``--quick`` was given: an answer within 50 seconds, with wider error."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="end within 50 seconds")
    return bool(parser.parse_args().quick)


def print_line(name: str, figures: dict[str, Any]) -> None:
    """Prints the result as one JSON line, last."""
    print(json.dumps({"benchmark": name, **figures, "machine": machine()}))


def machine() -> str:
    """Processor, cores and Python of this machine."""
    return f"{processor_name()}, {os.cpu_count()} cores, Python {platform.python_version()}"
