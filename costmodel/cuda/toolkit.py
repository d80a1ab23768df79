"""NVIDIA's compiler and assembler from their wheels: CUDA C++ to PTX to machine code."""

from __future__ import annotations

import ctypes
import importlib.metadata
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from costmodel.errors import DeviceError, InputError

COMPILER_WHEEL = "nvidia-cuda-nvrtc-cu12"
ASSEMBLER_WHEEL = "nvidia-cuda-nvcc-cu12"
"""Release 12.9 is the last that knows GPUs older than sm_75 (CUDA 13's release notes)."""
ASSEMBLER_SECONDS = 120
"""A kernel takes a tenth of a second; one that takes this long is unrolled beyond reason."""


@dataclass(frozen=True)
class Toolkit:
    """Where the two programs lie."""

    compiler: Path
    """The shared library of NVRTC."""
    assembler: Path
    """The program ptxas."""

    def ptx(self, source: str, architecture: str) -> str:
        """PTX text of CUDA C++ ``source`` for an ``architecture`` like ``sm_61``.

        Raises DeviceError, with the compiler's first complaint, when it refuses.
        """
        virtual = architecture.replace("sm_", "compute_")
        return _Compilation(_load(self.compiler), source).run(f"--gpu-architecture={virtual}")

    def cubin(self, ptx: str, architecture: str) -> tuple[bytes, str]:
        """Machine code of ``ptx`` for ``architecture``, and what ptxas reports of it (``-v``).

        Raises DeviceError, with the assembler's first complaint, when it refuses.
        """
        with TemporaryDirectory(prefix="ponas-cuda-") as folder:
            source, code = Path(folder, "kernel.ptx"), Path(folder, "kernel.cubin")
            source.write_text(ptx, encoding="ascii")
            command = (str(self.assembler), "-v", f"-arch={architecture}")
            try:
                done = subprocess.run(  # noqa: PLW1510 - the return code is read below
                    (*command, str(source), "-o", str(code)),
                    capture_output=True,
                    text=True,
                    timeout=ASSEMBLER_SECONDS,
                )
            except (OSError, subprocess.TimeoutExpired) as error:
                raise DeviceError(f"cannot run ptxas for {architecture}: {error}") from error
            if done.returncode:
                complaint = _first_error(done.stderr)
                raise DeviceError(f"ptxas cannot assemble for {architecture}: {complaint}")
            return code.read_bytes(), done.stderr


@cache
def find_toolkit() -> Toolkit:
    """The toolkit of the installed wheels; InputError, naming the extra, where they are missing."""
    return Toolkit(
        compiler=_file_of(COMPILER_WHEEL, "libnvrtc.so.12"),
        assembler=_file_of(ASSEMBLER_WHEEL, "ptxas"),
    )


def _file_of(wheel: str, name: str) -> Path:
    try:
        files = importlib.metadata.files(wheel) or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        path = Path(str(file.locate()))
        if file.name == name and path.is_file():
            return path
    raise InputError(
        f"compiling for CUDA needs the package {wheel}; install it with: pip install 'ponas[cuda]'"
    )


@cache
def _load(compiler: Path) -> ctypes.CDLL:
    try:
        library = ctypes.CDLL(str(compiler))
    except OSError as error:
        raise DeviceError(f"cannot load NVRTC: {error}") from error
    library.nvrtcGetErrorString.restype = ctypes.c_char_p
    return library


class _Compilation:
    """One program of NVRTC: made, compiled, read and destroyed by `run`."""

    def __init__(self, library: ctypes.CDLL, source: str) -> None:
        self._library = library
        self._source = source
        self._program = ctypes.c_void_p()

    def run(self, *options: str) -> str:
        self._check(
            self._library.nvrtcCreateProgram(
                ctypes.byref(self._program), self._source.encode(), b"kernel.cu", 0, None, None
            )
        )
        try:
            given = (ctypes.c_char_p * len(options))(*(option.encode() for option in options))
            status = self._library.nvrtcCompileProgram(self._program, len(options), given)
            if status:
                complaint = _first_error(self._text("ProgramLog"))
                raise DeviceError(f"NVRTC cannot compile with {' '.join(options)}: {complaint}")
            return self._text("PTX")
        finally:
            self._library.nvrtcDestroyProgram(ctypes.byref(self._program))

    def _text(self, what: str) -> str:
        """A result that NVRTC hands out as its size, then its characters."""
        size = ctypes.c_size_t()
        self._check(
            getattr(self._library, f"nvrtcGet{what}Size")(self._program, ctypes.byref(size))
        )
        text = ctypes.create_string_buffer(size.value)
        self._check(getattr(self._library, f"nvrtcGet{what}")(self._program, text))
        return text.value.decode()

    def _check(self, status: int) -> None:
        if status:
            raise DeviceError(f"NVRTC: {self._library.nvrtcGetErrorString(status).decode()}")


def _first_error(log: str) -> str:
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower() or "fatal" in line.lower()]
    return (errors or lines or ["no reason given"])[0]
