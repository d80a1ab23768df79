"""One thing that was looked at on this machine: how much depends on it."""

from __future__ import annotations

from typing import Literal

from costmodel.doctor.finding import Found

Level = Literal["fine", "missing", "broken"]
"""``missing``: something does not work that a person may never need; ``broken``: nothing does."""

Finding = Found[Level]
