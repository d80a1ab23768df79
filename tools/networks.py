"""What a person names on the command line as a network: an architecture, or a model's file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from costmodel.network import Network
    from kws.architecture import Bounds
    from tools.nas_bench_201 import Execution

MOST_FILTERS = 1024
ONNX, TORCH = ".onnx", ".pt2"


def is_model_file(text: str) -> bool:
    """Whether ``text`` names a file by an ending that a network can be read from."""
    return Path(text).suffix.lower() in {ONNX, TORCH}


def named_network(text: str, execution: Execution = "compiled") -> tuple[str, Network]:
    """The network that ``text`` names, and its name in full.

    An architecture in Table II's notation or by name, the path of an ONNX file, or that of a
    model saved with ``torch.export.save``; or a NAS-Bench-201 cell, as a runtime of ``execution``
    runs it. Raises InputError of the room concerned.
    """
    if is_model_file(text):
        return text, _read(Path(text))
    if text.strip().startswith("|"):
        from tools.nas_bench_201 import network_of, parse_cell

        return text.strip(), network_of(parse_cell(text), execution)
    _refuse_other_files(text)
    from kws.architecture import Architecture, to_network

    architecture = Architecture.parse(text, bounds=widest_bounds())
    return str(architecture), to_network(architecture)


def widest_bounds() -> Bounds:
    """What can be estimated and measured: far beyond what is searched, kernels up to the input."""
    from kws.architecture import INPUT_SHAPE, Bounds

    size = INPUT_SHAPE[:2]
    return Bounds(filters=MOST_FILTERS, first_kernel=size, later_kernel=size)


_CURES = {
    ".pt": "write it as ONNX first: ponas export {path} --format onnx",
    ".pth": "it has weights alone; save the network itself with torch.export.save, as a .pt2 file",
    ".tflite": "convert it to ONNX first",
    ".h5": "convert it to ONNX first",
    ".keras": "convert it to ONNX first",
    ".pb": "convert it to ONNX first",
    ".study": "time its front by itself: ponas measure {path}",
}
"""What to do with files of networks that are not read here, by their ending."""


def _refuse_other_files(text: str) -> None:
    """Raises InputError for the path of another file: it would be read as an architecture."""
    from costmodel.errors import InputError

    path = Path(text)
    cure = _CURES.get(path.suffix.lower())
    if not path.suffix or (cure is None and not path.exists()):
        return
    if not path.exists():
        raise InputError(f"there is no file '{text}'; {_READABLE}")
    why = "is a folder" if path.is_dir() else "cannot be read as a network"
    middle = f"; {cure.format(path=text)}" if cure and path.is_file() else ""
    raise InputError(f"'{text}' {why}{middle}; {_READABLE}")


_READABLE = "read are ONNX files (.onnx) and models saved by torch.export.save (.pt2)"


def _read(path: Path) -> Network:
    if path.suffix.lower() == ONNX:
        from costmodel.frontends.onnx_file import from_onnx

        return from_onnx(path)[0]
    from costmodel.frontends.torch_export import from_exported_file

    return from_exported_file(path)[0]
