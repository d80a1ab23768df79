"""The measuring loop that runners share: rounds in random order, sentinels in between.

What differs from runner to runner is how a device builds jobs and times them: a `Lane`. Runners of
several lanes (boards of one kind, processes) give each a share of the jobs.
"""

from __future__ import annotations

import random
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

from costmodel.errors import DeviceError
from costmodel.protocol import Protocol
from costmodel.runners.contract import Job, OnOutcome, Outcome, Runner
from costmodel.runners.pace import Pace, sentinels

BATCH = 32
"""Jobs built before they are timed: a round takes some seconds, so rounds see other moments."""
PAUSES_SECONDS = (1.0, 10.0, 60.0)
"""Waits before what lies between two sentinels is timed again, one after another failure."""
COOLING_SECONDS = 600.0
"""Longest wait for a device to get cooler."""
_COOLING_STEP_SECONDS = 5.0
_TEMPERATURES = "/sys/class/thermal/thermal_zone*/temp"


@dataclass(frozen=True)
class Answer:
    """To one timing of one job: seconds of one run, sample by sample, or an error."""

    key: str
    samples: tuple[float, ...] = ()
    error: str | None = None


class Lane(ABC):
    """One device, or one process on it, that builds jobs and times what it has built.

    Used from one thread at a time. Methods raise DeviceError where the device is gone for good;
    a device that comes back (restarted, connected again) is the lane's to wait for.
    """

    name: str
    """Tells it from the runner's other lanes, today and tomorrow."""

    @abstractmethod
    def build(self, jobs: Sequence[Job]) -> dict[str, str]:
        """Makes ``jobs`` ready to be timed; one line by key for each that cannot be."""

    @abstractmethod
    def time(self, keys: Sequence[str], protocol: Protocol) -> Iterator[Answer]:
        """Times built jobs in this order, ``protocol.samples`` samples each: one answer a key.

        A job that crashes or hangs answers an error and costs no other job its answer.
        """

    @abstractmethod
    def forget(self) -> None:
        """Frees what was built."""

    @abstractmethod
    def files(self, patterns: Sequence[str]) -> dict[str, str]:
        """See `Runner.files`."""

    @abstractmethod
    def close(self) -> None:
        """Gives everything back; closing twice is closing."""


@dataclass
class _Share:
    """One lane's jobs of a batch, and what is known of them."""

    lane: Lane
    pace: Pace
    jobs: dict[str, Job]
    errors: dict[str, str] = field(default_factory=dict)
    rounds: dict[str, list[tuple[float, ...]]] = field(default_factory=dict)
    watch: list[str] = field(default_factory=list)
    """Keys of the sentinels that this lane has built."""
    gone: DeviceError | None = None

    def keep(self, answers: Mapping[str, Answer]) -> None:
        """Takes answers of one round as final."""
        for key, answer in answers.items():
            if answer.error is not None:
                self.errors[key] = answer.error
            else:
                self.rounds.setdefault(key, []).append(answer.samples)


