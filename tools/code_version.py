"""Which code made a study: what decides what a search finds, in one word."""

from __future__ import annotations

import hashlib
from importlib import metadata
from pathlib import Path

DECIDE = ("torch", "hyperopt", "numpy", "scikit-learn", "scipy")
"""Packages on which it depends which candidates are tried, and what their trainings give."""

_TOOLS = ("job.py", "recipe.py", "task.py")


def code_version() -> dict[str, str]:
    """Versions of the packages, and a digest of our own sources that decide."""
    import kws
    import search

    digest = hashlib.sha256()
    sources = [
        *(path for room in (search, kws) for path in Path(room.__path__[0]).rglob("*.py")),
        *(Path(__file__).with_name(name) for name in _TOOLS),
    ]
    for path in sorted(sources, key=lambda path: path.as_posix().split("/")[-2:]):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    versions = {name: metadata.version(name) for name in ("ponas", *DECIDE)}
    return {**versions, "sources": digest.hexdigest()[:12]}


def changes(then: dict[str, str], now: dict[str, str]) -> str:
    """What is another one, for a person; empty where all is the same."""
    return ", ".join(
        f"{name} {then.get(name, 'unknown')} then, {now[name]} now"
        for name in now
        if then.get(name) != now[name]
    )
