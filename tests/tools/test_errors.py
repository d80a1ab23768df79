"""Every mistake of docs/errors.md is answered with the line that stands there, and exit 2 or 1."""

import errno
import os
import re
import shlex
import sys
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import pytest
from mistaken_files import make

from costmodel.calibration.lock import calibrating
from search.recorder import StudyRecorder
from tools.main import run
from tools.places import profile_store

DOCUMENT = Path(__file__).parents[2] / "docs" / "errors.md"
UPDATE = "PONAS_UPDATE_ERRORS"
OUR_FAILURES = {
    "where nobody listens",
    "on a full disk",
    "without the package sounddevice",
    "ponas search --device cuda:99",
    "ponas measure kws7 --profile odroid-xu3-a15 --tracker 127.0.0.1:1 --key odroid",
}
"""Circumstances and commands whose exit status is 1."""


@dataclass(frozen=True)
class Mistake:
    circumstance: str
    command: str
    line: str

    @property
    def pattern(self):
        return ".*".join(map(re.escape, self.line.split("…")))

    @property
    def status(self):
        return 1 if {self.circumstance, self.command} & OUR_FAILURES else 2

    def __str__(self):
        return f"{self.command} {self.circumstance}".strip()


def mistakes(text):
    found = re.findall(r"(?m)^(?:# (.*)\n)?\$ (ponas.*)\n(ponas: .*)$", text)
    return [Mistake(*each) for each in found]


MISTAKES = mistakes(DOCUMENT.read_text(encoding="utf-8"))


def full_disk(path, **_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)


CIRCUMSTANCES = {
    "": lambda _: nullcontext(),
    "while another process searches it": lambda _: StudyRecorder.open(Path("kws.study")),
    "while another process calibrates it": lambda _: calibrating(profile_store(), "host-cpu"),
    "without the package onnx": lambda m: m.setitem(sys.modules, "onnx", None),
    "without the package sounddevice": lambda m: m.setitem(sys.modules, "sounddevice", None),
    "where nobody listens": lambda m: m.setattr("time.sleep", lambda _: None),
    "in a folder that takes no files": lambda m: m.setattr(
        "os.access", lambda _, mode: not mode & os.W_OK
    ),
    "on a full disk": lambda m: m.setattr("search.export.atomic_save", full_disk),
    "with PONAS_HOME=good.wav": lambda m: m.setenv("PONAS_HOME", "good.wav"),
}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mistaken")
    make(folder)
    return folder


@pytest.fixture
def said(place, monkeypatch, capsys):
    """Runs a command where all of that is: exit status, and the lines on standard error."""
    monkeypatch.setenv("PONAS_HOME", str(place / "home"))
    monkeypatch.chdir(place)

    def call(mistake):
        with CIRCUMSTANCES[mistake.circumstance](monkeypatch) or nullcontext():
            status = run(shlex.split(mistake.command)[1:])
        captured = capsys.readouterr()
        assert captured.out == ""
        return status, captured.err.replace(f"{place}/", "").replace(f"{place}", "…").splitlines()

    return call


@pytest.mark.parametrize("mistake", MISTAKES, ids=str)
def test_a_mistake_is_answered_with_the_line_of_the_document(said, mistake):
    status, lines = said(mistake)
    if os.environ.get(UPDATE):
        assert "PYTEST_XDIST_WORKER" not in os.environ, "one process writes the document: no -n"
        text = DOCUMENT.read_text(encoding="utf-8")
        asked = f"$ {mistake.command}\n"
        asked = f"# {mistake.circumstance}\n{asked}" if mistake.circumstance else f"\n{asked}"
        if not re.fullmatch(mistake.pattern, lines[-1]):
            text = text.replace(f"{asked}{mistake.line}", f"{asked}{lines[-1]}")
        DOCUMENT.write_text(text, encoding="utf-8")
        return
    assert re.fullmatch(mistake.pattern, lines[-1]), lines[-1]
    assert status == mistake.status
    # What goes before is progress, such as "reading networks: 2".
    assert all(re.fullmatch(r"[\w ]+: \d+", line) for line in lines[:-1])


def test_the_document_has_many_and_none_twice():
    text = DOCUMENT.read_text(encoding="utf-8")
    assert len(MISTAKES) == text.count("\n$ ponas") > 100
    assert len({str(each) for each in MISTAKES}) == len(MISTAKES)


def test_nothing_that_was_there_is_changed_by_a_mistake(said, place):
    """Also not what a command would have written over: studies, models, sound, tables."""
    before = content(place)
    for mistake in MISTAKES:
        said(mistake)
    after = content(place)
    assert {path: after.get(path) for path in before} == before


def content(place):
    return {
        path.relative_to(place): path.read_bytes()
        for path in place.rglob("*")
        if path.is_file() and "home" not in path.parts and path.suffix != ".lock"
    }
