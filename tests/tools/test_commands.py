"""The commands end to end, small: data, calibration, search, kill, resume, compare, report."""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace

import pytest

from kws.architecture import SEED
from kws.generated_speech import generate
from search.errors import SearchError
from search.recorder import StudyRecorder
from search.study import Study
from tools.job import MEASURED, MEASURED_KERNELS

TINY = (
    "--candidates", "8", "--initial", "6", "--iterations", "40", "--finetune-iterations", "40",
    "--max-filters", "16", "--filters-step", "4", "--later-kernel", "3x3", "--threads", "1",
    "--pool", "8",
)  # fmt: skip


KILLS = 5


@pytest.fixture(scope="module")
def speech(tmp_path_factory):
    return generate(tmp_path_factory.mktemp("speech") / "set", clips=240, seed=5, workers=1)


@pytest.fixture(scope="module")
def workplace(tmp_path_factory, speech):
    """A home with a calibrated host and the environment of commands that use it."""
    root = tmp_path_factory.mktemp("ponas")
    environment = {**os.environ, "PONAS_HOME": str(root / "home")}

    def call(*arguments, check=True):
        done = subprocess.run(
            [sys.executable, "-m", "tools.main", *map(str, arguments)],
            capture_output=True, text=True, env=environment, cwd=root, check=False,
        )  # fmt: skip
        assert not check or done.returncode == 0, done.stderr
        return done

    call.environment, call.root, call.speech = environment, root, speech
    call.calibration = json.loads(
        call("calibrate", "host-cpu", "--kernels", "60", "--networks", "4", "--minutes", "0.4",
             "--repeats", "4", "--rounds", "2", "--max-rounds", "2", "--min-repeat-ms", "2",
             "--warm-up-ms", "2", "--json").stdout
    )  # fmt: skip
    return call


@pytest.fixture(scope="module")
def undisturbed(workplace):
    """A study that nobody interrupted, and the document of its search."""
    done = workplace("search", *TINY, "--data", workplace.speech, "--study", "whole.study",
                     "--json")  # fmt: skip
    return workplace.root / "whole.study", json.loads(done.stdout)


def trials_of(path):
    with Study.open(path) as study:
        return [
            (t.number, t.phase, dict(t.parameters), t.state, dict(t.values)) for t in study.trials()
        ]


def finished_of(path):
    """Finished trials with the times at which they were, which another training would change."""
    with Study.open(path) as study:
        return [
            (t.number, t.started, t.finished, dict(t.values))
            for t in study.trials()
            if t.state == "finished"
        ]


def await_trials(process, path, count):
    """Returns when that many trials have begun, or the process has ended."""
    while process.poll() is None:
        if path.exists():
            # A file that was made this instant has no tables yet.
            with suppress(SearchError), Study.open(path) as study:
                if len(study.trials()) >= count:
                    return
        time.sleep(0.05)


def test_calibration_reports_kernels_minutes_and_error(workplace):
    found = workplace.calibration
    assert found["profile"] == "host-cpu"
    assert 40 <= found["kernels"] <= 60
    assert found["minutes"] > 0
    assert found["error"]["networks"] == 4
    assert 0 < found["error"]["mape"] < 1
    profiles = json.loads(workplace("profiles", "--json").stdout)
    (profile,) = (p for p in profiles if p["name"] == "host-cpu")
    assert profile["calibrated"]
    assert profile["error"]["split"].startswith("whole networks")


def test_estimate_gives_the_documented_keys_and_adds_up(workplace):
    found = json.loads(workplace("estimate", "kws7", "--json").stdout)
    assert found["architecture"] == "3x3,50 1x1,30 3x3,20 5x5,20 3x3,50 3x3,40"
    assert found["calibrated"]
    assert round(found["flops_table2"] / 1e6, 1) == 56.8
    low, high = found["latency_interval_ms"]
    assert low < found["latency_ms"] < high
    kernels = sum(kernel["latency_ms"] for kernel in found["kernels"])
    assert found["latency_ms"] == pytest.approx(kernels + found["overhead_ms"])


