"""What a page shows, as plain data: a study, a calibration, a comparison, each where there is one.

Every number may be missing (None; NaN and infinities count as missing) and is then shown as a
dash, never drawn. Errors are shares of clips in [0, 1]; times carry their unit in their names;
operations are Table II's count. Texts are shown as they are, whatever characters they hold.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from tools.page_comparison_data import Comparison

TrialState = Literal["running", "finished", "infeasible", "stopped", "failed"]

Cost = Literal["latency", "operations"]


@dataclass(frozen=True, kw_only=True)
class Kernel:
    """One scheduled kernel of an architecture, in order of execution."""

    title: str
    """What it computes, such as ``conv 3x3,40 on 40x16x1``."""

    schedule: str
    """How its loops run on the device."""

    predicted_us: float | None
    """Time that the cost model gives it."""

    roofline_us: float | None = None
    """Time that arithmetic or memory alone would need, at the clock that the profile tells."""

    measured_us: float | None = None
    """Time on the device, where the kernel was timed by itself."""


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """An architecture and what is known of it."""

    architecture: str
    """Its text form, such as ``3x3,40 1x1,30``."""

    error: float | None = None
    """Share of validation clips wrong after the search's own, short training."""

    tuned_error: float | None = None
    """The same after fine-tuning."""

    test_error: float | None = None
    """Share of test clips wrong, after fine-tuning where there was one."""

    latency_ms: float | None = None
    """Predicted time of one inference; a roofline estimate where the device is not calibrated."""

    latency_interval_ms: tuple[float, float] | None = None
    """Low and high bound, meant to hold the measured latency of 80 % of networks."""

    measured_ms: float | None = None
    """Time of one inference on the device, end to end."""

    flops: int | None = None
    """Operations of one inference, as Table II counts them."""

    kernels: tuple[Kernel, ...] = ()
    """Its kernels in order of execution."""


@dataclass(frozen=True, kw_only=True)
class Trial(Candidate):
    """A candidate that a search tried."""

    number: int
    """Its number in the study, from 0."""

    phase: int
    """The phase that it was tried in, from 0; people see it from 1."""

    state: TrialState
    """What became of it."""

    on_front: bool = False
    """Whether no other finished trial is better in every objective."""

    curve: tuple[tuple[int, float], ...] = ()
    """Its learning curve: (step, value), in `Study.curve_name`."""

    failure: str | None = None
    """One line on what went wrong, of a failed trial."""

    stopped: str | None = None
    """How far it was trained and what it had come to, of a trial that ended early."""


@dataclass(frozen=True, kw_only=True)
class Frozen:
    """A parameter that a phase's end froze, and how clear that was."""

    parameter: str
    """Its name in the space."""

    value: str
    """The setting that was most common on the front."""

    share: float
    """Share of the front with this setting, in (0, 1]."""

    margin: float
    """Share of the front by which it won over the next most common setting, in [0, 1]."""

    reason: str = ""
    """Why it was frozen; where this is empty, share and margin are shown."""


@dataclass(frozen=True, kw_only=True)
class Phase:
    """A phase of a search."""

    number: int
    """From 0; people see it from 1."""

    trials: int
    """Trials in it, infeasible and failed ones counted."""

    planned: int | None = None
    """Trials it was meant to have."""

    frozen: tuple[Frozen, ...] = ()
    """What was frozen at its end."""

    tuned: bool = False
    """Whether it searched the optimiser's parameters and not the architecture."""

    unfrozen: str = ""
    """What came closest to being frozen and why it was not, where nothing was."""


@dataclass(frozen=True, kw_only=True)
class Device:
    """What latencies are of, and where they come from."""

    name: str
    """The profile's name."""

    description: str
    """What the profile says it is."""

    calibrated: bool
    """Whether predictions rest on measurements of this very device."""

    origin: str = ""
    """Who measured, on which machine, when; with what error on networks held out."""


