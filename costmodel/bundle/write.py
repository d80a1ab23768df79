"""Writes a bundle: a folder that is there whole or not at all."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from costmodel.bundle.contents import Built, Contents
from costmodel.bundle.manifest import Batch, BundledJob, Manifest, code_of, timeout_of
from costmodel.bundle.modules import ModulesContents
from costmodel.bundle.program import ProgramContents
from costmodel.bundle.stages import Stage
from costmodel.bundle.steps import Step, steps_of
from costmodel.crossbuild.toolchain import Toolchain
from costmodel.errors import DeviceError, InputError
from costmodel.runners.contract import Job
from costmodel.runners.object_pool import ObjectPool
from costmodel.runners.pace import sentinels
from costmodel.runners.programs import KERNEL_TIMEOUT_SECONDS
from costmodel.runners.rounds import BATCH
from costmodel.target import CpuTarget, GpuTarget, Target

MANIFEST, STEPS, RESULTS = "manifest.json", "steps.txt", "results.jsonl"
_PACKAGES = ("ponas", "apache-tvm", "apache-tvm-ffi")


@dataclass(frozen=True)
class BundleReport:
    """A bundle that was written."""

    folder: Path
    size_bytes: int
    """Of the whole folder."""
    program_bytes: int
    """Of the files with the kernels' code."""
    seconds: float
    """That it took."""
    jobs: int
    """In it."""
    failed: Mapping[str, str]
    """Jobs that could not be built, by key, with the reason."""


def write_bundle(
    stages: Sequence[Stage],
    target: Target,
    folder: Path,
    *,
    title: str,
    seed: int = 0,
    kernel_timeout_s: float = KERNEL_TIMEOUT_SECONDS,
    pool: ObjectPool | None = None,
    toolchain: Toolchain | None = None,
    host: str | None = None,
) -> BundleReport:
    """Builds all jobs of ``stages`` and writes the folder that times them on a device.

    ``title``: one line that tells people what it is of. ``seed``: of the rounds' order.
    ``kernel_timeout_s``: that a kernel may take beyond three times what the protocol asks for.
    ``host``: platform of a GPU's machine (``x86_64``, ``aarch64``), None for the usual one.

    A bundle that was not run is replaced. Raises InputError for a folder with anything else in
    it, for jobs of equal keys and targets that there are no bundles for; DeviceError where no job
    can be built or the folder cannot be written, which then is as it was.
    """
    start = time.monotonic()
    check_folder(folder)
    jobs = _distinct(stages)
    contents = _contents(target, pool, toolchain, host)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as scratch:
            made = Path(scratch) / "bundle"
            made.mkdir()
            manifest, program_bytes = _fill(
                made, contents, stages, target, title=title, seed=seed, beyond_s=kernel_timeout_s
            )
            size_bytes = sum(path.stat().st_size for path in made.rglob("*") if path.is_file())
            _swap(made, folder, Path(scratch) / "old")
    except OSError as error:
        raise DeviceError(f"cannot write the bundle {folder}: {error.strerror}") from error
    return BundleReport(
        folder=folder,
        size_bytes=size_bytes,
        program_bytes=program_bytes,
        seconds=time.monotonic() - start,
        jobs=len(jobs) - len(manifest.failed),
        failed=manifest.failed,
    )


def check_folder(folder: Path) -> None:
    """Raises InputError where a bundle must not be written."""
    if not folder.exists():
        _check_parents(folder)
        return
    if not folder.is_dir():
        raise InputError(f"{folder} is a file; give a folder for the bundle")
    names = {path.name for path in folder.iterdir()}
    if names and not _is_bundle(folder):
        raise InputError(f"{folder} is not empty and no bundle of ours; give a new folder")
    if RESULTS in names:
        raise InputError(
            f"{folder} is a bundle with results; take them in with --results "
            f"{folder / RESULTS}, or delete that file"
        )


def _check_parents(folder: Path) -> None:
    """The nearest folder that is there must take the others."""
    nearest = next(each for each in folder.absolute().parents if each.exists())
    if not nearest.is_dir():
        raise InputError(f"{nearest} is a file, so no bundle can be below it; give another folder")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise InputError(f"nothing can be written in {nearest}; give another folder")


def _is_bundle(folder: Path) -> bool:
    try:
        with (folder / MANIFEST).open(encoding="utf-8", errors="replace") as file:
            return file.read(11) == '{"bundle":"'
    except OSError:
        return False


