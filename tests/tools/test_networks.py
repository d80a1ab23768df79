"""Models' files on the command line, beside architectures."""

import json

import pytest
import torch

from costmodel.operations import flops
from tools.nas_bench_201 import EXECUTIONS, network_of, parse_cell
from tools.places import profile_store
from tools.timings import execution_of


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """One small model in both kinds of file."""
    path = tmp_path_factory.mktemp("models")
    module = torch.nn.Sequential(
        torch.nn.Conv2d(1, 5, 3, padding=1), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1)
    ).eval()
    x = torch.zeros(1, 1, 12, 10)
    torch.export.save(torch.export.export(module, (x,)), path / "model.pt2")
    torch.onnx.export(module, (x,), path / "model.onnx", dynamo=True, verbose=False)
    return path


@pytest.fixture
def estimate(ponas):
    return lambda *arguments: ponas("estimate", *map(str, arguments), "--json")


@pytest.mark.parametrize("profile", ["host-cpu", "odroid-xu3-a15", "jetson-nano"])
@pytest.mark.parametrize("name", ["model.pt2", "model.onnx"])
def test_a_models_file_is_estimated_for_any_device(folder, name, profile, estimate):
    status, out, _ = estimate(folder / name, "--profile", profile)
    found = json.loads(out)
    assert status == 0
    assert found["architecture"].endswith(name)
    assert found["flops_table2"] == 2 * 9 * 5 * 120
    assert [kernel["name"] for kernel in found["kernels"]] == [
        "conv 3x3 1→5",
        "average pool 12x10x5",
    ]
    assert found["latency_ms"] > 0


def test_both_kinds_of_file_are_the_same_network(folder, estimate):
    one, other = (json.loads(estimate(folder / name)[1]) for name in ("model.pt2", "model.onnx"))
    assert one["kernels"] == other["kernels"]


@pytest.mark.parametrize("name", ["none.onnx", "none.pt2", "cut.onnx", "cut.pt2"])
def test_a_file_that_is_no_model_is_one_line_and_status_2(folder, name, estimate):
    if name.startswith("cut"):
        (folder / name).write_bytes((folder / name.replace("cut", "model")).read_bytes()[:100])
    status, out, err = estimate(folder / name)
    assert (status, out) == (2, "")
    assert name in err
    assert err.count("\n") == 1


CELL = "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|none~1|avg_pool_3x3~2|"


def test_a_cell_of_nas_bench_201_is_estimated_as_the_network_it_stands_for(estimate):
    status, out, _ = estimate(CELL, "--profile", "rk3399-a72")
    found = json.loads(out)
    network = network_of(parse_cell(CELL), "compiled")
    assert status == 0
    assert found["architecture"] == CELL
    assert found["flops"] == flops(network)
    assert found["latency_ms"] > 0


def test_a_cell_runs_as_the_runtime_does_that_the_profile_was_calibrated_in(monkeypatch):
    profile = profile_store().get("rk3399-a72")
    assert execution_of(profile) == "compiled"
    for execution in EXECUTIONS:
        space = f"the networks of t.csv, NAS-Bench-201 cells executed as '{execution}'"
        facts = profile.calibration().model_copy(update={"space": space})
        monkeypatch.setattr(type(profile), "calibration", lambda _, found=facts: found)
        assert execution_of(profile) == execution


def test_a_device_that_nothing_reaches_is_estimated_and_not_measured(ponas):
    status, _, err = ponas("measure", "kws12", "--profile", "odroid-xu3-a15")
    assert status == 2
    assert "how to reach 'odroid-xu3-a15' is not known; say it with --ssh HOST" in err
