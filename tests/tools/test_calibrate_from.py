"""A profile calibrated from a table of whole networks' times, and what uses it then."""

import random
from functools import cache
from pathlib import Path

import pytest
import torch

from costmodel.calibration.sums_store import TIMINGS_FILE
from costmodel.errors import InputError
from costmodel.partition import partition
from costmodel.predictor import Overhead, Predictor
from tools.console import Stages
from tools.nas_bench_201 import EDGES, OPERATIONS, network_of, parse_cell
from tools.networks import named_network
from tools.places import open_estimator, profile_store
from tools.timings import calibrate_from, resolve

ARCHITECTURES = [
    f"{kh}x3,{first} 3x3,{second}"
    for kh in (1, 3)
    for first in (8, 20, 40)
    for second in (10, 30, 60)
]


@cache
def roofline(kernel, target):
    return Predictor(target, None, Overhead()).rank(kernel)[0][1]


def slow(target, network):
    """A runtime that takes three times the roofline and 20 µs a kernel."""
    kernels = [step.kernel for step in partition(network, target)]
    return sum(3 * roofline(kernel, target) + 2e-5 for kernel in kernels)


def cells(number):
    chance = random.Random(0)
    return [
        "+".join(
            "|" + "|".join(f"{chance.choice(OPERATIONS)}~{s}" for s in sources) + "|"
            for sources in EDGES
        )
        for _ in range(number)
    ]


def write(path, rows):
    lines = [f'"{network}",{seconds * 1e3!r}' for network, seconds in rows]
    path.write_text("\n".join(["network,latency_ms", *lines]))
    return path


pytestmark = pytest.mark.usefixtures("home")


@pytest.fixture(params=["raspberry-pi-5", "gtx-1080ti"])
def profile(request):
    return profile_store().get(request.param)


@pytest.fixture
def timed(profile, tmp_path):
    """The table of a runtime that is known."""
    target = profile.target()
    rows = [(text, slow(target, named_network(text)[1])) for text in ARCHITECTURES]
    return write(tmp_path / "mine.csv", rows)


def test_a_calibration_from_timings_is_kept_with_its_origin(profile, timed):
    calibrated = calibrate_from(profile_store(), profile, timed, Stages(None))
    found = profile_store().get(profile.name)
    assert found.file == calibrated.file
    facts = found.calibration()
    assert facts.origin == (
        "end-to-end timings from mine.csv, 18 networks, runtime of the user's own"
    )
    assert facts.space == "the networks of mine.csv"
    assert (facts.error.networks, facts.schedules) == (18, "roofline")
    assert facts.error.mape < 0.05
    assert "left out of the fit" in facts.error.split
    assert [name for name, _, _ in facts.held_out] == [named_network(t)[0] for t in ARCHITECTURES]
    kept = (found.folder / TIMINGS_FILE).read_text().splitlines()
    assert len(kept) == 19


def test_an_estimate_is_then_what_that_runtime_takes(profile, timed):
    """Not of the fastest predicted schedule, which that runtime does not have."""
    calibrated = calibrate_from(profile_store(), profile, timed, Stages(None))
    estimator = open_estimator(calibrated)
    assert estimator.calibrated
    ratios = []
    for text in ("3x3,14 3x3,44", "2x3,32 3x3,24"):
        network = named_network(text)[1]
        estimate = estimator.estimate(network)
        low, high = estimate.latency_interval_ms
        assert low <= estimate.latency_ms <= high
        ratios.append(estimate.latency_ms * 1e-3 / slow(profile.target(), network))
    assert ratios == pytest.approx([1, 1], abs=0.1)


def test_a_calibration_from_what_was_kept_is_the_same(profile, timed):
    store = profile_store()
    first = calibrate_from(store, profile, timed, Stages(None)).calibration()
    kept = store.folder(profile.name) / TIMINGS_FILE
    again = calibrate_from(store, store.get(profile.name), kept, Stages(None)).calibration()
    assert again.error == first.error
    assert again.held_out == first.held_out


def test_how_a_runtime_executes_cells_is_read_from_its_times(tmp_path):
    profile = profile_store().get("raspberry-pi-4b")
    target = profile.target()
    rows = [(text, slow(target, network_of(parse_cell(text), "compiled"))) for text in cells(18)]
    path = write(tmp_path / "cells.csv", rows)
    facts = calibrate_from(profile_store(), profile, path, Stages(None)).calibration()
    assert facts.space.endswith("NAS-Bench-201 cells executed as 'compiled'")
    assert facts.error.mape < 0.05


def test_profiles_show_it(ponas_json, timed, profile):
    calibrate_from(profile_store(), profile, timed, Stages(None))
    (row,) = [row for row in ponas_json("profiles") if row["name"] == profile.name]
    assert row["calibrated"]
    assert "mine.csv" in row["origin"]
    assert row["error"]["mape"] < 0.05


def test_files_are_looked_for_beside_the_table(tmp_path):
    module = torch.nn.Sequential(torch.nn.Conv2d(1, 5, 3), torch.nn.ReLU()).eval()
    x = torch.zeros(1, 1, 12, 10)
    torch.export.save(torch.export.export(module, (x,)), tmp_path / "model.pt2")
    name, network = resolve("model.pt2", tmp_path)
    assert name == "model.pt2"
    assert network.input_shape == (12, 10, 1)


def test_networks_have_their_full_names(tmp_path):
    assert resolve("seed", tmp_path)[0] == resolve(resolve("seed", tmp_path)[0], tmp_path)[0]
    (cell,) = cells(1)
    assert resolve(cell, tmp_path) == (cell, parse_cell(cell))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gone.onnx", r"there is no file .*gone\.onnx; paths start at the folder of the timings"),
        ("net.tflite", "there is no file 'net.tflite'; read are ONNX files"),
        ("kws99", r"unknown network 'kws99' \(.*\); it is an architecture such as"),
        ("|none~0|", "a NAS-Bench-201 cell has 3 nodes"),
    ],
)
def test_what_names_no_network_is_said_with_the_line(text, message, tmp_path):
    path = write(tmp_path / "t.csv", [("seed", 1.0), (text, 1.0)])
    profile = profile_store().get("raspberry-pi-4b")
    with pytest.raises(InputError, match=rf"t\.csv, line 3, column 'network': {message}") as raised:
        calibrate_from(profile_store(), profile, path, Stages(None))
    assert "\n" not in str(raised.value)
    assert profile_store().get(profile.name).calibration() is None


def test_a_broken_file_of_a_model_is_said_with_the_line(tmp_path):
    (tmp_path / "cut.onnx").write_bytes(b"\x08")
    path = write(tmp_path / "t.csv", [("cut.onnx", 1.0)])
    with pytest.raises(InputError, match=r"line 2, column 'network': .*cut\.onnx"):
        calibrate_from(profile_store(), profile_store().get("host-cpu"), path, Stages(None))


def test_the_command_ends_with_a_page_where_it_is_wanted(ponas, timed, profile):
    status, _, err = ponas(
        "calibrate", profile.name, "--from", timed, "--report", "pages/mine.html"
    )  # fmt: skip
    assert status == 0, err
    page = Path("pages/mine.html")
    assert f"page: {page.resolve()}" in err
    assert "18 networks: " in page.read_text()
    assert all(architecture in page.read_text() for architecture in ARCHITECTURES)
