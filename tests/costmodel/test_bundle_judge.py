"""Which timings count: at home, in the program of a bundle and in its scripts, the same ones."""

import json
import platform
import subprocess
from dataclasses import replace
from importlib.util import find_spec
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from costmodel.bundle.carried.settle import unsettled
from costmodel.bundle.judge import Judge
from costmodel.bundle.manifest import Batch, BundledJob, Manifest, timeout_of
from costmodel.bundle.program import settle_program
from costmodel.bundle.results import read_results
from costmodel.bundle.steps import TRIES_MORE, rounds_of, steps_of
from costmodel.crossbuild.platforms import PLATFORMS
from costmodel.crossbuild.toolchain import Toolchain
from costmodel.protocol import Protocol

PROTOCOL = Protocol(
    repeats=6, rounds=3, max_rounds=5, min_repeat_ms=0, warm_up_ms=0, agreement=0.02, drift=0.1
)
WATCH = ("s0", "s1")
SPEEDS = {"s0": 2e-3, "s1": 3e-3}


def manifest_of(protocol, names=(("a", "b"), ("c",))):
    def job(name, batch):
        return BundledJob(key=f"key {name}", name=name, batch=batch, code="", shapes=((1,),))

    return Manifest(
        kind="program", title="t", target="t", facts={}, cores=1,
        batches=tuple(Batch(protocol=protocol, timeout_s=9) for _ in names),
        jobs=tuple(job(name, i) for i, batch in enumerate(names) for name in batch),
        sentinels=tuple(job(name, -1) for name in WATCH), failed={}, steps=10_000, files={},
        versions={},
    ).sealed()  # fmt: skip


def line(step, batch, name, seconds, *, watch=False):
    where = {"step": step, "batch": batch, "round": 1, "watch": int(watch)}
    if seconds is None:
        return {**where, "kernel": name, "error": "it crashed"}
    timing = {
        "kernel": name, "seconds": [seconds, seconds], "runs": [1, 1], "warm_up_runs": 1,
        "output_peak": 1.0, "elapsed": 2 * seconds, "raw_elapsed": 2 * seconds,
    }  # fmt: skip
    return {**where, "timing": timing}


def judged(path, protocol, lines):
    manifest = manifest_of(protocol)
    texts = [manifest.line(), *(json.dumps(said, separators=(",", ":")) for said in lines)]
    path.write_text("".join(f"{text}\n" for text in texts))
    judge = Judge(read_results(path))
    return {job.name: judge.verdict(job) for job in manifest.jobs}


@pytest.fixture
def results(tmp_path):
    return tmp_path / "results"


def told(*seconds, name="a", factors=None):
    """Rounds of one job, between sentinels that took ``factors`` times as long as at first."""
    factors = factors or [1.0] * (len(seconds) + 1)
    lines = [line(1, 0, "s0", SPEEDS["s0"], watch=True)]
    for i, value in enumerate(seconds):
        lines.append(line(2 * i + 2, 0, name, value))
        taken = factors[i + 1] * SPEEDS["s0"]
        lines.append(line(2 * i + 3, 0, "s0", taken, watch=True))
    return lines


def test_rounds_count_until_they_agree(results):
    found = judged(results, PROTOCOL, told(1.0, 2.0, 1.5, 1.01, 0.5))["a"]
    assert found.error is None
    assert [samples[0] for samples in found.rounds] == [1.0, 2.0, 1.5, 1.01]


def test_what_lies_beside_a_sentinel_that_has_drifted_does_not_count(results):
    lines = told(1.0, 1.0, 7.0, 7.0, 1.01, factors=[1, 1, 1, 1.2, 1, 1])
    found = judged(results, PROTOCOL, lines)["a"]
    assert [samples[0] for samples in found.rounds] == [1.0, 1.0, 1.01]


def test_a_device_that_was_never_still_is_an_error(results):
    count = rounds_of(PROTOCOL)
    lines = told(*[1.0] * count, factors=[1, *[2] * count])
    lines += [line(100, 1, "c", 1.0)]
    found = judged(results, PROTOCOL, lines)
    # Faster or slower than in the first batch: half of the sentinel's times are there the first.
    assert "more than 10% faster or slower than at first" in found["a"].error
    assert f"in {count} of {count} rounds" in found["a"].error
    assert "stopped after 1 of its rounds" in found["c"].error
    assert "stopped after 0 of its rounds" in found["b"].error


def test_what_never_agrees_is_taken_when_nothing_more_is_to_be_had(results):
    values = [1.0, 1.1, 1.3, 1.5, 1.7]
    assert judged(results, PROTOCOL, told(*values))["a"].error is None
    assert "stopped after 4" in judged(results, PROTOCOL, told(*values[:4]))["a"].error
    lines = told(*values[:4], *[1.0] * (rounds_of(PROTOCOL) - 4), factors=[1] * 5 + [1.5] * 6)
    found = judged(results, PROTOCOL, lines)["a"]
    assert len(found.rounds) == 4


def test_one_round_that_cannot_be_is_left_out_where_others_are_enough(results):
    lines = told(1.0, 1.0, 1.0, 1.01)
    lines[3]["timing"]["elapsed"] = 1000.0
    assert len(judged(results, PROTOCOL, lines)["a"].rounds) == 3
    assert "clock jumped" in judged(results, PROTOCOL, lines[:7])["a"].error


