"""Zig as cross-linker: it brings libc for every platform and needs nothing installed."""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory

import platformdirs

from costmodel.crossbuild.platforms import Platform
from costmodel.errors import DeviceError

_SOURCES = ("program.c", "call.c", "timing.c", "runtime.c", "threads.c", "files.c")
_HEADER = "program.h"
_FLAGS = ("-mcpu=baseline", "-O2", "-std=gnu11")
_SECONDS = 900
"""Until zig counts as hung; a platform's first link builds its libc, about 60 s."""


def default_cache() -> Path:
    """Where libc and the program's own objects are kept, about 30 MB a platform."""
    return Path(platformdirs.user_cache_path("ponas")) / "crossbuild"


@dataclass(frozen=True)
class Toolchain:
    """Compiles and links the C part of static programs."""

    cache: Path = field(default_factory=default_cache)

    def link(self, objects: Sequence[Path], table: str, platform: Platform, output: Path) -> None:
        """Makes the static program ``output`` of ``objects`` and the C source ``table``.

        About 0.1 s, except for a platform's first. Raises DeviceError without zig, and
        with its first error where it fails; ``output`` is then as it was.
        """
        runtime = self._runtime(platform)
        try:
            output.parent.mkdir(parents=True, exist_ok=True)
            with TemporaryDirectory(dir=output.parent, prefix=".link-") as folder:
                source, program = Path(folder) / "table.c", Path(folder) / "program"
                source.write_text(table, encoding="utf-8")
                inputs = [str(path) for path in (source, *runtime, *objects)]
                self.cc(platform, ["-static", "-s", *inputs, "-o", str(program)])
                program.replace(output)
        except OSError as error:
            raise DeviceError(f"cannot write the program {output}: {error.strerror}") from error

    def _runtime(self, platform: Platform) -> list[Path]:
        """The objects of `_SOURCES`, compiled where they are not in the cache yet."""
        texts = [_source(name) for name in (*_SOURCES, _HEADER)]
        made_by = f"{zig_version()} {platform.zig_target} {_FLAGS}".encode()
        digest = hashlib.sha256(b"\0".join([made_by, *texts])).hexdigest()[:16]
        folder = self.cache / f"{platform.name}-{digest}"
        objects = [folder / Path(name).with_suffix(".o") for name in _SOURCES]
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for name, compiled in zip(_SOURCES, objects, strict=True):
                if not compiled.exists():
                    self._compile(platform, name, compiled)
        except OSError as error:
            raise DeviceError(f"cannot write into {folder}: {error.strerror}") from error
        return objects

    def _compile(self, platform: Platform, name: str, output: Path) -> None:
        with TemporaryDirectory(dir=output.parent) as folder:
            source, compiled = Path(folder) / name, Path(folder) / "compiled.o"
            source.write_bytes(_source(name))
            (Path(folder) / _HEADER).write_bytes(_source(_HEADER))
            self.cc(platform, ["-c", str(source), "-o", str(compiled)])
            compiled.replace(output)

    def cc(self, platform: Platform, arguments: Sequence[str]) -> None:
        """Runs zig's C compiler for ``platform``; DeviceError with its first error."""
        headers = str(files(__package__))
        words = ["cc", "-target", platform.zig_target, *_FLAGS, "-I", headers, *arguments]
        self._zig(words, f"for {platform.name}")

    def archive(self, objects: Sequence[str], output: Path) -> None:
        """Makes the static library ``output`` of ``objects``; DeviceError as `cc`."""
        self._zig(["ar", "rcsD", str(output), *objects], output.name)

    def _zig(self, words: Sequence[str], what: str) -> None:
        zig_version()
        command = [sys.executable, "-m", "ziglang", *words]
        with TemporaryDirectory() as scratch:
            places = {
                "ZIG_GLOBAL_CACHE_DIR": str(self.cache / "zig"),  # libc
                "ZIG_LOCAL_CACHE_DIR": scratch,  # a copy of every program; never found again
            }
            try:
                done = subprocess.run(
                    command, env={**os.environ, **places}, capture_output=True, text=True,
                    errors="replace", timeout=_SECONDS, check=False,
                )  # fmt: skip
            except (OSError, subprocess.TimeoutExpired) as error:
                raise DeviceError(f"zig did not build {what}: {error}") from error
        if done.returncode:
            raise DeviceError(f"zig cannot build {what}: {_reason(done.stderr)}")


def zig_version() -> str:
    """The cross-linker's version. Raises DeviceError where it is not installed."""
    if importlib.util.find_spec("ziglang") is None:
        raise DeviceError(
            "programs for boards need the cross-linker zig; install it: pip install 'ponas[boards]'"
        )
    return importlib.metadata.version("ziglang")


def _source(name: str) -> bytes:
    return files(__package__).joinpath(name).read_bytes()


def _reason(stderr: str) -> str:
    lines = stderr.strip().splitlines() or ["no reason given"]
    return next((line for line in lines if "error" in line), lines[-1]).strip()