@dataclass(frozen=True, kw_only=True)
class DataSet:
    """What the networks were trained and judged on."""

    name: str
    """A word for it, or its folder."""

    origin: str
    """Where it comes from, generated speech named as such."""

    words: tuple[str, ...] = ()
    """The classes that are told apart."""

    training_clips: int | None = None
    """Clips trained on."""

    validation_clips: int | None = None
    """Clips that errors of the search are shares of."""

    test_clips: int | None = None
    """Clips that test errors are shares of."""


@dataclass(frozen=True, kw_only=True)
class Objective:
    """What a search minimised."""

    name: str
    """As constraints name it: ``error``, ``latency:host-cpu``."""

    unit: str
    """Its unit; empty for a bare number."""

    origin: str = ""
    """Where its numbers come from."""


@dataclass(frozen=True, kw_only=True)
class Command:
    """A command line that goes on from here."""

    purpose: str
    """What it does, in words: ``go on with this search``."""

    line: str
    """The line, to be copied."""


@dataclass(frozen=True, kw_only=True)
class Study:
    """A search: what it was of, all its trials, what it froze."""

    created: str
    """When it began, ready to be read."""

    objectives: tuple[Objective, ...]
    """What it minimised, in order."""

    cost: Cost
    """Which cost stood against the error: the horizontal axis of the front."""

    device: Device
    """The device that latencies are of."""

    data: DataSet
    """What the networks were trained on."""

    trials: tuple[Trial, ...]
    """All trials by number."""

    phases: tuple[Phase, ...]
    """All phases begun, in order."""

    seed: int
    """The one source of every random choice."""

    seed_architecture: Candidate | None = None
    """The hand-made network that the front is compared with."""

    curve_name: str = "training loss"
    """What learning curves show."""

    settings: tuple[tuple[str, str], ...] = ()
    """Further settings: (label, value)."""

    commands: tuple[Command, ...] = ()
    """Command lines that go on with it or make it again."""


@dataclass(frozen=True, kw_only=True)
class HeldOut:
    """A whole network that the calibration never saw."""

    name: str
    """Its architecture, or a word for it."""

    predicted_ms: float
    """Predicted end-to-end latency."""

    measured_ms: float
    """Measured end-to-end latency."""

    @property
    def off(self) -> float | None:
        """Predicted / measured - 1; None where either is no time."""
        times = (self.predicted_ms, self.measured_ms)
        if not all(math.isfinite(ms) and ms > 0 for ms in times):
            return None
        return self.predicted_ms / self.measured_ms - 1


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """How well a device's cost model predicts networks that it was not fitted to."""

    device: Device
    """The device calibrated."""

    kernels: int
    """Kernels timed."""

    minutes: float
    """What the calibration took; 0 where nothing was timed for it."""

    space: str
    """What the timed networks were drawn from."""

    mape: float
    """Mean of |predicted / measured - 1| over the held-out networks."""

    within_5: float
    """Share of held-out networks predicted within ±5 %."""

    within_10: float
    """Share of held-out networks predicted within ±10 %."""

    interval: float
    """|predicted / measured - 1| that 80 % of networks stay within."""

    networks: int
    """How many were held out."""

    of: str = "networks"
    """What was held out: ``networks``, or single ``kernels``."""

    split: str
    """What held out means."""

    bias: float | None = None
    """Mean of predicted / measured - 1."""

    held_out: tuple[HeldOut, ...] = ()
    """The held-out networks, for the picture."""

    failed: tuple[str, ...] = ()
    """Jobs that could not be measured, with the reason."""

    origin: str = ""
    """When and on which machine its times were measured, and by whom."""

    commands: tuple[Command, ...] = ()
    """Command lines that use it."""


@dataclass(frozen=True, kw_only=True)
class Page:
    """One page; a part that is None is left out."""

    title: str
    """What stands at its head and in the browser's tab."""

    made: str
    """When and by which version it was made, ready to be read."""

    study: Study | None = None
    """The search, for `ponas report` and `ponas search`."""

    calibration: Calibration | None = None
    """The calibration of the study's device, or the one that `ponas calibrate` just made."""

    comparison: Comparison | None = None
    """Objectives side by side, for `ponas compare`."""
