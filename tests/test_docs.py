"""The documentation holds: blocks run, commands parse, links lead somewhere, nothing is missing.

A block of Python runs as it stands; a block of ```output``` behind it is what it prints. Lines that
begin with ``ponas``, in blocks and between backticks, go through the command's own parser, which
knows its options and their types; nothing is run.
"""

import os
import re
import shlex
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import click
import pytest

from tools.main import cli

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]
EXAMPLES = sorted((DOCS / "examples").glob("*.py"))
UNFINISHED = ("...", "…")
"""In a line that shows a form: it is no command yet."""


def name_of(page):
    """A page's place in the repository, as a part of a test's name."""
    return page.relative_to(ROOT).with_suffix("").as_posix().replace("/", "-")


def blocks(page, language):
    """Text of each block of a language, and that of the block of output right behind it, or ''."""
    text = page.read_text(encoding="utf-8")
    pattern = rf"^```{language}\n(.*?)^```$(?:\n+```output\n(.*?)^```$)?"
    return re.findall(pattern, text, re.DOTALL | re.MULTILINE)


def commands(page):
    """Lines that begin with ``ponas``, of blocks (continued ones joined), and mentions in the text.

    Each with whether it must be whole: a mention may lack arguments.
    """
    text = page.read_text(encoding="utf-8")
    shell = re.findall(r"^ *```(?:sh)?\n(.*?)^ *```$", text, re.DOTALL | re.MULTILINE)
    lines = "\n".join(shell).replace("\\\n", " ").splitlines()
    whole = [line.strip() for line in lines if line.strip().startswith("ponas ")]
    mentions = [" ".join(each.split()) for each in re.findall(r"`(ponas [^`]+)`", text)]
    return {**dict.fromkeys(mentions, False), **dict.fromkeys(whole, True)}


PYTHON = [
    pytest.param(block, output, id=f"{name_of(page)}-{index}")
    for page in PAGES
    for index, (block, output) in enumerate(blocks(page, "python"))
]
COMMANDS = [
    pytest.param(line, whole, id=f"{name_of(page)}-{index}")
    for page in PAGES
    for index, (line, whole) in enumerate(commands(page).items())
    if not any(sign in line.split("#")[0] for sign in UNFINISHED)
]


def ran(arguments, folder):
    """What a Python of its own prints, with a home of its own."""
    home = {"PONAS_HOME": str(folder / "home")}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env={**os.environ, **home},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def parsed(line):
    """Raises click's error for a line that the command refuses; files that it names are made."""
    words = shlex.split(line, comments=True)[1:]
    for word in words:
        if "." in word and not word.startswith(("-", "/")) and " " not in word:
            Path(word).parent.mkdir(parents=True, exist_ok=True)
            Path(word).touch()
    command, context = cli, None
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        context = click.Context(command, parent=context)
        _, command, words = command.resolve_command(context, words)
    with suppress(click.exceptions.Exit):  # --help, --version
        command.make_context(command.name, words, parent=context)


@pytest.mark.parametrize(("block", "output"), PYTHON)
def test_a_block_runs_and_prints_what_it_found(block, output, tmp_path):
    printed = ran(["-c", block], tmp_path)
    assert printed
    if output:
        assert printed == output


@pytest.mark.parametrize(("line", "whole"), COMMANDS)
def test_a_command_is_one_that_the_parser_takes(line, whole, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    try:
        parsed(line)
    except click.MissingParameter:
        assert not whole


@pytest.mark.parametrize(
    "line",
    [
        "ponas search --profil host-cpu", "ponas calibrate x --kernels many", "ponas sarch",
        "ponas data prepair x", "ponas export x --format tflite", "ponas estimate",
    ],
)  # fmt: skip
def test_the_parser_refuses_what_is_wrong(line):
    with pytest.raises(click.ClickException):
        parsed(line)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_link_leads_to_a_file_and_to_a_heading_in_it(page):
    text = re.sub(r"```.*?```|`[^`]*`", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for link in re.findall(r"\]\((?!https?:)([^)\s]+)\)", text):
        file, _, heading = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        assert target.exists(), link
        if heading:
            assert heading in headings(target), link


def headings(page):
    """Anchors of a page's headings, as code hosts make them."""
    titles = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_the_index_names_every_page_and_every_example():
    index = (DOCS / "README.md").read_text(encoding="utf-8")
    for path in (*DOCS.glob("*.md"), *EXAMPLES):
        assert path.name == "README.md" or f"]({path.relative_to(DOCS).as_posix()})" in index, path


def test_the_page_of_benchmarks_names_every_benchmark_and_every_check():
    page = (DOCS / "benchmarks.md").read_text(encoding="utf-8")
    entry = 'if __name__ == "__main__"'
    benchmarks = [p for p in (ROOT / "tools").glob("bench_*.py") if entry in p.read_text()]
    checks = list((ROOT / "tests").glob("*/check_*.py"))
    assert len(benchmarks) >= 15
    assert len(checks) >= 6
    for path in benchmarks:
        assert f"`{path.stem.removeprefix('bench_')}`" in page, path
    for path in checks:
        assert f"`{path.relative_to(ROOT).as_posix()}`" in page, path
