"""A network with its features and words as a C library that needs nothing but a C library.

The shared library is linked without one, so that it loads under glibc and musl alike. Its kernels
are those that are predicted and measured: `costmodel.program.assemble`, `costmodel.lowering.lower`.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory

from costmodel.crossbuild.library_source import (
    ALIGNMENT,
    Interface,
    LibraryPart,
    constants_source,
    example,
    header,
    tables,
)
from costmodel.crossbuild.objects import symbol_of, write_object
from costmodel.crossbuild.platforms import Platform, platform_of
from costmodel.crossbuild.signature import read_signature
from costmodel.crossbuild.toolchain import Toolchain
from costmodel.errors import DeviceError, InputError
from costmodel.kernels import Array, SoftmaxKernel
from costmodel.lowering import lower
from costmodel.mfcc.kernel import MfccPlan, mfcc_job
from costmodel.program import Program, assemble
from costmodel.schedules.registry import points
from costmodel.target import CpuTarget

_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")
_GLIBC = {
    "armv7": "arm-linux-gnueabihf",
    "aarch64": "aarch64-linux-gnu",
    "x86_64": "x86_64-linux-gnu",
}
"""Whose headers the library is compiled with: its locks and threads need as much room as musl's,
or more, so that the same code is right under both."""
_OURS = (
    "allocate", "constants", "fail", "parts", "pin_to", "raised_error", "reason", "run",
    "sizes", "start_threads", "values",
)  # fmt: skip
"""Names that files of the library share: a static program's own must not clash with them."""
_ARM = "library_arm.c"
"""Of a shared library for armv7 alone."""
_COMPILE = ("-c", "-fPIC", "-ffunction-sections", "-fdata-sections")


@dataclass(frozen=True, kw_only=True, eq=False)
class LibraryPlan:
    """What a library is made of."""

    name: str
    """Begins the names of its functions and files: a lower-case C identifier."""
    title: str
    words: tuple[str, ...]
    sample_rate_hz: int
    mfcc: MfccPlan
    program: Program
    """A classifier of ``words`` for the features [H, W, 1] of ``mfcc``."""
    constants: Sequence[Array]
    """The program's weights; see `costmodel.program.constants`."""

    def __post_init__(self) -> None:
        """Raises InputError for a name that C cannot have, and for parts that do not fit."""
        if not _NAME.fullmatch(self.name):
            raise InputError(
                f"'{self.name}' cannot begin names in C; give at most 32 small letters, digits and "
                "underscores, a letter first, as in: keywords"
            )
        layout = self.mfcc.layout
        made = (layout.coefficients, layout.frames, 1)
        if self.program.input_shape != made:
            raise InputError(
                f"the network takes features {self.program.input_shape}, not {made} as these "
                "settings make them"
            )

    @property
    def interface(self) -> Interface:
        """What the header says."""
        layout = self.mfcc.layout
        return Interface(
            name=self.name,
            title=self.title,
            words=self.words,
            samples=layout.samples,
            sample_rate_hz=self.sample_rate_hz,
            features=(layout.coefficients, layout.frames),
        )


@dataclass(frozen=True, kw_only=True)
class LibraryFiles:
    """Where `build_library` has written what."""

    shared: Path
    archive: Path
    """The same code, to be linked into a program."""
    header: Path
    example: Path


def build_library(
    plan: LibraryPlan, target: CpuTarget, folder: Path, toolchain: Toolchain | None = None
) -> LibraryFiles:
    """Writes the library of ``plan`` for ``target`` into the existing ``folder``.

    Raises InputError for a target that nothing can be linked for; DeviceError without zig and
    where compiling, linking or writing fails.
    """
    platform = platform_of(target)
    toolchain = toolchain or Toolchain()
    paths = LibraryFiles(
        shared=folder / f"lib{plan.name}.so",
        archive=folder / f"lib{plan.name}.a",
        header=folder / f"{plan.name}.h",
        example=folder / "example.c",
    )
    try:
        with TemporaryDirectory(prefix="ponas-") as scratch:
            objects = _objects(plan, target, platform, Path(scratch), toolchain)
            _link(plan, objects, platform, Path(scratch), toolchain)
            for path in (paths.shared, paths.archive):
                shutil.copyfile(Path(scratch) / path.name, path)
        paths.header.write_text(header(plan.interface), encoding="utf-8")
        paths.example.write_text(example(plan.interface), encoding="utf-8")
    except OSError as error:
        raise DeviceError(f"cannot write the library {paths.shared}: {error.strerror}") from error
    return paths


