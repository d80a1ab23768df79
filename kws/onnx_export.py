"""Export to ONNX, checked before anything is written."""

from __future__ import annotations

from pathlib import Path

from kws.agreement import Agreement, check_agreement
from kws.model_file import SavedModel
from kws.onnx_graph import build_graph, import_onnx
from kws.onnx_model import content_of, open_content
from kws.storage import new_file


def export_onnx(path: Path, model: SavedModel, *, batch: int | None = 1) -> Agreement:
    """Writes the network, once ONNX's own checker and ONNX Runtime have found it right.

    Args:
        path: The file.
        model: The network.
        batch: Clips that the file takes at once; None is any number. The tools that compile a
            network for a device, ours among them, want one.

    Raises:
        MissingToolError: where onnx or onnxruntime is not installed.
        ExportError: where ONNX Runtime gives other logits than torch; nothing is written then.
        StorageError: where it cannot be written.

    """
    graph = build_graph(model, batch=batch)
    import_onnx().checker.check_model(graph, full_check=True)
    content = content_of(graph, model)
    opened = open_content(content, "the exported network")
    found = check_agreement(model, "ONNX Runtime against torch", opened.logits)
    with new_file(path) as file:
        file.write(content)
    return found
