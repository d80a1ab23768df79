"""Bundles that are run right here, under an emulator where they are for another machine."""

import os
import shlex
import subprocess

from boards import emulator_of
from runner_contract import FAST, kernel_jobs

from costmodel.bundle.stages import Stage
from costmodel.bundle.write import write_bundle
from costmodel.errors import DeviceError
from costmodel.runners.bundle import BundleRunner
from costmodel.runners.contract import Runner


def environment(target=None, before=""):
    """What `run.sh` is started with."""
    emulator = shlex.join(emulator_of(target)) if target else ""
    return {**os.environ, "PONAS_RUN": f"{before} {emulator}".strip()}


def run(folder, *words, target=None, before="", status=0, **options):
    """Runs a bundle; what it told people."""
    done = subprocess.run(
        ["sh", str(folder / "run.sh"), *map(str, words)], env=environment(target, before),
        capture_output=True, text=True, timeout=300, check=False, **options,
    )  # fmt: skip
    assert done.returncode == status, done.stderr
    assert done.stdout == ""
    return done.stderr


class CarriedRunner(Runner):
    """Writes a bundle of what it is asked, runs it here, answers from its results."""

    def __init__(self, target, folder, pool):
        self.reference = {}
        self._target = target
        self._folder = folder
        self._pool = pool
        self._count = 0
        self._last = None

    def measure(self, jobs, protocol, on_outcome):
        if not jobs:
            return
        self._count += 1
        folder = self._folder / f"a bundle {self._count}"
        stage = Stage(tuple(jobs), protocol)
        try:
            write_bundle([stage], self._target, folder, title="a test", pool=self._pool)
        except DeviceError:
            if self._last is None:
                raise
        else:
            run(folder, target=self._target)
            self._last = BundleRunner(folder / "results.jsonl", self._target)
        self._last.measure(jobs, protocol, on_outcome)
        self.reference.update(self._last.reference)

    def files(self, patterns):
        if self._last is None:
            self.measure(kernel_jobs(self._target, 1), FAST, lambda _: None)
        return self._last.files(patterns)

    def close(self):
        if self._last is not None:
            self._last.close()
