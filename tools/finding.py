"""One thing that was looked at on this machine, and what mends it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["fine", "missing", "broken"]
"""``missing``: something does not work that a person may never need; ``broken``: nothing does."""


@dataclass(frozen=True)
class Finding:
    """What was found."""

    level: Level
    topic: str
    text: str
    cure: str = ""
    """A command where there is one."""