def test_search_ends_with_a_measured_front_a_page_and_models(workplace, undisturbed):
    path, found = undisturbed
    assert found["trials"] == 8
    assert [phase["trials"] for phase in found["phases"]] == [6, 1, 1]
    for phase in found["phases"]:
        assert all(0 < frozen["share"] <= 1 for frozen in phase["frozen"])
    assert found["pareto"]
    for member in found["pareto"]:
        assert member["measured_ms"] > 0
        assert member["latency_ms"] > 0
        assert 0 <= member["error"] <= 1
        assert 0 <= member["test_error"] <= 1
        assert member["architecture"] in (workplace.root / "whole.study.html").read_text()
    text = (workplace.root / "whole.study.html").read_text()
    data = json.loads(re.search(r'id="data">(.*?)</script>', text).group(1))
    with Study.open(path) as study:
        seed_ms = study.annotation(MEASURED)[str(SEED)]
    # Timed by themselves, the kernels take about what the network does, however busy it is here.
    kernels = data["selections"]["seed"]["kernels"]
    microseconds = [float(kernel["measured"].replace(",", "")) for kernel in kernels]
    assert 0.5 < sum(microseconds) / (seed_ms * 1e3) < 2
    models = list((workplace.root / "whole.study.models").glob("*.pt"))
    assert len(models) == len(found["pareto"])
    assert path.exists()