def _objects(
    plan: LibraryPlan, target: CpuTarget, platform: Platform, scratch: Path, toolchain: Toolchain
) -> list[Path]:
    """Everything that is in the library."""
    parts, objects = _compiled_parts(plan, target, scratch)
    sources = ["library.c", "runtime.c", *(["threads.c"] if target.cores > 1 else [])]
    for name in (*sources, "library.h", "program.h", _ARM):
        (scratch / name).write_bytes(files(__package__).joinpath(name).read_bytes())
    (scratch / f"{plan.name}.h").write_text(header(plan.interface), encoding="utf-8")
    (scratch / "tables.c").write_text(tables(plan.interface, parts), encoding="utf-8")
    (scratch / "constants.s").write_text(
        constants_source("constants.bin", f"{plan.name}_constants"), encoding="utf-8"
    )
    defines = [f"-D{name}={plan.name}_{name}" for name in _OURS]
    defines.append(f"-DTHREADS={target.cores}")
    if target.cores == 1:
        # One call at a time on one thread: what a kernel has allocated serves every caller.
        defines.append("-D_Thread_local=")
    glibc = replace(platform, zig_target=_GLIBC[platform.name])
    for name in (*sources, "tables.c", "constants.s"):
        compiled = (scratch / name).with_suffix(".o")
        words = [*_COMPILE, *defines, "-I", str(scratch), "-o", str(compiled)]
        toolchain.cc(glibc, [*words, f"-Wa,-I{scratch}", str(scratch / name)])
        objects.append(compiled)
    return objects


def _compiled_parts(
    plan: LibraryPlan, target: CpuTarget, scratch: Path
) -> tuple[list[LibraryPart], list[Path]]:
    """Features, network and confidences through TVM, and ``constants.bin`` beside them."""
    mfcc = mfcc_job(plan.mfcc, target)
    stride = plan.program.output_shape[-1]
    softmax = SoftmaxKernel(height=1, width=1, channels=len(plan.words), input_stride=stride)
    modules = {
        "mfcc": lower(mfcc.kernel, mfcc.schedule, target).module,
        "network": assemble(plan.program),
        "softmax": lower(softmax, points(softmax, target)[0], target).module,
    }
    constants = {"mfcc": plan.mfcc.constants(), "network": plan.constants}
    parts, objects, blob = [], [], bytearray()
    for name, module in modules.items():
        places = []
        for array in constants.get(name, ()):
            blob += bytes(-len(blob) % ALIGNMENT)
            places.append(len(blob))
            blob += array.astype("<f4", copy=False).tobytes()
        prefix = f"{plan.name}_{name}"
        objects.append(scratch / f"{name}.o")
        write_object(module, prefix, target, objects[-1])
        signature = read_signature(prefix, module)
        parts.append(LibraryPart(symbol_of(prefix), signature, tuple(places)))
    (scratch / "constants.bin").write_bytes(blob)
    return parts, objects


def _link(
    plan: LibraryPlan, objects: Sequence[Path], platform: Platform, scratch: Path,
    toolchain: Toolchain,
) -> None:  # fmt: skip
    """The two libraries; of the shared one nothing can be seen but what the header names."""
    shown = scratch / "shown.map"
    shown.write_text(
        f"{{ global: {plan.name}_words; {plan.name}_features; {plan.name}_classify; "
        f"{plan.name}_listen; local: *; }};\n",
        encoding="utf-8",
    )
    name = f"lib{plan.name}.so"
    inputs = [str(path) for path in objects]
    more = [str(scratch / _ARM)] if platform.name == "armv7" else []
    toolchain.cc(
        platform,
        ["-shared", "-s", "-nostdlib", f"-Wl,--version-script={shown}", f"-Wl,-soname,{name}",
         "-Wl,--gc-sections", *inputs, *more, "-o", str(scratch / name)],
    )  # fmt: skip
    toolchain.archive(inputs, scratch / f"lib{plan.name}.a")
