"""Bundles as folders: written whole or not at all, run, stopped, run again, taken in."""

import json
import os
import re
import signal
import subprocess
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from boards import board_target
from carrying import environment, run
from drawing import sample_network
from formula_runner import SETTINGS
from runner_contract import FAST, impossible_job, kernel_jobs, measure, network_job

from costmodel.bundle.manifest import Manifest
from costmodel.bundle.results import read_results
from costmodel.bundle.stages import Stage, stages_of
from costmodel.bundle.write import write_bundle
from costmodel.calibration.calibrate import calibrate, planned_jobs
from costmodel.calibration.session import network_protocol
from costmodel.errors import DeviceError, InputError
from costmodel.runners.bundle import BundleRunner
from costmodel.runners.contract import NetworkJob
from costmodel.runners.object_pool import ObjectPool

PROTOCOL = replace(FAST, rounds=3, repeats=6, max_rounds=3, sentinel_every=2, drift=1e9)


@pytest.fixture(scope="module")
def pool():
    pool = ObjectPool(1)
    yield pool
    pool.close()


@pytest.fixture(scope="module")
def jobs(target):
    return [*kernel_jobs(target, 4), network_job(target)]


@pytest.fixture(scope="module")
def written(target, jobs, pool, tmp_path_factory):
    """A bundle of four kernels and a network that is not run."""
    folder = tmp_path_factory.mktemp("bundle") / "it's a bundle"
    stages = [Stage(tuple(jobs[:4]), PROTOCOL), Stage(tuple(jobs[4:]), PROTOCOL)]
    report = write_bundle(stages, target, folder, title="four\nkernels", pool=pool)
    assert report.jobs == 5
    return folder


@pytest.fixture(scope="module")
def whole(written, tmp_path_factory):
    """The text of its results."""
    path = tmp_path_factory.mktemp("results") / "whole results.jsonl"
    run(written, path)
    return path.read_text()


@pytest.fixture
def results(tmp_path):
    return tmp_path / "results.jsonl"


def names(folder):
    return [path.name for path in folder.iterdir()]


def steps(path):
    return [line.step for line in read_results(path).lines]


def errors(path, target, jobs, protocol=PROTOCOL):
    outcomes = measure(BundleRunner(path, target), jobs, protocol)
    return [outcomes[job.key].error for job in jobs]


def test_a_bundle_has_what_a_device_needs_and_tells_people_how(written, jobs):
    assert {path.name for path in written.iterdir()} == {
        "README.txt", "kernels", "manifest.json", "run.sh", "settle", "steps.txt",
    }  # fmt: skip
    text = (written / "README.txt").read_text()
    assert "sh run.sh" in text
    assert "--results" in text
    assert "@" not in text
    assert not re.search(r"@[A-Z_]+@", (written / "run.sh").read_text())
    manifest = Manifest.parse((written / "manifest.json").read_text())
    assert [job.key for job in manifest.jobs] == [job.key for job in jobs]
    assert manifest.title == "four kernels"
    assert names(written.parent) == [written.name]


def test_the_same_jobs_give_the_same_bundle(written, jobs, target, pool, tmp_path):
    stages = [Stage(tuple(jobs[:4]), PROTOCOL), Stage(tuple(jobs[4:]), PROTOCOL)]
    write_bundle(stages, target, tmp_path / "b", title="four kernels", pool=pool)
    for name in ("manifest.json", "steps.txt", "run.sh"):
        assert (tmp_path / "b" / name).read_bytes() == (written / name).read_bytes()


def test_it_runs_from_anywhere_and_needs_no_environment(written, target, jobs, tmp_path):
    bare = ["env", "-i", "/bin/sh", "run.sh", str(tmp_path / "r")]
    assert subprocess.run(bare, cwd=written, check=False, capture_output=True).returncode == 0
    assert errors(tmp_path / "r", target, jobs) == [None] * 5
    run(written, "over there.jsonl", cwd=tmp_path)
    assert errors(tmp_path / "over there.jsonl", target, jobs) == [None] * 5


