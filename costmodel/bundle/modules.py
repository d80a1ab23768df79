"""A bundle for a GPU: a TVM library of each job, a Python script, TVM's runtime to install."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import tvm

from costmodel.bundle.contents import Built, Contents
from costmodel.bundle.device_code import write_device_code, write_host_code
from costmodel.bundle.manifest import Manifest
from costmodel.bundle.program import filled
from costmodel.crossbuild.platforms import PLATFORMS, Platform
from costmodel.crossbuild.shared import link_shared
from costmodel.crossbuild.signature import Signature, read_signature
from costmodel.crossbuild.toolchain import Toolchain
from costmodel.cuda.assemble import architecture_of, cuda_source
from costmodel.cuda.toolkit import find_toolkit
from costmodel.errors import InputError
from costmodel.lowering import lower
from costmodel.program import assemble
from costmodel.runners.contract import Job, KernelJob
from costmodel.target import GpuTarget

MODULES = "modules"
"""Folder of the libraries."""
CARRIED = "carried"
"""Folder of the scripts."""
_SCRIPT = f"""\
#!/usr/bin/env python3
# python3 run.py [RESULTS] [--device cuda:0]: see README.txt.
from pathlib import Path

from {CARRIED}.main import main

main(Path(__file__).absolute().parent)
"""
_ARM_GPUS = ("sm_53", "sm_62")
"""GPUs of Jetson boards alone (Nano, TX2), whose processor is an AArch64."""
_HOSTS = {"x86_64": "x86_64-linux-gnu", "aarch64": "aarch64-linux-gnu"}
"""Platforms that apache-tvm has wheels for, and their triples."""
_CUDA_RUNTIME = "'nvidia-cuda-runtime==13.*'"
"""What the CUDA part of apache-tvm 0.27 is linked with (libcudart.so.13)."""
_REQUIRED = ("apache-tvm", "apache-tvm-ffi")


class ModulesContents(Contents):
    """See the module and `Contents`."""

    def __init__(
        self, target: GpuTarget, host: str | None = None, toolchain: Toolchain | None = None
    ) -> None:
        """``host``: platform of the machine with the GPU; None for the usual one.

        Raises InputError for a GPU or a platform that nothing can be built for, or where the
        extra ``ponas[cuda]`` is missing.
        """
        self.architecture = architecture_of(target)
        host = host or ("aarch64" if self.architecture in _ARM_GPUS else "x86_64")
        if host not in _HOSTS:
            raise InputError(f"unknown host '{host}' of a GPU; known: {', '.join(_HOSTS)}")
        find_toolkit()
        self.cores = 1
        self._target = target
        self._triple = _HOSTS[host]
        self._platform: Platform = next(p for p in PLATFORMS if p.name == host)
        self._toolchain = toolchain or Toolchain()

    @property
    def kind(self) -> Literal["modules"]:
        return "modules"

    def build(self, jobs: Sequence[Job], folder: Path) -> Built:
        (folder / MODULES).mkdir()
        signatures: dict[str, Signature] = {}
        linking: dict[str, Future[Path]] = {}
        failed: dict[str, str] = {}
        with (
            TemporaryDirectory(prefix="ponas-") as scratch,
            ThreadPoolExecutor(os.cpu_count() or 1) as pool,
        ):
            for job in jobs:
                try:  # TVM is asked from one thread, what it wrote is compiled in others
                    name = f"k{hashlib.sha256(job.key.encode()).hexdigest()[:16]}"
                    module = _module(job)
                    signatures[job.key] = read_signature(name, module)
                    objects = Path(scratch) / name
                    packed = write_host_code(
                        module, self._target, self._triple, objects.with_suffix(".o")
                    )
                    source = cuda_source(module, self._target)
                    library = folder / MODULES / f"{name}.so"
                    linking[job.key] = pool.submit(self._link, source, packed, objects, library)
                except Exception as error:  # whatever it is, it is this job's outcome
                    failed[job.key] = _line(error)
            libraries = []
            for key, future in linking.items():
                try:
                    libraries.append(future.result())
                except Exception as error:  # whatever it is, it is this job's outcome
                    failed[key] = _line(error)
        good = {key: signature for key, signature in signatures.items() if key not in failed}
        return Built(good, failed, tuple(libraries))

    def add_scripts(self, manifest: Manifest, folder: Path) -> None:
        (folder / CARRIED).mkdir()
        for source in files(f"{__package__}.carried").iterdir():
            if source.name.endswith(".py"):
                text = source.read_text(encoding="utf-8")
                (folder / CARRIED / source.name).write_text(text, encoding="utf-8")
        script = folder / "run.py"
        script.write_text(_SCRIPT, encoding="utf-8")
        script.chmod(0o755)
        versions = [f"{name}=={importlib.metadata.version(name)}" for name in _REQUIRED]
        facts = {
            "TITLE": manifest.title,
            "PLATFORM": self._platform.name,
            "ARCHITECTURE": self.architecture,
            "REQUIREMENTS": " ".join([*versions, _CUDA_RUNTIME, "numpy"]),
            "COUNT": str(len(manifest.jobs)),
        }
        (folder / "README.txt").write_text(filled("README.modules.txt", facts), encoding="utf-8")

    def _link(self, source: str, packed: bytes, objects: Path, library: Path) -> Path:
        """The library of one job; runs in a thread."""
        assembly = objects.with_suffix(".s")
        write_device_code(source, self._target, packed, assembly)
        code = [objects.with_suffix(".o"), assembly]
        link_shared(code, self._platform, library, self._toolchain)
        return library


def _module(job: Job) -> tvm.IRModule:
    if isinstance(job, KernelJob):
        return lower(job.kernel, job.schedule, job.target).module
    return assemble(job.program)


def _line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[-1]
