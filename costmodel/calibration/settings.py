"""What a calibration is asked for, how far it is, and what comes out of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from costmodel.calibration.card import ErrorCard
from costmodel.calibration.records import Measurement
from costmodel.errors import InputError
from costmodel.predictor import Overhead
from costmodel.regressor import RatioModel

MINIMUM_KERNELS = 40
"""Kernels that a first model needs, to choose the schedules of all others."""
MINIMUM_NETWORKS = {"overhead_networks": 2, "watched_networks": 2, "held_out_networks": 4}

PlanName = Literal["active", "random"]


@dataclass(frozen=True, kw_only=True)
class CalibrationSettings:
    """How much is measured."""

    kernels: int = 300
    """Kernels timed by themselves, at most."""
    overhead_networks: int = 12
    """Networks timed whole and in parts."""
    watched_networks: int = 8
    """Networks timed whole whose error is watched meanwhile; they are never on the card."""
    held_out_networks: int = 20
    """Networks timed whole only: the error card."""
    minutes: float = 5.0
    """Time after which no further kernel is begun; networks and fit follow."""
    target_error: float | None = None
    """Mean relative error on the watched networks at which no further kernel is begun."""
    plan: PlanName = "active"
    """Which kernels: those that teach most about networks, or random ones, for comparison."""
    ahead: bool = False
    """Whether every job is known before anything is measured, so that all of them can be carried
    to another machine: nothing is watched and the roofline chooses the networks' schedules."""
    seed: int = 0
    """Seed of the plan."""
    space: str = ""
    """Name of the space that networks are drawn from."""

    def __post_init__(self) -> None:
        if self.kernels < MINIMUM_KERNELS or any(
            getattr(self, name) < least for name, least in MINIMUM_NETWORKS.items()
        ):
            raise InputError(
                f"a calibration needs at least {MINIMUM_KERNELS} kernels, 2 overhead networks, "
                f"2 watched and 4 held-out ones; got {self.kernels}, {self.overhead_networks}, "
                f"{self.watched_networks}, {self.held_out_networks}"
            )
        if not self.minutes > 0:
            raise InputError(f"minutes must be positive, got {self.minutes}")
        if self.target_error is not None and not 0 < self.target_error < 1:
            raise InputError(
                f"the target error is a share between 0 and 1 (0.03 is 3 %), "
                f"got {self.target_error}"
            )
        if self.plan not in ("active", "random"):
            raise InputError(f"unknown plan '{self.plan}'; there are active and random")
        if self.ahead and self.target_error is not None:
            raise InputError(
                "a calibration planned ahead cannot stop at a target error: leave one of them out"
            )


@dataclass(frozen=True)
class Progress:
    """Where a calibration is, for whoever watches."""

    stage: str
    done: int
    total: int
    error: float | None = None
    """Mean relative error on the watched networks, once there is a model."""
    seconds_left: float | None = None
    """Of the stage, at most, once its pace is known."""

    @property
    def note(self) -> str:
        """Error and time left for a person; empty while neither is known."""
        parts = []
        if self.error is not None:
            parts.append(f"error {self.error:.1%}")
        if self.seconds_left is not None:
            minutes, seconds = divmod(round(self.seconds_left), 60)
            parts.append(f"{minutes}:{seconds:02} left")
        return ", ".join(parts)


@dataclass(frozen=True, kw_only=True)
class Calibrated:
    """The result: a model, what a network adds, and how good they are."""

    model: RatioModel
    overhead: Overhead
    card: ErrorCard
    kernels: int
    failed: tuple[str, ...]
    """Jobs of which every attempt failed, with the last reason."""
    minutes: float
    measurements: tuple[Measurement, ...]
    held_out: tuple[tuple[str, float, float], ...]
    """Name, predicted and measured seconds of the held-out networks."""