def test_each_job_is_timed_in_each_round_and_sentinels_in_between(whole, results):
    results.write_text(whole)
    found = read_results(results)
    assert found.damaged == ()
    rounds = {}
    for line in found.lines:
        if not line.watch:
            rounds.setdefault(line.name, []).append(line.round)
    assert set(rounds) == {job.name for job in found.manifest.jobs}
    assert all(given == [1, 2, 3] for given in rounds.values())
    watched = [line.watch for line in found.lines]
    assert watched[:4] == [True] * 4
    assert watched[-1]
    assert max(len(run) for run in re.findall("0+", "".join("01"[w] for w in watched))) <= 2
    assert "Linux" in found.files["/proc/version"]


def test_a_run_that_is_killed_goes_on_where_it_was(written, target, jobs, results, whole, tmp_path):
    with under_way(written, results, tmp_path, 8):
        pass  # killed at the end of the block
    before, order = steps(results), all_steps(whole, tmp_path)
    assert 8 <= len(before) < len(order)
    with results.open("a") as file:
        file.write('{"step":9,"batch":0,"round":1,"wat')
    assert f"going on after step {before[-1]}" in run(written, results)
    assert steps(results) == order
    assert read_results(results).damaged != ()
    assert errors(results, target, jobs) == [None] * 5
    run(written, results)
    assert steps(results) == order


def test_a_second_run_into_the_same_file_is_refused(written, results, tmp_path):
    with under_way(written, results, tmp_path, 3) as first:
        second = subprocess.run(
            first.args, env=environment(), capture_output=True, text=True, check=False
        )
    assert second.returncode == 1
    assert f"{results} is being written by process {first.pid}; wait for it" in second.stderr
    assert second.stderr.count("\n") == 1


