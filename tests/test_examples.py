"""The examples of the documentation run, end, and print what their pages say that they print."""

import re
from pathlib import Path

import pytest
from test_docs import DOCS, EXAMPLES, ran

LONGEST = {"digits.py": 99}
"""Lines; every other example has fewer than 60."""


def run(name, folder, *arguments):
    return ran([str(DOCS / "examples" / name), *arguments], folder)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_short(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST.get(path.name, 59)


def test_a_torch_model_is_estimated_for_three_devices(tmp_path):
    printed = run("estimate_torch_model.py", tmp_path)
    devices = re.findall(
        r"^(\S+): ([\d.]+) ms \(80 %: ([\d.]+) to ([\d.]+)\)$", printed, re.MULTILINE
    )
    assert [name for name, *_ in devices] == ["raspberry-pi-3b", "odroid-xu3-a15", "gtx-1080ti"]
    assert all(float(low) < float(ms) < float(high) for _, ms, low, high in devices)
    assert printed.count("not calibrated: a roofline estimate") == 1
    for kernel in ("conv 3x3 3→16", "depthwise 3x3 16", "conv 1x1 16→32", "dense 64→10"):
        assert printed.count(kernel) == 3


def test_no_member_of_the_front_breaks_the_bound_or_is_beaten(tmp_path):
    lines = run("search_own_objectives.py", tmp_path).splitlines()
    found = [
        [float(n) for n in re.findall(r"'(?:weights|latency|memory)': ([\d.]+)", line)]
        for line in lines
    ]
    assert len(found) >= 3
    assert all(latency <= 2.0 for _, latency, _ in found)
    costs = [(-weights, latency, memory) for weights, latency, memory in found]
    for one in costs:
        assert not any(
            other != one and all(a <= b for a, b in zip(other, one, strict=True)) for other in costs
        )


def test_a_profile_is_fitted_to_the_timings_that_ship(tmp_path):
    table = DOCS / "examples" / "timings.csv"
    printed = run("calibrate_from_csv.py", tmp_path, str(table), "x86-avx512", "kws7")
    rows = len(table.read_text(encoding="utf-8").splitlines()) - 1
    assert printed.startswith(f"{rows} networks of ")
    error = float(re.search(r"predicted ([\d.]+)% off on average", printed).group(1))
    assert 1 < error < 20
    assert re.search(r"^kws7: [\d.]+ ms \(80 %: [\d.]+ to [\d.]+\)$", printed, re.MULTILINE)
    assert (tmp_path / "profiles" / "x86-avx512" / "profile.json").is_file()


def test_digits_are_searched_and_a_finished_search_prints_its_front_again(tmp_path):
    arguments = ("--candidates", "4", "--epochs", "1")
    first = run("digits.py", tmp_path, *arguments)
    line = r"[ \d.]+ µs, [ \d.]+ % wrong, [\d.]+ % of test: \{'filters1': \d+, .*\}"
    assert all(re.fullmatch(line, each) for each in first.splitlines())
    assert first
    assert run("digits.py", tmp_path, *arguments) == first


def test_the_page_of_another_task_shows_what_the_example_prints():
    page = (DOCS / "another-task.md").read_text(encoding="utf-8")
    source = Path(DOCS / "examples" / "digits.py").read_text(encoding="utf-8")
    space = re.search(r"SPACE = Space\(\n.*?\n\)\n", source, re.DOTALL).group()
    assert space in page.replace("\n   ", "\n")
    assert f"{len(source.splitlines())} lines" in page
    assert re.search(
        r"^ *[\d.]+ µs, +[\d.]+ % wrong, [\d.]+ % of test: \{'filters1'", page, re.MULTILINE
    )
