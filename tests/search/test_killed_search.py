import dataclasses
import random
import signal
import subprocess
import sys
import time

import killed_search

from search.study import Study


def what_counts(path):
    """All of a study that must not depend on when it was killed, or where it ran."""
    with Study.open(path) as study:
        trials = [
            dataclasses.replace(trial, started="", finished=None, host="", attempts=1)
            for trial in study.trials()
        ]
        phases = [dataclasses.replace(phase, started="", finished=None) for phase in study.phases()]
        tuned = [dataclasses.replace(each, finished="", host="") for each in study.finetuned()]
        curves = [study.curve(trial.number) for trial in trials]
        return trials, phases, tuned, curves, study.current_space


def finished_trials(path):
    if not path.exists():
        return []
    with Study.open(path) as study:
        return [trial for trial in study.trials() if trial.state != "running"]


def lines(log):
    return log.read_text().splitlines() if log.exists() else []


def start_search(path, log):
    return subprocess.Popen([sys.executable, killed_search.__file__, path, log, "0.02"])


def test_a_search_killed_five_times_ends_with_the_trials_of_an_undisturbed_one(tmp_path):
    path, log = tmp_path / "study.db", tmp_path / "log"
    rng = random.Random(11)
    for _ in range(5):
        kept, begun = finished_trials(path), len(lines(log))
        process = start_search(path, log)
        wanted = begun + rng.randint(1, 5)
        while len(lines(log)) < wanted and process.poll() is None:
            time.sleep(0.005)
        time.sleep(rng.uniform(0, 0.08))
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL, "the search was to be killed before its end"
        assert finished_trials(path)[: len(kept)] == kept
        again = set(lines(log)[begun:])
        assert again.isdisjoint(str(trial.number) for trial in kept)

    kept = finished_trials(path)
    assert start_search(path, log).wait() == 0
    assert finished_trials(path)[: len(kept)] == kept
    trainings = [line for line in lines(log) if not line.startswith("finetune")]
    assert len(trainings) - len(set(trainings)) <= 5

    undisturbed = tmp_path / "undisturbed.db"
    killed_search.search(undisturbed)
    assert what_counts(path) == what_counts(undisturbed)
    trials, phases, tuned, *_ = what_counts(path)
    assert len(trials) >= 18
    assert [len(phase.frozen) for phase in phases] == [1, 1, 1]
    assert any(trial.state == "infeasible" for trial in trials)
    assert tuned
    assert not (tmp_path / "study.db.d").exists()