@contextmanager
def under_way(written, results, folder, steps_done):
    """A run that has done so many steps, slowly; it is killed at the end of the block."""
    with subprocess.Popen(
        ["sh", str(written / "run.sh"), str(results)],
        env=environment(before=slow(folder)),
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        try:
            wait_for(results, steps_done)
            yield process
        finally:
            os.killpg(process.pid, signal.SIGKILL)


def all_steps(whole, folder):
    (folder / "whole").write_text(whole)
    return steps(folder / "whole")


def slow(folder):
    """What makes each start of a program take long enough to be in the middle of it."""
    (folder / "slow").write_text('#!/bin/sh\nsleep 0.05\nexec "$@"\n')
    return f"sh {folder}/slow"


def test_control_c_stops_it_at_once_and_says_what_to_do(written, results, tmp_path):
    words = ["sh", str(written / "run.sh"), str(results)]
    with subprocess.Popen(
        words,
        env=environment(before=slow(tmp_path)),
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as running:
        wait_for(results, 3)
        os.killpg(running.pid, signal.SIGINT)
        _, said = running.communicate(timeout=60)
    assert running.returncode == 130
    assert said.endswith("stopped; start it again to go on\n")
    assert "error" not in results.read_text().partition("\n")[2]


def wait_for(path, count):
    until = time.monotonic() + 60
    while time.monotonic() < until:
        if path.exists() and path.read_text().count('"timing"') >= count:
            return
        time.sleep(0.01)
    raise AssertionError("nothing is timed")


@pytest.mark.parametrize(
    ("what", "line"),
    [
        ("kill -SEGV $$", r"crashed \(signal 11\)"),
        ("echo 'ponas error: kernel \"x\" took more than 9 s' >&2; exit 1", "x took more than 9 s"),
        ("exit 0", "it gave no answer"),
        ("echo tralala; exit 0", "tralala"),
    ],
)
def test_a_kernel_that_crashes_costs_only_itself(
    written, target, jobs, results, tmp_path, what, line
):
    bad = Manifest.parse((written / "manifest.json").read_text()).jobs[1].name
    wrapper = tmp_path / "wrapper"
    wrapper.write_text(
        f'#!/bin/sh\ncase "$*" in *" time --kernel {bad} "*) {what};; esac\nexec "$@"\n'
    )
    said = run(written, results, before=f"sh {wrapper}")
    assert said.count(f"kernel {bad}: ") == 1
    found = errors(results, target, jobs)
    assert re.search(line, found.pop(1))
    assert found == [None] * 4
    assert "going on" in run(written, results)
    assert errors(results, target, jobs)[1]


def test_a_device_that_runs_nothing_is_no_kernels_fault(written, results, tmp_path):
    wrapper = tmp_path / "wrapper"
    wrapper.write_text(
        f'#!/bin/sh\nif [ "$(grep -c timing "{results}")" -ge 3 ]; then exit 1; fi\nexec "$@"\n'
    )
    said = run(written, results, before=f"sh {wrapper}", status=1)
    assert said.endswith(
        "ponas: the device does not run the program any more; start it again to go on\n"
    )
    assert len(steps(results)) == 3
    assert '"error"' not in results.read_text()


def test_a_program_for_another_machine_says_so(written, results):
    said = run(written, results, before="false", status=1)
    assert "ponas: this machine does not run the program for x86_64 ()" in said
    assert not results.exists()


def test_processors_that_do_not_exist_are_told_in_the_programs_words(target, jobs, pool, tmp_path):
    stage = Stage(tuple(jobs[:1]), replace(PROTOCOL, cpus=(1000,)))
    write_bundle([stage], target, tmp_path / "b", title="t", pool=pool)
    assert "ponas error: cannot run on cpu 1000" in run(tmp_path / "b", status=1)


def test_a_limit_of_the_temperature_is_kept_or_told(target, jobs, pool, tmp_path):
    stage = Stage(tuple(jobs[:1]), replace(FAST, max_temperature_c=1000))
    write_bundle([stage], target, tmp_path / "b", title="t", pool=pool)
    zones = [*Path("/sys/class/thermal").glob("thermal_zone*/temp")]
    said = run(tmp_path / "b", status=0 if zones else 1)
    assert zones or "does not tell its temperature" in said


def test_a_governor_that_is_not_there_is_not_waited_for(target, jobs, pool, tmp_path):
    stage = Stage(tuple(jobs[:1]), replace(FAST, governor="no such", cool_down_ms=1))
    write_bundle([stage], target, tmp_path / "b", title="t", pool=pool)
    files = [*Path("/sys/devices/system/cpu").glob("cpu*/cpufreq/scaling_governor")]
    said = run(tmp_path / "b", status=1 if files else 0)
    assert "wants it so: echo no such | sudo tee /sys" in said or not files


def test_the_results_of_another_bundle_are_left_alone(written, results, whole):
    for text in (whole.replace('{"bundle":"', '{"bundle":"0', 1), "holiday photo", '{"a": 1}\n'):
        results.write_text(text)
        assert "is of another bundle" in run(written, results, status=1)
        assert results.read_text() == text


def test_a_first_line_that_was_cut_off_is_begun_again(written, results, whole, target, jobs):
    results.write_text(whole[:100])
    run(written, results)
    assert errors(results, target, jobs) == [None] * 5


def test_a_folder_of_anything_else_is_refused(target, jobs, tmp_path):
    (tmp_path / "photo.jpg").touch()
    stages = [Stage(tuple(jobs), FAST)]
    with pytest.raises(InputError, match="is not empty and no bundle of ours"):
        write_bundle(stages, target, tmp_path, title="t")
    with pytest.raises(InputError, match="is a file; give a folder"):
        write_bundle(stages, target, tmp_path / "photo.jpg", title="t")
    assert names(tmp_path) == ["photo.jpg"]


def test_a_bundle_is_replaced_unless_it_was_run(target, jobs, pool, tmp_path):
    folder = tmp_path / "b"
    folder.mkdir()
    for protocol in (FAST, replace(FAST, repeats=3)):
        report = write_bundle(
            [Stage(tuple(jobs[:1]), protocol)], target, folder, title="t", pool=pool
        )
        assert (
            Manifest.parse((folder / "manifest.json").read_text()).batches[0].protocol == protocol
        )
    assert report.size_bytes == sum(path.stat().st_size for path in folder.iterdir())
    run(folder)
    before = (folder / "results.jsonl").read_text()
    with pytest.raises(InputError, match=r"a bundle with results; take them in with --results"):
        write_bundle([Stage(tuple(jobs[:1]), FAST)], target, folder, title="t", pool=pool)
    assert (folder / "results.jsonl").read_text() == before
    assert names(tmp_path) == ["b"]


def test_what_cannot_be_built_is_told_and_nothing_is_left_of_a_bundle_of_nothing(
    target, jobs, pool, tmp_path
):
    bad = impossible_job(target)
    with pytest.raises(DeviceError, match=r"nothing could be built: \S"):
        write_bundle([Stage((bad,), FAST)], target, tmp_path / "b", title="t", pool=pool)
    assert names(tmp_path) == []
    other = kernel_jobs(board_target("cortex-a53"), 5)[4]
    report = write_bundle(
        [Stage((bad, jobs[0], other), FAST)], target, tmp_path / "b", title="t", pool=pool
    )
    assert set(report.failed) == {bad.key, other.key}
    assert report.failed[other.key] == "it is for another target than the bundle"
    run(tmp_path / "b")
    found = errors(tmp_path / "b" / "results.jsonl", target, [bad, jobs[0], other], FAST)
    assert found == [report.failed[bad.key], None, report.failed[other.key]]


def test_equal_keys_are_refused(target, jobs, tmp_path):
    with pytest.raises(InputError, match="two jobs of a bundle have the key 'a network'"):
        write_bundle([Stage((jobs[4],) * 2, FAST)], target, tmp_path / "b", title="t")
    with pytest.raises(InputError, match="there are no jobs"):
        write_bundle([], target, tmp_path / "b", title="t")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "its first line is not a bundle's manifest"),
        ("holiday photo\n", "its first line is not a bundle's manifest"),
        ('{"bundle":"0","format":7}\n', "of a bundle of format 7; this version reads 1"),
    ],
)
def test_a_file_of_something_else_is_refused(results, target, text, line):
    results.write_text(text)
    with pytest.raises(InputError, match=line) as raised:
        BundleRunner(results, target)
    assert len(str(raised.value).splitlines()) == 1


