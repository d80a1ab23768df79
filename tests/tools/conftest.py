"""The command line in a home of its own."""

import json

import pytest

from tools.main import run


@pytest.fixture
def home(tmp_path, monkeypatch):
    """An empty PONAS_HOME, and the working directory of a command."""
    monkeypatch.setenv("PONAS_HOME", str(tmp_path / "home"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "home"


@pytest.fixture
def ponas(home, capsys):
    """Runs a command in this process: (exit status, standard output, standard error)."""

    assert not home.exists()

    def call(*arguments):
        status = run([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return call


@pytest.fixture
def ponas_json(ponas):
    """Runs a command with --json and gives its document."""

    def call(*arguments):
        status, out, err = ponas(*arguments, "--json")
        assert status == 0, err
        return json.loads(out)

    return call
