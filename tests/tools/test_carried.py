"""A calibration by bundle: written, run on another machine (this one), its times brought back."""

import json
import subprocess
from pathlib import Path

import pytest

from costmodel.crossbuild.platforms import platform_of
from tools.main import run
from tools.places import profile_store

CHEAP = (
    "--kernels", "60", "--networks", "4", "--repeats", "1", "--rounds", "1", "--max-rounds", "1",
    "--min-repeat-ms", "0", "--no-sentinel", "--cpus", "any",
)  # fmt: skip


@pytest.fixture(scope="module")
def carried(tmp_path_factory):
    """A home, the results of a bundle that was written there, and what the command said of it."""
    root = tmp_path_factory.mktemp("carried")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PONAS_HOME", str(root / "home"))
        if platform_of(profile_store().get("host-cpu").target()).name != "x86_64":
            pytest.skip("this machine is no x86-64")
        folder = root / "a bundle"
        assert run(["calibrate", "x86-avx2", "--bundle", str(folder), *CHEAP]) == 0
    subprocess.run(["sh", str(folder / "run.sh")], check=True, capture_output=True)
    return root / "home", folder / "results.jsonl"


@pytest.fixture
def call(carried, monkeypatch, capsys):
    """A command in that home: (exit status, standard output, standard error)."""
    home, _ = carried
    monkeypatch.setenv("PONAS_HOME", str(home))

    def call(*arguments):
        capsys.readouterr()
        status = run([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return status, said.out, said.err

    return call


def test_times_that_come_back_calibrate_the_profile_that_they_were_asked_for(carried, call):
    _, results = carried
    status, out, err = call("calibrate", "x86-avx2", "--results", results, "--json")
    assert status == 0, err
    found = json.loads(out)
    assert found["kernels"] == 60
    assert found["error"]["networks"] == 4
    assert found["failed"] == []
    (facts,) = (
        p for p in json.loads(call("profiles", "--json")[1]) if p["name"] == "x86-avx2"
    )  # fmt: skip
    assert facts["calibrated"]
    assert found["report"] == str(Path(found["path"]) / "calibration.html")
    page = Path(found["report"]).read_text()
    assert "Calibration of x86-avx2" in page
    assert "4 networks: whole networks" in page
    assert facts["origin"].startswith("measured on a device that a bundle was carried to (")


def test_times_are_read_again_as_often_as_they_are_brought(carried, call):
    _, results = carried
    documents = [
        json.loads(call("calibrate", "x86-avx2", "--results", results, "--json")[1])
        for _ in range(2)
    ]
    assert documents[0]["error"] == documents[1]["error"]


def test_times_for_another_profile_are_refused(carried, call):
    _, results = carried
    status, _, err = call("calibrate", "x86-avx512", "--results", results)
    assert status == 2
    assert "was not written here for 'x86-avx512'" in err
    assert err.count("\n") == 1


def test_what_no_bundle_wrote_is_refused(call, tmp_path):
    (tmp_path / "x.jsonl").write_text("{}\n")
    status, _, err = call("calibrate", "x86-avx2", "--results", tmp_path / "x.jsonl")
    assert status == 2
    assert "is not what a bundle's run writes" in err


def test_a_folder_with_other_things_is_not_touched(call, tmp_path):
    (tmp_path / "precious").write_text("!")
    status, _, err = call("calibrate", "x86-avx2", "--bundle", tmp_path, *CHEAP)
    assert status == 2
    assert [path.name for path in tmp_path.iterdir()] == ["precious"]
    assert err.count("\n") <= 2


def test_two_things_at_once_are_a_mistake(carried, call):
    _, results = carried
    status, _, err = call("calibrate", "x86-avx2", "--results", results, "--check")
    assert status == 2
    assert "--check and --results are different things" in err


def test_a_target_error_cannot_be_watched_from_afar(call, tmp_path):
    arguments = ("calibrate", "x86-avx2", "--bundle", tmp_path / "b", "--target-error", "3")
    status, _, err = call(*arguments)
    assert status == 2
    assert "planned ahead cannot stop at a target error" in err