def test_a_manifest_that_was_changed_is_refused(whole, results, target):
    for old, new in (('"steps":', '"steps":1'), ("conv 9x8", "conv 9x9"), ('"cores":1', '"co')):
        results.write_text(whole.replace(old, new, 1))
        with pytest.raises(InputError, match="manifest, was damaged on the way"):
            BundleRunner(results, target)


def test_results_that_do_not_fit_are_refused(whole, results, target, jobs, tmp_path):
    with pytest.raises(InputError, match=r"cannot read the results .*No such file"):
        BundleRunner(tmp_path / "nothing", target)
    results.write_text(whole.partition("\n")[0] + "\n")
    with pytest.raises(InputError, match="has no times; run the bundle on its device first"):
        BundleRunner(results, target)
    results.write_text(whole)
    with pytest.raises(InputError, match="is of another device \\('four kernels'"):
        BundleRunner(results, board_target("cortex-a15"))
    given = []
    with pytest.raises(InputError, match="was timed with repeats 6, not 7"):
        BundleRunner(results, target).measure(jobs, replace(PROTOCOL, repeats=7), given.append)
    assert given == []


def test_jobs_that_are_not_in_the_bundle_have_an_error(whole, results, target, jobs):
    results.write_text(whole)
    foreign = kernel_jobs(target, 5)[4]
    _, error = errors(results, target, [jobs[0], foreign])
    assert error == "it is not in the bundle that these results are of"
    (error,) = errors(results, target, kernel_jobs(board_target("cortex-a53"), 1))
    assert error == "it is for another target than the bundle"
    program = jobs[4].program
    other = replace(program, schedules=(*program.schedules[1:], program.schedules[0]))
    (error,) = errors(results, target, [NetworkJob("a network", other)])
    assert error == "in the bundle it has other kernels or schedules"