def test_the_pace_of_a_batch_is_that_of_its_sentinels(results):
    lines = told(1.0, 1.0, 1.0)
    lines += [line(50 + i, 1, "s0", 1.05 * SPEEDS["s0"], watch=True) for i in range(3)]
    judged(results, PROTOCOL, lines)
    judge = Judge(read_results(results))
    assert judge.reference == {"s0": pytest.approx(SPEEDS["s0"])}
    assert judge.pace(0, judge.reference) == pytest.approx(1.0)
    assert judge.pace(1, judge.reference) == pytest.approx(1.05)
    assert judge.pace(1, {"s0": 2 * SPEEDS["s0"]}) == pytest.approx(0.525)
    assert judge.pace(0, {}) == 1.0


@pytest.fixture(scope="module")
def settle():
    """The program that a bundle for this machine has."""
    here = [p for p in PLATFORMS if p.name == platform.machine()]
    if find_spec("ziglang") is None or not here:
        pytest.skip("no cross-linker for this machine: pip install 'ponas[boards]'")
    return settle_program(here[0], Toolchain())


timings = st.tuples(
    st.sampled_from(["a", "b", "c", "c", "s0", "s1", "s0"]),
    st.sampled_from([1.0, 1.0, 1.01, 1.015, 1.05, 1.2, 1.3, None]),
)


@settings(deadline=None, max_examples=80)
@given(
    said=st.lists(timings, max_size=40),
    rounds=st.integers(1, 3),
    watches=st.booleans(),
    gap=st.integers(0, 8),
)
def test_the_device_decides_as_we_do(settle, tmp_path_factory, said, rounds, watches, gap):
    """What the device times once more is what we should not be content with."""
    protocol = replace(PROTOCOL, rounds=rounds, repeats=2 * rounds, max_rounds=4)
    lines = []
    for i, (name, factor) in enumerate(said):
        watch = name in WATCH
        batch = 0 if name in "ab" or (watch and i < gap) else 1
        if watch and not watches:
            continue
        seconds = factor and factor * SPEEDS.get(name, 1e-3)
        lines.append(line(i + 1, batch, name, seconds, watch=watch))
    path = tmp_path_factory.mktemp("judge") / "results"
    verdicts = judged(path, replace(protocol, sentinel_every=1), lines)
    timed = {r.get("kernel") or r["timing"]["kernel"] for r in lines}
    failed = {r["kernel"] for r in lines if "error" in r}
    for batch, names in enumerate((("a", "b"), ("c",))):
        candidates = timed.intersection(names) - failed
        wanted = {name for name in candidates if verdicts[name].error is not None}
        most = rounds_of(replace(protocol, sentinel_every=1))
        exhausted = {
            name for name in candidates
            if sum("timing" in r and r["timing"]["kernel"] == name for r in lines) >= most
        }  # fmt: skip
        rules = {
            "rounds": rounds, "repeats": 2 * rounds, "max_rounds": 4, "agreement": 0.02,
            "drift": 0.1,
        }  # fmt: skip
        assert unsettled(lines, batch, rules) - exhausted == wanted - exhausted
        words = [settle, path, batch, rounds, 4, 0.02, 0.1]
        done = subprocess.run(
            list(map(str, words)), capture_output=True, text=True, check=True, timeout=60
        )
        assert set(done.stdout.split()) - exhausted == wanted - exhausted


def test_torn_lines_are_not_read_on_the_device(settle, results):
    text = json.dumps(line(1, 0, "a", 1.0), separators=(",", ":"))
    other = text.replace('"a"', '"b"')
    results.write_text(f"{text[:-1]}\n\n{text[:70]}\n{other}\n{text}")
    done = subprocess.run(
        [settle, results, "0", "2", "4", "0.1", "0.1"], capture_output=True, text=True, check=True
    )
    assert done.stdout == "b\n"
    assert subprocess.run([settle, results], capture_output=True, check=False).returncode == 2
    missing = [settle, results / "no", "0", "2", "4", "0.1", "0.1"]
    assert subprocess.run(missing, capture_output=True, check=False).returncode == 1


def test_steps_are_rounds_between_sentinels():
    protocol = replace(PROTOCOL, sentinel_every=2)
    steps = steps_of([("a", "b", "c"), ("d",)], [protocol, protocol], WATCH, seed=1)
    assert [s.name for s in steps[:2]] == list(WATCH)
    first = [s for s in steps[2:] if (s.batch, s.round) == (0, 1)]
    assert [s.watch for s in first] == [True, False, False, True, False, True]
    assert sorted(s.name for s in first if not s.watch) == ["a", "b", "c"]
    watched = [s.name for s in first if s.watch]
    assert all(a != b for a, b in pairwise(watched))
    assert {s.round for s in steps} == set(range(1, 5 + TRIES_MORE + 1))
    orders = {tuple(s.name for s in steps if s.round == r and not s.watch) for r in range(1, 9)}
    assert len(orders) > 1
    assert steps == steps_of([("a", "b", "c"), ("d",)], [protocol] * 2, WATCH, seed=1)
    assert steps[0].line(7) == "7 0 1 1 s0"


def test_without_sentinels_nothing_is_timed_for_nothing():
    once = replace(PROTOCOL, sentinel_every=0, rounds=1)
    assert [s.name for s in steps_of([("a",)], [once], WATCH, seed=1)] == ["a"]


def test_a_timing_may_take_three_times_what_is_asked_for():
    assert timeout_of(PROTOCOL, 60.0) == 60
    assert timeout_of(Protocol(repeats=10, rounds=1, min_repeat_ms=1000, warm_up_ms=0), 5.0) == 35
