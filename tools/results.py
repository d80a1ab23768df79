"""A search's result as a table for people and as JSON for machines."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from search.study import Study
from tools.console import print_table
from tools.front import Member

COLUMNS = (
    "architecture", "error", "fine-tuned", "test", "predicted ms", "measured ms", "MFLOP",
)  # fmt: skip


def pareto_table(rows: Sequence[Member], seed: Member) -> None:
    """Prints the front by latency, and the seed below it to compare with."""
    lines = [_line(row, row.architecture) for row in rows]
    if all(row.architecture != seed.architecture for row in rows):
        lines.append(_line(seed, f"{seed.architecture} (seed)"))
    print_table("Pareto front", COLUMNS, lines)


def search_document(study: Study, rows: Sequence[Member], page: Path) -> dict[str, Any]:
    """What `ponas search --json` prints."""
    return {
        "study": str(study.path),
        "trials": len(study.trials()),
        "phases": [
            {
                "kind": phase.kind,
                "trials": phase.trials,
                "frozen": [
                    {
                        "parameter": f.parameter,
                        "value": f.value,
                        "share": f.share,
                        "margin": f.margin,
                        "chance": f.chance,
                    }
                    for f in phase.frozen
                ],
                "judged": [
                    {
                        "parameter": j.parameter,
                        "value": j.value,
                        "frozen": j.frozen,
                        "reason": j.reason,
                    }
                    for j in phase.report
                ],
            }
            for phase in study.phases()
        ],
        "pareto": [row.json() for row in rows],
        "report": str(page),
    }


def _line(row: Member, name: str) -> tuple[str, ...]:
    tuned = row.error if row.test_error is not None else None
    return (
        name,
        percent(row.search_error),
        percent(tuned),
        percent(row.test_error),
        f"{row.latency_ms:.3f}",
        "-" if row.measured_ms is None else f"{row.measured_ms:.3f}",
        f"{row.flops_table2 / 1e6:.1f}",
    )


def percent(share: float | None) -> str:
    """A share as text; a dash where it is not known."""
    return "-" if share is None else f"{share:.1%}"
