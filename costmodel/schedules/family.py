"""What a schedule family promises: a space of points, a description, a scheduled module."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from costmodel.errors import InputError
from costmodel.kernels import Array, Kernel
from costmodel.loopnest import LoopNest
from costmodel.target import Target

if TYPE_CHECKING:
    import tvm

K = TypeVar("K", bound=Kernel)

MAXIMUM_POINTS = 64
"""Upper bound on the valid points of one kernel: a choice must stay a matter of milliseconds."""


@dataclass(frozen=True, order=True)
class Schedule:
    """One point of a family's parameter space."""

    family: str
    parameters: tuple[tuple[str, int], ...]

    def __getitem__(self, name: str) -> int:
        return dict(self.parameters)[name]

    def __str__(self) -> str:
        return " ".join([self.family, *(f"{name}={value}" for name, value in self.parameters)])

    @staticmethod
    def parse(text: str) -> Schedule:
        """The schedule that ``str`` wrote; InputError when it is none."""
        try:
            family, *pairs = text.split()
            parameters = tuple((name, int(value)) for name, value in (p.split("=") for p in pairs))
        except ValueError:
            raise InputError(
                f"'{text}' is not a schedule; one looks like 'direct vectors=2 columns=8'"
            ) from None
        return Schedule(family, parameters)


class ScheduleFamily(ABC, Generic[K]):
    """A way to run one sort of kernel, with a small explicit space of parameters.

    Everything is a pure function of its arguments. `describe` and `module` speak of the same
    loops: `costmodel.tir.read(module(k, s, t)) == describe(k, s, t)` for every point, and the
    conformance tests hold each family to it, and to NumPy's result.
    """

    name: str

    @abstractmethod
    def handles(self, kernel: Kernel, target: Target) -> bool:
        """Whether this is a kernel of the family's sort that it can run on ``target``."""

    @abstractmethod
    def points(self, kernel: K, target: Target) -> tuple[Schedule, ...]:
        """Every valid point of a kernel that it handles: at least one, at most `MAXIMUM_POINTS`."""

    @abstractmethod
    def describe(self, kernel: K, schedule: Schedule, target: Target) -> LoopNest:
        """The loops of the scheduled kernel, without TVM."""

    @abstractmethod
    def module(self, kernel: K, schedule: Schedule, target: Target) -> tvm.IRModule:
        """The scheduled kernel: one PrimFunc ``main``; parameters in the order of `shapes`."""

    @abstractmethod
    def shapes(self, kernel: K, schedule: Schedule, target: Target) -> tuple[tuple[int, ...], ...]:
        """Shapes of the function's float32 arguments: ``kernel.inputs`` values, constants, output.

        Values lie as the target says (see `CpuTarget`, `GpuTarget`).
        """

    def pack(
        self, kernel: K, schedule: Schedule, target: Target, constants: tuple[Array, ...]
    ) -> tuple[Array, ...]:
        """The kernel's constants (in the layout its class states) as `shapes` says."""
        del kernel, schedule, target
        return constants

    def scratch_elements(self, kernel: K, schedule: Schedule, target: Target) -> int:
        """float32 numbers that the kernel allocates in memory while it runs."""
        del kernel, schedule, target
        return 0
