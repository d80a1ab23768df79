"""What is said to a static program and what it may answer: no program is needed here."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from handmade import normal
from hypothesis import given
from hypothesis import strategies as st

from costmodel.crossbuild.link import StaticProgram
from costmodel.crossbuild.messages import (
    TimeSettings,
    Timing,
    check_output,
    fault_of,
    parse_file,
    parse_timing,
)
from costmodel.crossbuild.platforms import PLATFORMS
from costmodel.crossbuild.run import check
from costmodel.crossbuild.signature import Signature
from costmodel.errors import CostModelError, DeviceError, InputError
from costmodel.protocol import STABLE, WARM_UPS, Protocol

GOOD = {
    "kernel": "k", "seconds": [1e-3, 2e-3], "runs": [4, 4], "warm_up_runs": 1, "threads": 1,
    "cpus": [], "output_peak": 2.5, "elapsed": 0.02, "raw_elapsed": 0.02,
}  # fmt: skip


TIMING = Timing("k", (1e-3, 2e-3), (4, 4), 1, 2.5, 0.02, 0.02)


@pytest.mark.parametrize("name", ["", "two words", "a'b", "-k", "ü", "x" * 65])
def test_a_name_that_a_command_line_would_spoil_is_refused(name):
    with pytest.raises(InputError, match="cannot name a kernel"):
        Signature(name, ((1,),))


def test_arrays_of_a_wrong_shape_never_reach_the_board():
    program = StaticProgram(Path("none"), PLATFORMS[0], (
        Signature("k", ((2, 3), (4,))),
    ))  # fmt: skip
    with pytest.raises(InputError, match=r"takes arrays of the shapes \(\(2, 3\),\), got"):
        check(program, [("k", [normal(3, 2)])])
    with pytest.raises(InputError, match="unknown kernel 'other'"):
        check(program, [("other", [normal(2, 3)])])


def test_missing_bytes_are_an_error():
    call = (Signature("k", ((2,), (3,))), [normal(2)])
    assert check_output([call], np.arange(3, dtype="<f4").tobytes())[0].tolist() == [0, 1, 2]
    with pytest.raises(DeviceError, match="answered 8 bytes, not 12"):
        check_output([call], bytes(8))


def test_a_timing_is_read_back():
    assert parse_timing(json.dumps(GOOD)) == TIMING


@pytest.mark.parametrize(
    "wrong",
    [
        {"seconds": []}, {"seconds": [-1.0, 1.0]}, {"seconds": [float("nan"), 1.0]}, {"runs": [4]},
        {"seconds": None}, {"kernel": 3}, {"output_peak": "much"}, {"warm_up_runs": []},
        {"runs": [0, 4]}, {"elapsed": -1.0}, {"raw_elapsed": None}, {"seconds": "12"},
    ],
)  # fmt: skip
def test_a_timing_that_cannot_be_is_refused(wrong):
    with pytest.raises(DeviceError, match="the board answered"):
        parse_timing(json.dumps({**GOOD, **wrong}))


ANYTHING = st.none() | st.integers() | st.floats() | st.text()


@given(
    st.text()
    | st.lists(st.integers()).map(json.dumps)
    | st.dictionaries(st.sampled_from(sorted(GOOD)), ANYTHING).map(json.dumps)
)
def test_garbage_is_one_line(text):
    with pytest.raises(CostModelError) as raised:
        parse_timing(text)
    assert len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("wrong", "line"),
    [
        ({"elapsed": 5.0}, "clock jumped while this kernel was timed .its two clocks say 5 s and"),
        ({"raw_elapsed": 0.01}, "clock jumped"),
        ({"elapsed": 0.004, "raw_elapsed": 0.004}, "clock jumped"),  # less than its samples
        ({"output_peak": None}, "its output is not finite"),
        ({"seconds": (0.0, 2e-3)}, "too short for the board's clock; set a larger min_repeat_ms"),
        ({"seconds": (1e-4, 2e-3)}, r"a sample of 0\.4 ms, shorter than min_repeat_ms 4"),
        ({"seconds": (2e-3,), "runs": (4,)}, "answered 1 samples instead of 2"),
    ],
)
def test_a_timing_that_cannot_be_used_says_why(wrong, line):
    settings = TimeSettings(repeats=2, min_repeat_ms=4)
    assert fault_of(TIMING, settings) is None
    assert re.search(line, fault_of(replace(TIMING, **wrong), settings))


def test_clocks_may_differ_by_what_steering_does():
    assert not replace(TIMING, elapsed=100.05, raw_elapsed=100).clock_jumped
    assert replace(TIMING, elapsed=102, raw_elapsed=100).clock_jumped


def test_a_file_is_read_back():
    assert parse_file('{"path": "/proc/x", "text": "a\\u0000b"}') == ("/proc/x", "a\0b")
    for wrong in ("", "[]", '{"path": 1, "text": ""}', '{"path": "x"}', "[" * 100_000):
        with pytest.raises(DeviceError, match="which is not a file"):
            parse_file(wrong)


def test_a_round_of_a_protocol_is_what_a_program_is_asked_for():
    protocol = Protocol(
        repeats=7, rounds=3, min_repeat_ms=5, warm_up_ms=2, flush_kb=9, cpus=(4, 5, 6, 7)
    )
    assert TimeSettings.of(protocol, 2, 60) == TimeSettings(
        repeats=3, min_repeat_ms=5, warm_up_ms=2, warm_ups=WARM_UPS, stable=STABLE, flush_kb=9,
        cpus=(4, 5), threads=2, timeout_s=60,
    )  # fmt: skip
    assert TimeSettings.of(replace(protocol, cpus=()), 4).threads == 4
    assert TimeSettings.of(replace(protocol, cpus=(3,)), 4).threads == 1


def test_the_settings_of_a_timing_are_the_words_of_a_command_line():
    settings = TimeSettings(repeats=3, min_repeat_ms=2.5, cpus=(4, 5), threads=2)
    words = settings.arguments(["k", "l"])
    assert words[:5] == ["time", "--kernel", "k", "--kernel", "l"]
    given = dict(zip(words[5::2], words[6::2], strict=True))
    assert given["--min-repeat-ms"] == "2.5"
    assert given["--cpu"] == "4,5"
    assert "--cpu" not in TimeSettings().arguments(["k"])
