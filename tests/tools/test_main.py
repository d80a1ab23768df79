"""The command line turns every mistake into one line and an exit status."""

import errno
import importlib
import json
import os
import re
import subprocess
import sys
from importlib import metadata

import pytest

from costmodel.errors import DeviceError
from kws.errors import StorageError
from tools import main


def one_line(err):
    assert err.startswith("ponas: ")
    assert err.count("\n") == 1
    return err


def test_help_names_every_command(ponas):
    status, out, _ = ponas("--help")
    assert status == 0
    for command in main.COMMANDS:
        assert re.search(rf"^  {command} ", out, re.MULTILINE)


@pytest.mark.parametrize("command", main.COMMANDS)
def test_every_command_explains_itself(ponas, command):
    status, out, _ = ponas(command, "--help")
    assert status == 0
    assert "Usage: ponas " + command in out


@pytest.mark.parametrize(
    "command", ["search", "calibrate", "estimate", "measure", "export", "data"]
)
def test_examples_of_help_use_options_that_there_are(command):
    module = importlib.import_module(f"tools.commands.{command}")
    examples = [line.split() for line in module.EXAMPLES.splitlines()[2:]]
    assert len(examples) >= 2
    for ponas, name, *words in examples:
        assert (ponas, name) == ("ponas", command)
        found = module.command
        if command == "data":
            found = found.commands[words[0]]
        known = {option for parameter in found.params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= known


def test_a_terminal_without_a_sign_is_shown_another():
    code = "from tools.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "profiles"], capture_output=True, check=False,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert b"host-cpu" in done.stdout


def test_what_a_terminal_would_obey_is_not_in_an_errors_line(ponas):
    status, _, err = ponas("estimate", "\x1b[2Jkws7\x00\udcff")
    assert status == 2
    assert "?[2Jkws7??" in one_line(err)
    assert len(one_line(ponas("estimate", "3" * 5000)[2])) < 1300


def test_the_version_is_told_with_those_of_what_decides_the_results(ponas):
    status, out, _ = ponas("--version")
    found = dict(line.rsplit(" ", 1) for line in out.splitlines() if not line.startswith("system"))
    assert status == 0
    assert found["ponas"] == metadata.version("ponas")
    assert found["TVM"] == metadata.version("apache-tvm")
    assert found["torch"] == metadata.version("torch")
    assert int(found["LLVM"]) >= 15


def test_help_needs_no_heavy_import():
    code = (
        "import sys; from tools.main import run; run(['--help']);"
        "heavy = ('tvm', 'torch', 'sklearn', 'librosa', 'plotly', 'numpy', 'networkx');"
        "sys.exit(any(m in sys.modules for m in heavy))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["serach"], "there is no command 'serach'; did you mean search? see: ponas --help"),
        (["estimate", "3x3"], "unit 1 '3x3' has no filter count; write kernel and filters as"),
        (["estimate", "3x3,0"], "unit 1 has 0 filters"),
        (["estimate", "3x3,40 50x3,40"], "unit 2 kernel"),
        (["estimate", "kws7", "--profile", "odroid"], "unknown profile 'odroid'"),
        (["calibrate", "hostcpu"], "did you mean host-cpu or host-cpu-all?"),
        (["calibrate", "host-cpu", "--kernels", "3"], "3 is out of range; allowed: 60 to 5,000"),
        (["search", "--candidates", "0"], "0 is out of range; allowed: at least 1"),
        (["search", "--objective", "speed"], "'speed' is not one of 'latency', 'flops'"),
        (["search", "--first-kernel", "5"], "'5' is no kernel size; write it as 5x10"),
        (["search", "--resume", "--study", "absent.study"], "no study at absent.study"),
        (["search", "--data", "absent"], "no data at"),
        (["compare", "a.study"], "give two studies or none, got 1"),
        (["report", "absent.study"], "no study at absent.study"),
        (["measure", "4x4"], "has no filter count"),
        (["data", "info", "absent"], "no data at"),
        (["data", "prepare", "x", "--clips", "300"], "for the data set 'generated' only"),
    ],
)
def test_a_users_mistake_is_one_line_and_exit_2(ponas, arguments, says):
    status, out, err = ponas(*arguments)
    assert (status, out) == (2, "")
    assert says in one_line(err)


@pytest.mark.parametrize(
    ("error", "status", "says"),
    [
        (DeviceError("no compiler: mend it"), 1, "no compiler: mend it"),
        (StorageError("disk is full"), 1, "disk is full"),
        (OSError(errno.ENOSPC, "No space left on device", "/x"), 1, "the disk is full at /x"),
        (
            PermissionError(errno.EACCES, "Permission denied", "/y"),
            2,
            "/y: you may not read or write",
        ),
        (ModuleNotFoundError("No module named 'tvm'", name="tvm"), 1, "no compiler: TVM cannot"),
        (ModuleNotFoundError("No module named 'torch'", name="torch"), 1, "package 'torch'"),
        (KeyboardInterrupt(), 130, "what was finished is kept"),
    ],
)
def test_what_lets_us_down_is_one_line_too(ponas, monkeypatch, error, status, says):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr("tools.places.profile_store", fail)
    found, out, err = ponas("profiles")
    assert (found, out) == (status, "")
    assert says in one_line(err.removeprefix("\n"))  # a line ends after the terminal's ^C


def test_a_fault_of_the_program_itself_is_not_hidden(ponas, monkeypatch):
    def fail():
        raise ZeroDivisionError

    monkeypatch.setattr("tools.places.profile_store", fail)
    with pytest.raises(ZeroDivisionError):
        ponas("profiles")


def test_a_damaged_profile_is_named_after_the_others(ponas, home):
    for name in ("a72", "t4"):
        (home / "profiles" / name).mkdir(parents=True)
        (home / "profiles" / name / "profile.json").write_text("{")
    status, out, err = ponas("profiles", "--json")
    assert status == 2
    assert {row["name"] for row in json.loads(out)} > {"host-cpu", "odroid-xu3-a15"}
    assert "t4" not in {row["name"] for row in json.loads(out)}
    lines = err.splitlines()
    assert len(lines) == 2
    assert all(name in line for name, line in zip(("a72", "t4"), lines, strict=True))