class RoundsRunner(Runner):
    """A runner of one or more lanes; see the module."""

    def __init__(
        self,
        lanes: Sequence[Lane],
        *,
        together: bool = True,
        seed: int = 0,
        pauses_s: Sequence[float] = PAUSES_SECONDS,
    ) -> None:
        """``together``: lanes time at the same moment; else one after the other."""
        self.reference: dict[str, float] = {}
        self._lanes = list(lanes)
        self._together = together
        self._pauses_s = tuple(pauses_s)
        self._random = random.Random(seed)  # noqa: S311 - an order of measuring, not a secret
        self._has_built = False

    def measure(self, jobs: Sequence[Job], protocol: Protocol, on_outcome: OnOutcome) -> None:
        for start in range(0, len(jobs), BATCH):
            self._measure_batch(jobs[start : start + BATCH], protocol, on_outcome)

    def files(self, patterns: Sequence[str]) -> dict[str, str]:
        return self._lanes[0].files(patterns)

    def close(self) -> None:
        for lane in self._lanes:
            lane.close()

    def _measure_batch(
        self, jobs: Sequence[Job], protocol: Protocol, on_outcome: OnOutcome
    ) -> None:
        shares = [
            _Share(lane, Pace(self._reference_of(lane)), {job.key: job for job in jobs[i::count]})
            for count in (len(self._lanes),)
            for i, lane in enumerate(self._lanes)
        ]
        shares = [share for share in shares if share.jobs]
        self._build(shares, protocol)
        while any(_waiting(share, protocol) for share in shares):
            orders = [(share, self._order(share, protocol)) for share in shares]
            _each(
                [partial(self._round, share, order, protocol) for share, order in orders],
                together=self._together,
            )
        for share in shares:
            self._give(share, protocol, on_outcome)
        gone = next((share.gone for share in shares if share.gone), None)
        if gone:
            raise gone

    def _reference_of(self, lane: Lane) -> dict[str, float]:
        prefix = f"{lane.name}: "
        return {
            k.removeprefix(prefix): v for k, v in self.reference.items() if k.startswith(prefix)
        }

    def _build(self, shares: Sequence[_Share], protocol: Protocol) -> None:
        """Builds all jobs, and the sentinels, in their lanes.

        Raises DeviceError where this runner has never built anything: then it is not the jobs.
        """

        def of(share: _Share) -> None:
            try:
                share.errors.update(share.lane.build(list(share.jobs.values())))
                if protocol.sentinel_every:
                    target = next(iter(share.jobs.values())).target
                    watch = sentinels(target)
                    failed = share.lane.build(watch)
                    share.watch = [job.key for job in watch if job.key not in failed]
            except DeviceError as error:
                share.gone = error

        _each([partial(of, share) for share in shares], together=True)
        if any(len(s.errors) < len(s.jobs) and not s.gone for s in shares):
            self._has_built = True
        elif not self._has_built:
            gone = next((s.gone for s in shares if s.gone), None)
            raise gone or DeviceError(
                f"nothing could be built: {next(iter(shares[0].errors.values()))}"
            )

    def _order(self, share: _Share, protocol: Protocol) -> list[list[str]]:
        """A round: the keys that are not settled, shuffled, cut where a sentinel is timed."""
        keys = _waiting(share, protocol)
        self._random.shuffle(keys)
        every = protocol.sentinel_every if share.watch else len(keys)
        return [keys[i : i + every] for i in range(0, len(keys), every or 1)]

    def _round(self, share: _Share, order: Sequence[Sequence[str]], protocol: Protocol) -> None:
        """Times each key of a lane once; what lies between two disturbed sentinels is not kept."""
        kept: dict[str, Answer] = {}
        try:
            if share.pace.fresh:
                for key in share.watch:
                    self._sentinel(share, key, protocol)
            turn = self._random.randrange(max(len(share.watch), 1))
            self._settle(share, turn, protocol, lambda: None)
            for i, keys in enumerate(order, 1):

                def again(keys: Sequence[str] = keys) -> None:
                    _await_cool(share.lane, protocol)
                    for answer in self._timed(share, keys, protocol):
                        kept[answer.key] = answer

                again()
                self._settle(share, turn + i, protocol, again)
                share.keep(kept)
                kept.clear()
        except DeviceError as error:
            share.gone = error
            # Times since the last sentinel may be disturbed; an error is what it is.
            sure = (a for a in kept.values() if a.error is not None or not share.watch)
            share.keep({answer.key: answer for answer in sure})

    def _timed(self, share: _Share, keys: Sequence[str], protocol: Protocol) -> Iterator[Answer]:
        if not protocol.cool_down_ms:
            yield from share.lane.time(keys, protocol)
            return
        for key in keys:
            time.sleep(protocol.cool_down_ms / 1e3)
            yield from share.lane.time([key], protocol)

    def _settle(
        self, share: _Share, turn: int, protocol: Protocol, again: Callable[[], None]
    ) -> None:
        """Times a sentinel; while it says that the device was disturbed, waits and does ``again``.

        Raises DeviceError where waiting does not help.
        """
        if not share.watch:
            return
        key = share.watch[turn % len(share.watch)]
        ratio = self._sentinel(share, key, protocol)
        for pause in self._pauses_s:
            if abs(ratio - 1) <= protocol.drift:
                return
            time.sleep(pause)
            before = self._sentinel(share, key, protocol)
            if abs(before - 1) > protocol.drift:
                ratio = before
                continue
            again()
            ratio = self._sentinel(share, key, protocol)
        if abs(ratio - 1) > protocol.drift:
            faster = "faster" if ratio < 1 else "slower"
            raise DeviceError(
                f"{share.lane.name} has become {abs(ratio - 1):.0%} {faster} than when it began "
                f"and stays so (protocol: drift {protocol.drift:.0%}); see what disturbs it with "
                "--check, let it cool down, then run the same command again"
            )

    def _sentinel(self, share: _Share, key: str, protocol: Protocol) -> float:
        (answer,) = share.lane.time([key], protocol)
        # One that fails says nothing of the pace.
        return share.pace.note(key, answer.samples) if answer.samples else 1.0

    def _give(self, share: _Share, protocol: Protocol, on_outcome: OnOutcome) -> None:
        """Tells the outcomes that are final; where the device is gone, the others have none."""
        pace = share.pace.end_batch()
        for key, seconds in share.pace.reference.items():
            self.reference[f"{share.lane.name}: {key}"] = seconds
        if not share.gone:
            share.lane.forget()
        for key in share.jobs:
            rounds = tuple(share.rounds.get(key, ()))
            if key in share.errors:
                on_outcome(Outcome(key=key, error=share.errors[key]))
            elif protocol.settled(rounds):
                on_outcome(Outcome(key=key, rounds=rounds, pace=pace))


