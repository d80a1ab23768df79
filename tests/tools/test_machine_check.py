"""What the doctor says of this machine, of parts that are missing and of parts that are broken."""

import importlib.metadata
import json
import shutil
import subprocess
import sys

import pytest

from kws.errors import MissingToolError
from tools import machine_check
from tools.finding import Finding
from tools.machine_check import (
    check_compiler,
    check_extras,
    check_packages,
    check_profiles,
    check_python,
    check_tools,
    check_torch,
)


def said(text, status=0):
    """A process that says this, as the one does that imports torch."""
    code = f"import sys; print({text!r}); sys.stderr.write('last words'); sys.exit({status})"
    return subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def levels(findings):
    return [finding.level for finding in findings]


def test_the_doctor_finds_this_machine_whole(ponas):
    status, out, err = ponas("doctor")
    assert (status, err) == (0, "")
    topics = {line[8:22].strip(): line[:8].strip() for line in out.splitlines() if line[0] != " "}
    assert topics["python"] == topics["compiler"] == topics["torch"] == topics["packages"] == "ok"
    assert topics["profiles"] == "-", "this home has no calibration"
    assert "ponas calibrate host-cpu" in out
    assert topics["data folder"] == topics["cache"] == "ok"
    assert {"processors", "load", "speech", "ssh", "[boards]", "[onnx]"} <= topics.keys()


def test_for_machines_it_is_one_document(ponas_json):
    found = ponas_json("doctor")
    assert all(each.keys() == {"level", "topic", "text", "cure"} for each in found)
    assert {each["level"] for each in found} <= {"fine", "missing"}
    (torch,) = (each["text"] for each in found if each["topic"] == "torch")
    assert torch.startswith(importlib.metadata.version("torch"))


def test_what_is_broken_ends_with_its_line_and_status_1(ponas, monkeypatch):
    broken = Finding("broken", "torch", "cannot be imported: no such file", "install it again")
    fine = Finding("fine", "python", "3.11")
    monkeypatch.setattr(machine_check, "look_around", lambda: iter([fine, broken]))
    status, out, err = ponas("doctor")
    assert status == 1
    assert out.splitlines()[1].split()[:2] == ["BROKEN", "torch"]
    assert err == "ponas: torch: cannot be imported: no such file; install it again\n"
    status, out, _ = ponas("doctor", "--json")
    assert status == 1
    assert [each["level"] for each in json.loads(out)] == ["fine", "broken"]


def test_an_old_python_is_broken(monkeypatch):
    assert levels(check_python()) == ["fine"]
    monkeypatch.setattr(machine_check, "LEAST_PYTHON", (99, 1))
    (found,) = check_python()
    assert (found.level, found.cure) == ("broken", "install ponas with Python 99.1 or newer")


@pytest.mark.parametrize(
    ("package", "version", "says"),
    [
        ("apache-tvm", "0.1", "apache-tvm is 0.1, 0.27.0.post1 is needed"),
        ("librosa", None, "librosa is not installed"),
    ],
)
def test_a_package_that_is_missing_or_another_is_broken(monkeypatch, package, version, says):
    real = importlib.metadata.version

    def changed(name):
        if name != package:
            return real(name)
        if version is None:
            raise importlib.metadata.PackageNotFoundError(name)
        return version

    monkeypatch.setattr(importlib.metadata, "version", changed)
    broken = [found for found in check_packages() if found.level == "broken"]
    assert [found.text for found in broken] == [says]
    assert "constraints" in broken[0].cure


def test_a_compiler_without_a_target_says_for_which_boards(monkeypatch):
    import tvm.target.codegen

    assert levels(check_compiler()) == ["fine"]
    monkeypatch.setattr(tvm.target.codegen, "llvm_get_targets", lambda: ["x86-64", "nvptx64"])
    (found,) = check_compiler()
    assert found.level == "missing"
    assert found.text.endswith("not for 32-bit ARM boards and 64-bit ARM boards")


@pytest.mark.parametrize(
    ("words", "driver", "level", "says"),
    [
        ('["2.9", null, []]', None, "fine", "trains on the CPU; no NVIDIA driver here"),
        ('["2.9", "12.8", ["GTX"]]', "/bin/x", "fine", "trains on the CPU and on GTX"),
        ('["2.9", "12.8", []]', "/bin/x", "missing", "sees no GPU, though there is a driver"),
        ('["2.9", null, []]', "/bin/x", "missing", "has no CUDA, though there is a driver"),
        ("Illegal instruction", None, "broken", "cannot be imported: last words"),
    ],
)
def test_what_torch_says_of_itself(monkeypatch, words, driver, level, says):
    monkeypatch.setattr(shutil, "which", lambda _: driver)
    (found,) = check_torch(said(words))
    assert found.level == level
    assert says in found.text
    assert bool(found.cure) == (level != "fine")


def test_profiles_are_named_with_the_command_that_calibrates(home):
    (found,) = check_profiles()
    assert found.level == "missing"
    assert "rk3399-a72" in found.text
    assert found.cure == "ponas calibrate host-cpu"
    assert not home.exists(), "looking writes nothing"


def test_a_missing_tool_is_told_with_its_cure(monkeypatch):
    def absent():
        raise MissingToolError("a microphone needs ears; install them with: pip install ears")

    monkeypatch.setattr("tools.microphone.load_sounddevice", absent)
    monkeypatch.setattr(shutil, "which", lambda _: None)
    found = {each.topic: each for each in check_tools()}
    assert found["microphone"] == Finding(
        "missing", "microphone", "a microphone needs ears", "install them with: pip install ears"
    )
    assert found["ssh"].cure == "on Debian: apt install openssh-client"
    assert found["emulator"].level == "missing"
    assert found["speech"].level == "fine"


def test_extras_are_read_off_the_package_itself(monkeypatch):
    found = {each.topic: each for each in check_extras()}
    assert found["[optuna]"].text == f"optuna {importlib.metadata.version('optuna')}"
    assert "[dev]" not in found
    monkeypatch.setattr(
        importlib.metadata, "requires", lambda _: ['unheard-of>=1; extra == "optuna"', "numpy"]
    )
    (optuna,) = (each for each in check_extras() if each.topic == "[optuna]")
    assert (optuna.text, optuna.cure) == ("without unheard-of", "pip install 'ponas[optuna]'")
