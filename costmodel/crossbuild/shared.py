"""Shared libraries that a stock TVM on a board loads: kernels, and what its RPC server lacks.

They are linked without a C library, so they are built in a tenth of a second and load under glibc
and musl alike: `memcpy` and its like are found in the process that loads them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory

from costmodel.crossbuild.platforms import Platform
from costmodel.crossbuild.toolchain import Toolchain
from costmodel.errors import DeviceError

_LINK = ("-shared", "-s", "-nostdlib")
_SOURCES = ("board.c", "program.h")


def link_shared(
    objects: Sequence[Path], platform: Platform, output: Path, toolchain: Toolchain | None = None
) -> None:
    """Links ``objects`` into the shared library ``output``.

    Raises DeviceError without zig and where it fails; ``output`` is then as it was.
    """
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=output.parent, prefix=".link-") as folder:
            library = Path(folder) / "library.so"
            inputs = [str(path) for path in objects]
            (toolchain or Toolchain()).cc(platform, [*_LINK, *inputs, "-o", str(library)])
            library.replace(output)
    except OSError as error:
        raise DeviceError(f"cannot write the library {output}: {error.strerror}") from error


def board_library(platform: Platform, toolchain: Toolchain | None = None) -> Path:
    """The library of `board.c` for ``platform``, from the toolchain's cache; see there."""
    toolchain = toolchain or Toolchain()
    texts = [files(__package__).joinpath(name).read_bytes() for name in _SOURCES]
    digest = hashlib.sha256(b"\0".join(texts)).hexdigest()[:16]
    library = toolchain.cache / f"board-{platform.name}-{digest}.so"
    if library.exists():
        return library
    try:
        with TemporaryDirectory() as folder:
            for name, text in zip(_SOURCES, texts, strict=True):
                (Path(folder) / name).write_bytes(text)
            source, compiled = Path(folder) / _SOURCES[0], Path(folder) / "board.o"
            toolchain.cc(platform, ["-fPIC", "-c", str(source), "-o", str(compiled)])
            link_shared([compiled], platform, library, toolchain)
    except OSError as error:
        raise DeviceError(f"cannot build {library}: {error.strerror}") from error
    return library
