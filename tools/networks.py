"""What a person names on the command line as a network: an architecture, or a model's file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from costmodel.network import Network
    from kws.architecture import Bounds

MOST_FILTERS = 1024
ONNX, TORCH = ".onnx", ".pt2"


def is_model_file(text: str) -> bool:
    """Whether ``text`` names a file by an ending that a network can be read from."""
    return Path(text).suffix in {ONNX, TORCH}


def named_network(text: str) -> tuple[str, Network]:
    """The network that ``text`` names, and its name in full.

    An architecture in Table II's notation or by name, the path of an ONNX file, or that of a
    model saved with ``torch.export.save``. Raises InputError of the room concerned.
    """
    if is_model_file(text):
        return text, _read(Path(text))
    from kws.architecture import Architecture, to_network

    architecture = Architecture.parse(text, bounds=widest_bounds())
    return str(architecture), to_network(architecture)


def widest_bounds() -> Bounds:
    """What can be estimated and measured: far beyond what is searched, kernels up to the input."""
    from kws.architecture import INPUT_SHAPE, Bounds

    size = INPUT_SHAPE[:2]
    return Bounds(filters=MOST_FILTERS, first_kernel=size, later_kernel=size)


def _read(path: Path) -> Network:
    if path.suffix == ONNX:
        from costmodel.frontends.onnx_file import from_onnx

        return from_onnx(path)[0]
    from costmodel.frontends.torch_export import from_exported_file

    return from_exported_file(path)[0]
