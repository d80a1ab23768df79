"""A TVM library of kernels for a GPU, as files to link: host code, and machine code packed in.

Without a GPU's runtime TVM packs CUDA source, which the other machine would have to compile. Here
the source is compiled by NVIDIA's wheels and its place in the packed bytes taken by machine code:
the formats differ in the name of the format and the last string (TVM 0.27:
src/backend/cuda/runtime/cuda_module.cc, ``SaveToBytes``: format, functions, code).
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import tvm

from costmodel.cuda.assemble import architecture_of, assemble_source
from costmodel.errors import DeviceError
from costmodel.lowering import PASS_CONFIG
from costmodel.target import GpuTarget

BLOB_SYMBOL = "__tvm_ffi__library_bin"
"""Where TVM's loader looks for what is packed."""
_ASSEMBLY = """\
    .section .rodata
    .globl {symbol}
    .balign 16
{symbol}:
    .incbin "{name}"
    .section .note.GNU-stack,"",%progbits
"""
_CHANGED = "TVM packs libraries in another form than that of release 0.27"


def write_host_code(module: tvm.IRModule, target: GpuTarget, triple: str, path: Path) -> bytes:
    """Writes the object file ``path`` that launches the module's kernels; what TVM would pack.

    ``triple``: of the machine that has the GPU. Raises DeviceError where TVM refuses.
    """
    try:
        with tvm.transform.PassContext(config=PASS_CONFIG):
            host = {"kind": "llvm", "mtriple": triple}
            built: Any = tvm.compile(module, target=tvm.target.Target(target.tvm_dict(), host)).mod
        built.write_to_file(str(path))
        pack = tvm.get_global_func("runtime.ModulePackImportsToTensor")
        return bytes(pack(built).numpy().tobytes())
    except Exception as error:  # TVM raises the type that its C++ code names
        line = (str(error).strip() or type(error).__name__).splitlines()[-1]
        raise DeviceError(f"TVM cannot compile for {target.tvm_dict()}: {line}") from error


def write_device_code(source: str, target: GpuTarget, packed: bytes, path: Path) -> None:
    """Writes the assembly file ``path``, and ``.bin`` beside it: ``packed`` as machine code.

    ``source``: the kernels, as `cuda_source` gives them. Raises DeviceError where a compiler
    refuses.
    """
    cubin = assemble_source(source, architecture_of(target)).cubin
    data = path.with_suffix(".bin")
    data.write_bytes(with_machine_code(packed, cubin))
    name = str(data.absolute()).replace("\\", "\\\\").replace('"', '\\"')
    path.write_text(_ASSEMBLY.format(symbol=BLOB_SYMBOL, name=name), encoding="utf-8")


def with_machine_code(packed: bytes, cubin: bytes) -> bytes:
    """``packed`` (a library and its only import, CUDA source) with ``cubin`` in place of source.

    Raises DeviceError where the bytes are not laid out as they were when this was written.
    """
    reader = _Reader(packed)
    reader.number()  # bytes that follow
    for _ in range(2):  # tree of imports: where each one's begin, and which they are
        for _ in range(reader.number()):
            reader.number()
    tree_end = reader.at
    if reader.string() != b"_lib" or reader.string() != b"cuda":
        raise DeviceError(_CHANGED)
    module = _Reader(reader.string())
    if reader.at != len(packed) or module.string() != b"cuda":
        raise DeviceError(_CHANGED)
    start = module.at
    end = _last_string(module.data, start)
    functions = module.data[start:end]
    body = _string(b"cubin") + functions + _string(cubin)
    rest = packed[8:tree_end] + _string(b"_lib") + _string(b"cuda") + _string(body)
    return struct.pack("<Q", len(rest)) + rest


def _last_string(data: bytes, start: int) -> int:
    """Where the string that ends ``data`` begins; TVM's source has a line feed and # at first."""
    at = data.find(b"\n#", start)
    while at >= 0:
        if at >= 8 and struct.unpack_from("<Q", data, at - 8)[0] == len(data) - at:
            return at - 8
        at = data.find(b"\n#", at + 1)
    raise DeviceError(_CHANGED)


class _Reader:
    """Numbers and strings as TVM's streams write them: little endian, 64 bits."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def number(self) -> int:
        if self.at + 8 > len(self.data):
            raise DeviceError(_CHANGED)
        (value,) = struct.unpack_from("<Q", self.data, self.at)
        self.at += 8
        return int(value)

    def string(self) -> bytes:
        length = self.number()
        value = self.data[self.at : self.at + length]
        if len(value) != length:
            raise DeviceError(_CHANGED)
        self.at += length
        return value


def _string(value: bytes) -> bytes:
    return struct.pack("<Q", len(value)) + value
