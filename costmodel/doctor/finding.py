"""One thing that was looked at, and what mends it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

L_co = TypeVar("L_co", bound=str, covariant=True)


@dataclass(frozen=True)
class Found(Generic[L_co]):
    """What was found, at one of the levels that whoever looks has."""

    level: L_co
    topic: str
    text: str
    """What was found."""
    cure: str = ""
    """What mends it; a command where there is one."""