def spoilt(whole, job, change):
    """The results with ``change`` made to what was said in each round of a job."""
    lines = whole.split("\n")
    name = next(j.name for j in Manifest.parse(lines[0]).jobs if j.key == job.key)
    for i, line in enumerate(lines[1:], 1):
        if f'"watch":0,"timing":{{"kernel":"{name}"' in line:
            lines[i] = change(line)
    return "\n".join(lines)


def saying(**facts):
    def change(line):
        said = json.loads(line)
        said["timing"].update(facts)
        return json.dumps(said)

    return change


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda _: "garbage \udcff\x00", "damaged on the way: "),
        (lambda line: line[:50], "damaged on the way: "),
        (lambda _: "[1]", "damaged on the way: "),
        (lambda _: "[" * 100_000, "damaged on the way: "),
        (lambda line: line.replace('"step":', '"step":9999'), "damaged on the way: "),
        (lambda line: line.replace('"step":', '"step":-'), "damaged on the way: "),
        (lambda line: line.replace('"batch":', '"batch":7'), "damaged on the way: "),
        (lambda line: line.replace('"kernel":"', '"kernel":"x'), "damaged on the way: "),
        (saying(seconds=[-1, 1]), "damaged on the way: "),
        (saying(seconds=[float("nan"), 1]), "damaged on the way: "),
        (saying(seconds=[1, 1], elapsed=0.1, raw_elapsed=0.1), "clock jumped"),
        (saying(elapsed=7), "clock jumped"),
        (saying(seconds=[1e-6], runs=[1]), "1 samples instead of 2"),
        (saying(seconds=[0, 1e-6]), "too short for the board's clock"),
        (saying(output_peak=None), "its output is not finite"),
    ],
)
def test_what_cannot_be_a_time_costs_one_job(whole, results, target, jobs, change, line):
    results.write_text(spoilt(whole, jobs[1], change), errors="replace")
    found = errors(results, target, jobs)
    assert line in found.pop(1)
    assert found == [None] * 4


def test_an_unfinished_run_says_how_to_go_on(whole, results, target, jobs):
    lines = whole.split("\n")
    results.write_text("\n".join(lines[: len(lines) // 2]))
    found = errors(results, target, jobs)
    assert "the bundle's run was stopped after 0 of its rounds" in found[4]
    assert "start it again there, it goes on" in found[4]


def test_a_small_calibration_is_carried_there_and_back(target, pool, tmp_path):
    protocol = replace(FAST, repeats=1)
    settings = replace(
        SETTINGS, ahead=True, kernels=52, overhead_networks=2, held_out_networks=4, plan="random"
    )
    planned = planned_jobs(target, sample_network, settings)
    stages = stages_of(planned, protocol)
    kernels, networks = stages
    assert networks.protocol == network_protocol(kernels.protocol) != kernels.protocol
    assert len(kernels.jobs) + len(networks.jobs) == len(planned)
    report = write_bundle(stages, target, tmp_path / "b", title="all of it", pool=pool)
    assert not report.failed
    run(tmp_path / "b")
    with BundleRunner(tmp_path / "b" / "results.jsonl", target) as runner:
        result = calibrate(
            target, runner, sample_network, protocol=protocol, settings=settings,
            journal_path=tmp_path / "journal.jsonl",
        )  # fmt: skip
    assert result.failed == ()
    assert result.kernels == sum(role == "kernel" for role, _, _ in planned)
    assert len(result.held_out) == 4
