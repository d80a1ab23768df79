"""How far a board's results are from torch's."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from boards import run_under_qemu
from kernel_results import (
    arguments_of,
    computed,
    constants_of,
    relative_error,
    torch_result,
    values_of,
)

from costmodel.kernels import Kernel
from costmodel.schedules.family import Schedule, ScheduleFamily

TOLERANCE = 1e-5
"""Of an output's peak: float32 sums of up to some thousand numbers, and TVM's own exp."""


@dataclass(frozen=True)
class Case:
    """A kernel under one point of a family."""

    family: ScheduleFamily[Any]
    kernel: Kernel
    schedule: Schedule

    def __str__(self):
        return f"{self.kernel.key} | {self.schedule}"


def every_point(family, kernels, target):
    """A case for each point of each kernel."""
    return [Case(family, k, point) for k in kernels for point in family.points(k, target)]


def errors_on(cases, target):
    """The relative error of each case, all of them compiled into one program for ``target``."""
    modules, inputs, expected = [], [], []
    for case in cases:
        generator = np.random.default_rng(0)
        values, constants = (of(case.kernel, generator) for of in (values_of, constants_of))
        place = case.family, case.kernel, case.schedule, target
        try:
            modules.append(case.family.module(case.kernel, case.schedule, target))
        except Exception as error:
            error.add_note(f"in {case}")
            raise
        inputs.append(arguments_of(*place, values, constants))
        expected.append(torch_result(case.kernel, values, constants))
    outputs = run_under_qemu(modules, target, inputs)
    return [
        relative_error(computed(case.kernel, output), truth)
        for case, output, truth in zip(cases, outputs, expected, strict=True)
    ]