def _waiting(share: _Share, protocol: Protocol) -> list[str]:
    """Keys of a lane that have to be timed once more."""
    if share.gone:
        return []
    return [
        key
        for key in share.jobs
        if key not in share.errors and not protocol.settled(share.rounds.get(key, ()))
    ]


def _await_cool(lane: Lane, protocol: Protocol) -> None:
    """Waits until the device is cool enough; DeviceError where it stays hot."""
    if protocol.max_temperature_c is None:
        return
    deadline = time.monotonic() + COOLING_SECONDS
    while True:
        celsius = hottest(lane.files([_TEMPERATURES]))
        if celsius is None:
            raise DeviceError(
                f"{lane.name} does not tell its temperature, so max_temperature_c "
                f"{protocol.max_temperature_c:g} cannot be kept; give --max-temperature-c none"
            )
        if celsius <= protocol.max_temperature_c:
            return
        if time.monotonic() > deadline:
            raise DeviceError(
                f"{lane.name} has stayed at {celsius:.0f} °C for {COOLING_SECONDS / 60:.0f} "
                f"minutes, above max_temperature_c {protocol.max_temperature_c:g}; give it a fan "
                "or raise the limit"
            )
        time.sleep(_COOLING_STEP_SECONDS)


def hottest(files: Mapping[str, str]) -> float | None:
    """Degrees Celsius of the hottest of Linux' thermal zones, by path; None without any."""
    values = []
    for text in files.values():
        try:
            values.append(int(text) / 1000)
        except ValueError:
            continue
    return max(values, default=None)


def _each(actions: Sequence[Callable[[], None]], *, together: bool) -> None:
    """Runs all actions, at the same time or one after the other."""
    if not together or len(actions) < 2:
        for action in actions:
            action()
        return
    with ThreadPoolExecutor(len(actions)) as pool:
        for future in [pool.submit(action) for action in actions]:
            future.result()
