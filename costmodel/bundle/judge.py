"""Which timings of a bundle count: those between sentinels that are as fast as at first.

`settle.c` and `run.py` decide by the same rules on the device what is timed once more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import mean, median

from costmodel.bundle.manifest import BundledJob
from costmodel.bundle.results import Line, Results
from costmodel.bundle.steps import rounds_of
from costmodel.crossbuild.messages import fault_of
from costmodel.protocol import Protocol, undisturbed_seconds

Samples = tuple[float, ...]


@dataclass(frozen=True)
class Verdict:
    """What the results say of one job."""

    rounds: tuple[Samples, ...] = ()
    error: str | None = None


class Judge:
    """Reads the results once; see the module."""

    def __init__(self, results: Results) -> None:
        self._results = results
        self._watched = _watched(results)
        self._lines: dict[str, list[Line]] = {}
        for line in results.lines:
            if not line.watch:
                self._lines.setdefault(line.name, []).append(line)
        self._counting = self._undisturbed()

    @property
    def reference(self) -> dict[str, float]:
        """Seconds of each sentinel, by name, in the first batch that timed it."""
        return {
            name: undisturbed_seconds(next(iter(batches.values())))
            for name, batches in self._watched.items()
        }

    def pace(self, batch: int, reference: Mapping[str, float]) -> float:
        """How much longer a batch's sentinels took than ``reference`` (seconds, by name)."""
        ratios = [
            undisturbed_seconds(batches[batch]) / reference[name]
            for name, batches in self._watched.items()
            if batch in batches and reference.get(name)
        ]
        return mean(ratios) if ratios else 1.0

    def verdict(self, job: BundledJob) -> Verdict:
        """The rounds of a job until it has settled, or one line that says why it has not."""
        manifest = self._results.manifest
        batch = manifest.batches[job.batch]
        lines = self._lines.get(job.name, [])
        if failed := next((line.error for line in lines if line.error is not None), None):
            return Verdict(error=failed)
        rounds: list[Samples] = []
        fault = None
        for line in lines:
            if line.timing is None or line.step not in self._counting:
                continue
            unfit = fault_of(line.timing, batch.settings(manifest.cores))
            fault = fault or unfit
            if unfit is None and not batch.protocol.settled(rounds):
                rounds.append(line.timing.seconds)
        if batch.protocol.settled(rounds) or _exhausted(lines, rounds, batch.protocol):
            return Verdict(rounds=tuple(rounds))
        return Verdict(error=fault or self._missing(lines, batch.protocol))

    def _missing(self, lines: list[Line], protocol: Protocol) -> str:
        """Why the rounds are too few."""
        disturbed = sum(line.step not in self._counting for line in lines)
        damaged = self._results.damaged
        if len(lines) < rounds_of(protocol) and damaged:
            numbers = ", ".join(map(str, damaged[:5])) + (", ..." if len(damaged) > 5 else "")
            return f"lines of {self._results.path} were damaged on the way: {numbers}"
        if len(lines) < rounds_of(protocol):
            return (
                f"the bundle's run was stopped after {len(lines)} of its rounds; "
                "start it again there, it goes on"
            )
        return (
            f"the device was more than {protocol.drift:.0%} faster or slower than at first "
            f"(protocol: drift) in {disturbed} of {len(lines)} rounds; let it do nothing else"
        )

    def _undisturbed(self) -> set[int]:
        """Steps of the timings that count."""
        reference = self.reference
        counting: set[int] = set()
        between: list[int] = []
        before = False
        for line in self._results.lines:
            if not line.watch:
                between.append(line.step)
                continue
            drift = self._results.manifest.batches[line.batch].protocol.drift
            # One that fails says nothing of the pace.
            now = line.timing is None or (
                abs(median(line.timing.seconds) / reference[line.name] - 1) <= drift
            )
            if before and now:
                counting.update(between)
            between, before = [], now
        if not any(line.watch for line in self._results.lines):
            counting.update(between)
        return counting


def _watched(results: Results) -> dict[str, dict[int, list[Samples]]]:
    """Samples of each sentinel, by batch."""
    found: dict[str, dict[int, list[Samples]]] = {}
    for line in results.lines:
        if line.watch and line.timing is not None:
            by_batch = found.setdefault(line.name, {})
            by_batch.setdefault(line.batch, []).append(line.timing.seconds)
    return found


def _exhausted(lines: list[Line], rounds: list[Samples], protocol: Protocol) -> bool:
    """Whether nothing more was to be had from the device, and it is enough."""
    return len(lines) >= rounds_of(protocol) and len(rounds) >= protocol.passes