def _distinct(stages: Sequence[Stage]) -> list[Job]:
    jobs = [job for stage in stages for job in stage.jobs]
    if not jobs:
        raise InputError("there are no jobs to put into a bundle")
    keys: set[str] = set()
    for job in jobs:
        if job.key in keys:
            raise InputError(f"two jobs of a bundle have the key '{job.key}'")
        keys.add(job.key)
    return jobs


def _contents(
    target: Target, pool: ObjectPool | None, toolchain: Toolchain | None, host: str | None
) -> Contents:
    if isinstance(target, CpuTarget):
        return ProgramContents(target, pool, toolchain)
    if isinstance(target, GpuTarget):
        return ModulesContents(target, host, toolchain)
    raise InputError(f"there are no bundles for a {type(target).__name__}")


def _fill(
    folder: Path,
    contents: Contents,
    stages: Sequence[Stage],
    target: Target,
    *,
    title: str,
    seed: int,
    beyond_s: float,
) -> tuple[Manifest, int]:
    """Everything that a bundle consists of; its manifest, and the bytes of its code."""
    watch = sentinels(target) if any(stage.protocol.sentinel_every for stage in stages) else ()
    jobs = [job for stage in stages for job in stage.jobs]
    own = [job for job in jobs if job.target.digest == target.digest]
    built = contents.build(list({job.key: job for job in (*watch, *own)}.values()), folder)
    foreign = {job.key: "it is for another target than the bundle" for job in jobs}
    failed = {
        job.key: built.failed.get(job.key, foreign[job.key])
        for job in jobs
        if job.key not in built.signatures
    }
    if len(failed) == len(jobs):
        raise DeviceError(f"nothing could be built: {next(iter(failed.values()))}")
    batches, bundled = _batched(stages, built, beyond_s)
    watched = [_bundled(job, built, -1) for job in watch if job.key in built.signatures]
    names = [[job.name for job in bundled if job.batch == i] for i in range(len(batches))]
    steps = steps_of(names, [b.protocol for b in batches], [job.name for job in watched], seed)
    digests = {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in built.files
    }
    manifest = Manifest(
        kind=contents.kind,
        title=" ".join(title.split()),
        target=target.digest,
        facts={**asdict(target), "tvm": target.tvm_dict()},
        cores=contents.cores,
        batches=batches,
        jobs=tuple(bundled),
        sentinels=tuple(watched),
        failed=failed,
        steps=len(steps),
        files=digests,
        versions={name: _version(name) for name in _PACKAGES},
    ).sealed()
    (folder / MANIFEST).write_text(f"{manifest.line()}\n", encoding="utf-8")
    _write_steps(folder / STEPS, steps)
    contents.add_scripts(manifest, folder)
    return manifest, sum(path.stat().st_size for path in built.files)


def _batched(
    stages: Sequence[Stage], built: Built, beyond_s: float
) -> tuple[tuple[Batch, ...], list[BundledJob]]:
    """The jobs that were built, cut into batches as `costmodel.runners.rounds` cuts them."""
    batches: list[Batch] = []
    bundled: list[BundledJob] = []
    for stage in stages:
        good = [job for job in stage.jobs if job.key in built.signatures]
        for start in range(0, len(good), BATCH):
            bundled += [_bundled(job, built, len(batches)) for job in good[start : start + BATCH]]
            timeout_s = timeout_of(stage.protocol, beyond_s)
            batches.append(Batch(protocol=stage.protocol, timeout_s=timeout_s))
    return tuple(batches), bundled


def _bundled(job: Job, built: Built, batch: int) -> BundledJob:
    signature = built.signatures[job.key]
    return BundledJob(
        key=job.key, name=signature.name, batch=batch, code=code_of(job), shapes=signature.shapes
    )


def _write_steps(path: Path, steps: Sequence[Step]) -> None:
    lines = (step.line(number) for number, step in enumerate(steps, 1))
    path.write_text("".join(f"{line}\n" for line in lines), encoding="ascii")


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _swap(made: Path, folder: Path, old: Path) -> None:
    """Puts ``made`` where ``folder`` is; what was there goes to ``old``."""
    if folder.exists():
        folder.rename(old)
    try:
        made.rename(folder)
    except OSError:
        if old.exists():
            shutil.move(old, folder)
        raise
