"""A runner that answers from a formula: calibration without a clock."""

from costmodel.calibration.calibrate import CalibrationSettings
from costmodel.features import NAMES, extract, roofline_seconds
from costmodel.predictor import Overhead
from costmodel.runners.contract import KernelJob, Outcome, Runner
from costmodel.schedules.registry import describe

SETTINGS = CalibrationSettings(
    kernels=90, overhead_networks=4, held_out_networks=6, minutes=5.0, space="test"
)
"""A small calibration, for tests."""
OVERHEAD = Overhead(seconds_per_kernel=2e-6, seconds_per_byte=2e-11)


def seconds_of_kernel(kernel, schedule, target):
    """A smooth ratio to the roofline: loads and loop starts cost more than the bound says."""
    nest = describe(kernel, schedule, target)
    row = dict(zip(NAMES, extract(nest, target, kernel.flops), strict=True))
    ratio = 1.3 + 0.5 * row["load_share"] + 0.2 * row["loads_per_fma"] + 0.3 * row["side_share"]
    return ratio * roofline_seconds(nest, target)


def seconds_of_network(program):
    kernels = [step.kernel for step in program.steps]
    alone = [
        seconds_of_kernel(kernel, schedule, program.target)
        for kernel, schedule in zip(kernels, program.schedules, strict=True)
    ]
    return sum(alone) + OVERHEAD.seconds(kernels, program.target)


class FormulaRunner(Runner):
    """Remembers what it was asked; ``before`` is called with each job before its outcome.

    ``ripple``: what a kernel's time is multiplied by, beside the formula; ``slowed``: the same for
    a job, asked each time it is timed.
    """

    def __init__(
        self,
        before=lambda _: None,
        error=lambda _: None,
        ripple=lambda _: 1.0,
        slowed=lambda _: 1.0,
    ):
        self.asked = []
        self.reference = {}
        self.protocols = []
        self._before = before
        self._error = error
        self._ripple = ripple
        self._slowed = slowed

    def measure(self, jobs, protocol, on_outcome):
        for job in jobs:
            self._before(job)
            self.asked.append(job)
            self.protocols.append(protocol)
            if error := self._error(job):
                on_outcome(Outcome(key=job.key, error=error))
                continue
            if isinstance(job, KernelJob):
                seconds = seconds_of_kernel(job.kernel, job.schedule, job.target)
                seconds *= self._ripple(job.kernel)
            else:
                seconds = seconds_of_network(job.program)
            seconds *= self._slowed(job)
            on_outcome(Outcome(key=job.key, rounds=((seconds, 1.01 * seconds, 0.99 * seconds),)))

    def files(self, patterns):
        del patterns
        return {}

    def close(self):
        pass
