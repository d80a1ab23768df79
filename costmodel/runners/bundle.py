"""Runner `bundle`: answers from the file that a bundle's run on the device has written.

The folder is written by `costmodel.bundle.write`, carried to a machine that nothing connects to,
run there, and its results are carried back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from fnmatch import fnmatchcase
from pathlib import Path

from costmodel.bundle.judge import Judge
from costmodel.bundle.manifest import BundledJob, code_of
from costmodel.bundle.results import read_results
from costmodel.errors import InputError
from costmodel.protocol import Protocol
from costmodel.runners.contract import Job, OnOutcome, Outcome, Runner
from costmodel.target import Target


class BundleRunner(Runner):
    """See the module and `Runner`. What is not in the file has an outcome with an error."""

    def __init__(self, results: Path, target: Target) -> None:
        """Raises InputError for a file that is missing, damaged or of another target."""
        self.reference: dict[str, float] = {}
        self._results = read_results(results)
        self._manifest = self._results.manifest
        self._judge = Judge(self._results)
        self._jobs = {job.key: job for job in self._manifest.jobs}
        self._prefix = f"bundle {self._manifest.bundle}: "
        if self._manifest.target != target.digest:
            raise InputError(
                f"{results} is of another device ('{self._manifest.title}', target "
                f"{self._manifest.target}, not {target.digest}); name that device's profile"
            )
        if not self._results.lines:
            raise InputError(f"{results} has no times; run the bundle on its device first")

    @property
    def bundle(self) -> str:
        """Which bundle the results are of."""
        return self._manifest.bundle

    @property
    def damaged(self) -> tuple[int, ...]:
        """Numbers of lines of the file that could not be read and do not count."""
        return self._results.damaged

    def measure(self, jobs: Sequence[Job], protocol: Protocol, on_outcome: OnOutcome) -> None:
        """See `Runner`. Raises InputError where the jobs were timed under another protocol."""
        for job in jobs:
            if (bundled := self._jobs.get(job.key)) is not None:
                self._check(protocol, bundled)
        reference = self._refer()
        for job in jobs:
            on_outcome(self._outcome(job, reference))

    def files(self, patterns: Sequence[str]) -> dict[str, str]:
        """Of what the run has kept (the doctor's files), at its last start."""
        found = self._results.files
        return {
            path: text
            for path, text in found.items()
            if any(fnmatchcase(path, pattern) for pattern in patterns)
        }

    def close(self) -> None:
        """Nothing is held."""

    def _refer(self) -> dict[str, float]:
        """Seconds of the sentinels, by name, that the paces are relative to."""
        for job in self._manifest.sentinels:
            if (seconds := self._judge.reference.get(job.name)) is not None:
                self.reference.setdefault(self._prefix + job.key, seconds)
        keys = {job.key: job.name for job in self._manifest.sentinels}
        return {
            name: self.reference[self._prefix + key]
            for key, name in keys.items()
            if self._prefix + key in self.reference
        }

    def _outcome(self, job: Job, reference: dict[str, float]) -> Outcome:
        bundled = self._jobs.get(job.key)
        if bundled is None:
            missing = "it is not in the bundle that these results are of"
            return Outcome(key=job.key, error=self._manifest.failed.get(job.key, missing))
        if job.target.digest != self._manifest.target:
            return Outcome(key=job.key, error="it is for another target than the bundle")
        if bundled.code != code_of(job):
            return Outcome(key=job.key, error="in the bundle it has other kernels or schedules")
        verdict = self._judge.verdict(bundled)
        if verdict.error is not None:
            return Outcome(key=job.key, error=verdict.error)
        pace = self._judge.pace(bundled.batch, reference)
        return Outcome(key=job.key, rounds=verdict.rounds, pace=pace)

    def _check(self, protocol: Protocol, job: BundledJob) -> None:
        timed = self._manifest.batches[job.batch].protocol
        for field in fields(Protocol):
            there, here = getattr(timed, field.name), getattr(protocol, field.name)
            if there != here:
                raise InputError(
                    f"{self._results.path} was timed with {field.name} {there!r}, not {here!r} "
                    "(protocol); give the options that the bundle was written with"
                )
