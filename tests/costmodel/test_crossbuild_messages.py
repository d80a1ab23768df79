"""What is said to a static program and what it may answer: no program is needed here."""

import json
from pathlib import Path

import numpy as np
import pytest
from handmade import normal
from hypothesis import given
from hypothesis import strategies as st

from costmodel.crossbuild.link import StaticProgram
from costmodel.crossbuild.messages import TimeSettings, Timing, check_output, parse_timing
from costmodel.crossbuild.platforms import PLATFORMS
from costmodel.crossbuild.run import check
from costmodel.crossbuild.signature import Signature
from costmodel.errors import CostModelError, DeviceError, InputError

GOOD = {
    "kernel": "k", "seconds": [1e-3, 2e-3], "runs": [4, 4], "warm_up_runs": 1, "threads": 1,
    "cpus": [], "output_peak": 2.5,
}  # fmt: skip


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
    assert parse_timing(json.dumps(GOOD)) == Timing("k", (1e-3, 2e-3), (4, 4), 1, 2.5)


@pytest.mark.parametrize(
    "wrong",
    [
        {"seconds": []}, {"seconds": [-1.0, 1.0]}, {"seconds": [float("nan"), 1.0]}, {"runs": [4]},
        {"seconds": None}, {"kernel": 3}, {"output_peak": "much"}, {"warm_up_runs": []},
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


def test_the_settings_of_a_timing_are_the_words_of_a_command_line():
    settings = TimeSettings(repeats=3, min_repeat_ms=2.5, cpus=(4, 5), threads=2)
    words = settings.arguments(["k", "l"])
    assert words[:5] == ["time", "--kernel", "k", "--kernel", "l"]
    given = dict(zip(words[5::2], words[6::2], strict=True))
    assert given["--min-repeat-ms"] == "2.5"
    assert given["--cpu"] == "4,5"
    assert "--cpu" not in TimeSettings().arguments(["k"])