def test_a_search_that_is_killed_goes_on_and_ends_like_one_that_was_not(workplace, undisturbed):
    whole, _ = undisturbed
    path = workplace.root / "killed.study"
    generator = random.Random(7)
    command = [sys.executable, "-m", "tools.main", "search"]
    fresh = [*command, *TINY, "--data", str(workplace.speech), "--study", str(path), "--no-measure"]
    resume = [*command, "--resume", "--study", str(path), "--no-measure"]
    kills, finished = 0, []
    for _ in range(16):
        arguments = resume if path.exists() else fresh
        process = subprocess.Popen(
            arguments, env=workplace.environment, cwd=workplace.root,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        if kills < KILLS:
            await_trials(process, path, kills)
            time.sleep(generator.uniform(0, 0.5))
        if kills < KILLS and process.poll() is None:
            process.send_signal(signal.SIGKILL)
            process.wait()
            kills += 1
            if path.exists():
                now = finished_of(path)
                assert now[: len(finished)] == finished, "a finished trial was lost or run again"
                finished = now
            continue
        assert process.wait(timeout=120) == 0
        break
    assert kills == KILLS
    assert trials_of(path) == trials_of(whole)


def test_a_second_process_cannot_write_the_same_study(workplace, undisturbed):
    from search.recorder import StudyRecorder

    path, _ = undisturbed
    with StudyRecorder.open(path):
        done = workplace("search", "--resume", "--study", path, check=False)
    assert done.returncode == 2
    assert "in use by another process" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_study_is_not_begun_twice(workplace, undisturbed):
    path, _ = undisturbed
    done = workplace("search", *TINY, "--data", workplace.speech, "--study", path, check=False)
    assert done.returncode == 2
    assert f"ponas search --resume --study {path}" in done.stderr


def test_compare_measures_both_fronts_and_says_which_is_faster(workplace, undisturbed):
    path, _ = undisturbed
    workplace("search", *TINY, "--data", workplace.speech, "--objective", "flops",
              "--study", "flops.study", "--no-measure")  # fmt: skip
    done = workplace("compare", "flops.study", path, "--figures", "compared", "--json")
    found = json.loads(done.stdout)
    assert found["profile"] == "host-cpu"
    assert set(found["fronts"]) == {"flops", "latency"}
    assert all(0 <= volume <= 1 for volume in found["hypervolume"].values())
    assert found["latency_at_equal_accuracy"]
    assert (workplace.root / "ponas-compare" / "compare.html").stat().st_size > 1_000_000
    assert (workplace.root / "compared" / "comparison.png").stat().st_size > 10_000
    again = workplace("compare", path, path, check=False)
    assert again.returncode == 2
    assert "one of each objective" in again.stderr


def test_report_writes_its_figures_as_files_too(workplace, undisturbed):
    path, _ = undisturbed
    found = json.loads(workplace("report", path, "--figures", "drawn", "--json").stdout)
    named = ("front", "latency", "trials", "operations", "calibration")
    drawn = {f"drawn/{name}.{kind}" for name in named for kind in ("svg", "png")}
    assert set(found["figures"]) == drawn
    assert all((workplace.root / name).stat().st_size > 5_000 for name in drawn)


def test_measure_gives_prediction_and_time_of_a_studys_front_and_keeps_them(workplace, undisturbed):
    path, found = undisturbed
    with StudyRecorder.open(path) as study:
        before = study.annotation(MEASURED_KERNELS)
        study.annotate(MEASURED, {})
        study.annotate(MEASURED_KERNELS, {})
    done = workplace("measure", path, "--json")
    rows = json.loads(done.stdout)
    assert {row["architecture"] for row in rows} >= {m["architecture"] for m in found["pareto"]}
    assert all(row["measured_ms"] > 0 for row in rows)
    assert f"kept in {path}" in done.stderr
    with Study.open(path) as study:
        assert study.annotation(MEASURED) == {
            row["architecture"]: row["measured_ms"] for row in rows
        }
        assert study.annotation(MEASURED_KERNELS).keys() == before.keys()


def test_a_study_keeps_no_times_of_another_device(workplace, undisturbed):
    path, _ = undisturbed
    with Study.open(path) as study:
        before = study.annotation(MEASURED)
    done = workplace("measure", path, "--profile", "host-cpu-all", "--rounds", "1", "--json")
    assert "was searched for host-cpu" in done.stderr
    with Study.open(path) as study:
        assert study.annotation(MEASURED) == before


def test_other_data_under_the_same_study_is_refused(workplace, undisturbed):
    path, _ = undisturbed
    copy = workplace.root / "copy.study"
    shutil.copy(path, copy)
    clip = next((workplace.speech / "yes").glob("*.wav"))
    kept = clip.read_bytes()
    try:
        clip.write_bytes(kept[:-2] + b"\x01\x01")
        done = workplace("search", "--resume", "--study", copy, check=False)
    finally:
        clip.write_bytes(kept)
    assert done.returncode == 2
    assert "has changed since study" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("ponas: the data at")


def test_a_study_goes_on_with_other_code_or_calibration_only_when_told_to(workplace, undisturbed):
    from search.recorder import StudyRecorder

    path = workplace.root / "old.study"
    shutil.copy(undisturbed[0], path)
    with StudyRecorder.open(path) as study:
        study.change_metadata({"code": {**study.metadata["code"], "torch": "1.0"}})
    done = workplace("search", "--resume", "--study", path, check=False)
    assert done.returncode == 2
    assert "begun with other code (torch 1.0 then, " in done.stderr
    assert "--accept-changes" in done.stderr
    workplace("search", "--resume", "--accept-changes", "--study", path, "--no-measure")
    workplace("search", "--resume", "--study", path, "--no-measure")

    with StudyRecorder.open(path) as study:
        study.change_metadata({"profile_digest": "another"})
        latency = study.objectives[1]
        wrong = {trial.number: 2 * trial.values[latency.name] for trial in study.trials()}
        study.revalue(replace(latency, origin="as it was"), wrong)
    done = workplace("search", "--resume", "--study", path, check=False)
    assert done.returncode == 2
    assert "was calibrated anew since" in done.stderr
    workplace("search", "--resume", "--accept-changes", "--study", path, "--no-measure")
    assert trials_of(path) == trials_of(undisturbed[0])


def test_several_workers_and_the_optimisers_parameters(workplace):
    done = workplace(
        "search", *TINY, "--data", workplace.speech, "--study", "workers.study", "--json",
        "--no-measure", "--workers", "2", "--tuning", "3", "--no-early-stopping",
        "--freeze-always", "--grow", "2", "--tensorboard", "board",
    )  # fmt: skip
    found = json.loads(done.stdout)
    tuning, first, *_ = found["phases"]
    assert (tuning["kind"], tuning["trials"]) == ("tuning", 3)
    frozen = {each["parameter"] for each in tuning["frozen"]}
    assert frozen == {"rate", "batch", "iterations_share", "drop_every"}
    assert (first["kind"], first["trials"]) == ("architecture", 5)
    with Study.open(workplace.root / "workers.study") as study:
        assert [trial.state for trial in study.trials()] == ["finished"] * 8
        assert all(trial.seconds > 0 for trial in study.trials())
        assert study.curve(0)
    runs = {run.name for run in (workplace.root / "board").glob("workers-*/*")}
    assert runs >= {"search", *(f"trial-{number:05d}" for number in range(8))}


def test_a_corrupt_profile_names_its_field(workplace):
    path = workplace.root / "home" / "profiles" / "host-cpu" / "profile.json"
    kept = path.read_bytes()
    try:
        path.write_bytes(kept.replace(b'"kernels"', b'"colonels"', 1))
        done = workplace("estimate", "kws7", check=False)
    finally:
        path.write_bytes(kept)
    assert done.returncode == 2
    assert "is corrupt at 'calibration." in done.stderr
    assert done.stderr.count("\n") == 1


def test_time_passes_only_for_what_is_not_done_yet(workplace, undisturbed):
    path, _ = undisturbed
    before = trials_of(path)
    started = time.monotonic()
    workplace("search", "--resume", "--study", path, "--no-measure")
    assert trials_of(path) == before
    assert time.monotonic() - started < 60
