import dataclasses

import numpy as np
import pytest
from trained import lived_model

from kws import onnx_export
from kws.agreement import TOLERANCE, ExportError, check_agreement
from kws.onnx_export import export_onnx
from kws.onnx_model import load_onnx


def test_what_is_exported_was_checked_and_says_how_well(tmp_path):
    model = lived_model("3x3,6 2x4,5")
    found = export_onnx(tmp_path / "deep" / "model.onnx", model)
    assert found.clips > 0
    assert found.largest_difference < TOLERANCE * found.peak
    again = check_agreement(model, found.by, load_onnx(tmp_path / "deep" / "model.onnx").logits)
    assert again == found


def test_a_graph_that_answers_otherwise_is_not_written(tmp_path, monkeypatch):
    model = lived_model("3x3,6 2x4,5")
    export_onnx(tmp_path / "model.onnx", model)
    before = (tmp_path / "model.onnx").read_bytes()
    wrong = dataclasses.replace(
        model, normalisation=dataclasses.replace(model.normalisation, std=56.0)
    )
    build = onnx_export.build_graph
    monkeypatch.setattr(onnx_export, "build_graph", lambda _, **options: build(wrong, **options))
    with pytest.raises(ExportError, match="does not answer as the trained one"):
        export_onnx(tmp_path / "model.onnx", model)
    assert (tmp_path / "model.onnx").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_numbers_that_are_none_never_agree(bad):
    model = lived_model("3x3,6")
    with pytest.raises(ExportError):
        check_agreement(model, "nonsense", lambda f: np.full((len(f), 4), bad, np.float32))
