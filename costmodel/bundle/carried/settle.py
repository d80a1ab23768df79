"""Which jobs have to be timed once more; `settle.c` is the same for static programs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from statistics import median

from .log import Record


def passes_of(protocol: Record) -> int:
    """Rounds that there are at least."""
    return min(int(protocol["rounds"]), int(protocol["repeats"]))


def unsettled(records: Iterable[Record], batch: int, protocol: Record) -> set[str]:
    """Names of a batch's jobs that have to be timed once more."""
    records = list(records)
    failed = {r["kernel"] for r in records if "error" in r and not r["watch"]}
    medians: dict[str, list[float]] = {}
    for record in records:
        if record["batch"] == batch and not record["watch"] and "timing" in record:
            medians.setdefault(record["timing"]["kernel"], [])
    for record in undisturbed(records, protocol["drift"]):
        if record["batch"] == batch and "timing" in record:
            medians[record["timing"]["kernel"]].append(median(record["timing"]["seconds"]))
    return {
        name
        for name, values in medians.items()
        if name not in failed and not is_settled(values, protocol)
    }


def is_settled(medians: list[float], protocol: Record) -> bool:
    """Whether rounds with these medians (seconds) are enough, or were before the last ones."""
    passes = passes_of(protocol)
    for count in range(passes, len(medians) + 1):
        if count >= protocol["max_rounds"] or passes == 1:
            return True
        smallest, second = sorted(medians[:count])[:2]
        if second <= smallest * (1 + protocol["agreement"]):
            return True
    return False


def undisturbed(records: list[Record], drift: float) -> Iterator[Record]:
    """Those between two sentinels that take as long as in the first batch that timed them."""
    watched: dict[str, list[Record]] = {}
    for record in records:
        if record["watch"] and "timing" in record:
            watched.setdefault(record["timing"]["kernel"], []).append(record)
    reference = {}
    for name, found in watched.items():
        first = [median(r["timing"]["seconds"]) for r in found if r["batch"] == found[0]["batch"]]
        smallest = sorted(first)[:2]
        reference[name] = sum(smallest) / len(smallest)
    between: list[Record] = []
    before = False
    for record in records:
        if not record["watch"]:
            between.append(record)
            continue
        now = True
        if "timing" in record:
            seconds = median(record["timing"]["seconds"])
            now = abs(seconds / reference[record["timing"]["kernel"]] - 1) <= drift
        if before and now:
            yield from between
        between, before = [], now
    if not any(record["watch"] for record in records):
        yield from between
