"""The order of a bundle's timings, fixed when it is written: batches, rounds, sentinels."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from costmodel.protocol import Protocol

TRIES_MORE = 5
"""Rounds beyond the protocol's, for what was timed while the device was disturbed."""


@dataclass(frozen=True)
class Step:
    """One timing of one job or sentinel."""

    batch: int
    round: int
    """From 1."""
    watch: bool
    """Whether it is a sentinel's."""
    name: str

    def line(self, number: int) -> str:
        """As scripts read it; steps are numbered from 1."""
        return f"{number} {self.batch} {self.round} {int(self.watch)} {self.name}"


def steps_of(
    batches: Sequence[Sequence[str]],
    protocols: Sequence[Protocol],
    sentinels: Sequence[str],
    seed: int,
) -> list[Step]:
    """Every timing that may be needed, in the order of `costmodel.runners.rounds`.

    ``batches``: names of jobs, with the protocol of each batch. A job that has settled is left
    out on the device, so most of the later rounds are empty there.
    """
    order = random.Random(seed)  # noqa: S311 - an order of measuring, not a secret
    steps: list[Step] = []
    for batch, (names, protocol) in enumerate(zip(batches, protocols, strict=True)):
        watch = sentinels if protocol.sentinel_every else ()
        if not any(step.watch for step in steps):
            steps += [Step(batch, 1, True, name) for name in watch]
        for number in range(1, rounds_of(protocol) + 1):
            shuffled = list(names)
            order.shuffle(shuffled)
            turn = order.randrange(max(len(watch), 1))
            steps += _round(batch, number, shuffled, watch, turn, protocol.sentinel_every)
    return steps


def rounds_of(protocol: Protocol) -> int:
    """Times that a job may be timed at most, those that do not count included."""
    most = 1 if protocol.passes == 1 else protocol.max_rounds
    return most + (TRIES_MORE if protocol.sentinel_every else 0)


def _round(
    batch: int, number: int, names: Sequence[str], watch: Sequence[str], turn: int, every: int
) -> Iterator[Step]:
    """One round: a sentinel, jobs, the next sentinel, more jobs, ..., a sentinel."""
    for i, name in enumerate(names):
        if watch and i % every == 0:
            yield Step(batch, number, True, watch[(turn + i // every) % len(watch)])
        yield Step(batch, number, False, name)
    if watch:
        yield Step(batch, number, True, watch[(turn + -(-len(names) // every)) % len(watch)])
