"""Searches and workers killed at random moments, many times, by hand: nothing lost, nothing twice.

python tests/search/check_kills.py [--times N] [--ray-times N] [--seed S]

A small search with two workers is run again and again, and killed (``kill -9``): the whole search,
which is then started again; one of its worker processes; one of its Ray workers. A study that has
come to its end must hold every trial that it ever held, unchanged; each trial once, with the value
that its candidate and seed give and one curve; every member of the front fine-tuned once. A trial
that had ended is never trained again. Prints one line of JSON: how often each was killed, what was
violated, and how long workers outlived their search; ends with 1 where there is a violation.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from executor_contract import lives
from killed_search import CONSTRAINTS, SETTINGS, SPACE, START, note

from search.algorithm import run
from search.creation import create_study
from search.executors.processes import ProcessExecutor
from search.executors.ray_cluster import RayExecutor
from search.objective import Objective
from search.recorder import StudyRecorder
from search.space import candidate_key
from search.study import Study
from search.work import Task

SLEEP_S = 0.1
"""Twice in a training: long enough for most kills to hit one."""

WORKERS = 2
OPENERS = {
    "processes": lambda make_task: ProcessExecutor(make_task, WORKERS),
    "ray": lambda make_task: RayExecutor(make_task, None, slots=WORKERS),
}


@dataclass(frozen=True)
class MakeTask:
    """Of a search whose trainings leave a line in ``log``: ``number stage pid``."""

    log: str

    def __call__(self):
        cost = Objective("cost", "ms", lambda found, _: float(found["a"] + found["b"]), False)
        error = Objective("error", "%", self.train, True)
        return Task((cost, error), CONSTRAINTS, self.finetune)

    def train(self, found, context):
        note(self.log, f"{context.number} search {os.getpid()}")
        time.sleep(SLEEP_S)
        context.report(1, 0.5)
        time.sleep(SLEEP_S)
        return expected_error(found, context.seed)

    def finetune(self, found, context):
        note(self.log, f"{context.number} finetune {os.getpid()}")
        time.sleep(SLEEP_S)
        return {"error": expected_error(found, context.seed) / 2}


def expected_error(found, seed):
    return (6 - found["a"]) ** 2 / 3 + (3 - found["b"]) ** 2 / 7 + seed % 1000 / 7000


def search(kind, path, log):
    """The search's own process."""
    make_task = MakeTask(log)
    task = make_task()
    if path.exists():
        study = StudyRecorder.open(path)
    else:
        study = create_study(
            path, space=SPACE, objectives=task.objectives, settings=SETTINGS,
            constraints=CONSTRAINTS, start=START,
        )  # fmt: skip
    with study, OPENERS[kind](make_task) as executor:
        run(study, task, executor=executor)


def missing(phases, counted, trials):
    """Trials that phases lack, but for those whose space holds no candidate that was not met."""
    met = {candidate_key(trial.parameters) for trial in trials}
    space, lacking = SPACE, 0
    for phase in phases:
        if any(candidate_key(each) not in met for each in space.candidates()):
            lacking += abs(phase.planned - sum(trial.phase == phase.number for trial in counted))
        space = space.freeze({freeze.parameter: freeze.value for freeze in phase.frozen})
    return lacking


class Watched:
    """One study, searched and disturbed until it is done."""

    def __init__(self, kind, folder, counts):
        self.kind, self.path, self.log = kind, folder / "study.db", folder / "log"
        self.counts = counts
        self.process = None
        self.kept = {}

    def start(self):
        """Begins the search or goes on with it."""
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        command = [sys.executable, __file__, "--search", self.kind, self.path, self.log]
        self.process = subprocess.Popen(command, env=environment)

    def lines(self):
        """Of each training that has begun: number, stage, pid of its worker."""
        text = self.log.read_text() if self.log.exists() else ""
        return [(int(n), stage, int(pid)) for n, stage, pid in map(str.split, text.splitlines())]

    def ended(self):
        """Trials that have ended, and fine-tunings, as the study has them on disk."""
        if not self.path.exists():
            return {}
        with Study.open(self.path) as study:
            trials = [trial for trial in study.trials() if trial.state != "running"]
            return {
                **{(trial.number, "search"): trial for trial in trials},
                **{(each.trial, "finetune"): each for each in study.finetuned()},
            }

    def is_over(self):
        return self.process.poll() is not None

    def wait_for_lines(self, count):
        """Until so many trainings have begun; False where the search is over first."""
        while len(self.lines()) < count:
            if self.is_over():
                return False
            time.sleep(0.005)
        return True

    def kill_search(self):
        """Everything that had ended is there still; says how long workers outlived it."""
        self.process.kill()
        self.process.wait()
        began = time.monotonic()
        pids = {pid for *_, pid in self.lines()}
        while any(lives(pid) for pid in pids) and time.monotonic() < began + 30:
            time.sleep(0.002)
        self.check_kept(len(self.lines()))
        return time.monotonic() - began

    def kill_worker(self, rng):
        """One that trains; False where none does."""
        alive = [pid for pid in {pid for *_, pid in self.lines()[-2 * WORKERS :]} if lives(pid)]
        if not alive:
            return False
        self.kept.update(self.ended())
        with suppress(ProcessLookupError):
            os.kill(rng.choice(sorted(alive)), signal.SIGKILL)
        return True

    def check_kept(self, begun):
        """What had ended before has not changed; remembers what has by now, and since when."""
        found = self.ended()
        self.count("lost", sum(found.get(key) != value for key, value in self.kept.items()))
        self.kept = found
        self.begun = begun

    def check_not_again(self):
        """No training began, since the last `check_kept`, of what had ended by then."""
        again = [line for line in self.lines()[self.begun :] if line[:2] in self.kept]
        self.count("trained again", len(again))

    def check_end(self, kills):
        """All of the study, after its search has ended by itself."""
        self.count("ended badly", self.process.returncode != 0)
        found = self.ended()
        self.count("lost", sum(found.get(key) != value for key, value in self.kept.items()))
        with Study.open(self.path) as study:
            trials, tuned, front = study.trials(), study.finetuned(), study.front()
            self.count("unfinished", sum(trial.state == "running" for trial in trials))
            counted = [trial for trial in trials if trial.state != "infeasible"]
            self.count("lost", missing(study.phases(), counted, trials))
            candidates = [tuple(sorted(trial.parameters.items())) for trial in trials]
            self.count("twice", len(candidates) - len(set(candidates)))
            for trial in counted:
                self.check_trial(trial, study.curve(trial.number), kills)
            numbers = [each.trial for each in tuned]
            self.count("twice", len(numbers) - len(set(numbers)))
            self.count("lost", len({trial.number for trial in front} - set(numbers)))
        begun = Counter(line[:2] for line in self.lines())
        more = sum(begun.values()) - len(begun) - WORKERS * kills
        self.count("trained again", max(0, more))
        self.count("folders left", self.path.with_name("study.db.d").exists())
        self.count("studies", 1)
        self.count("trials", len(trials))

    def check_trial(self, trial, curve, kills):
        if trial.state == "failed" and trial.attempts >= 3 and kills >= 3:
            self.count("given up after three kills", 1)
            return
        right = trial.state == "finished" and trial.values["error"] == expected_error(
            trial.parameters, trial.seed
        )
        self.count("wrong", not right or len(curve) != 1)

    def count(self, what, times):
        self.counts[what] += int(times)


def killed_searches(times, rng, counts):
    """Whole searches; the longest that a worker outlived its own, in seconds."""
    longest = 0.0
    while counts["killed searches"] < times:
        with tempfile.TemporaryDirectory() as folder:
            watched, kills = Watched("processes", Path(folder), counts), 0
            watched.start()
            while counts["killed searches"] < times:
                if not watched.wait_for_lines(len(watched.lines()) + rng.randint(0, 5)):
                    break
                time.sleep(rng.uniform(0, 2 * SLEEP_S))
                if watched.is_over():
                    break
                if kills:
                    watched.check_not_again()
                longest = max(longest, watched.kill_search())
                kills += 1
                counts["killed searches"] += 1
                watched.start()
            watched.process.wait()
            if kills:
                watched.check_not_again()
            watched.check_end(kills)
    return longest


def killed_workers(kind, name, times, rng, counts):
    """Single workers of searches that go on."""
    while counts[name] < times:
        with tempfile.TemporaryDirectory() as folder:
            watched, kills = Watched(kind, Path(folder), counts), 0
            watched.start()
            if watched.wait_for_lines(1):
                while counts[name] < times and not watched.is_over():
                    time.sleep(rng.uniform(0, 1.0))
                    if watched.kill_worker(rng):
                        kills += 1
                        counts[name] += 1
            watched.process.wait()
            watched.check_end(kills)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=50, help="kills of searches, and of workers")
    parser.add_argument("--ray-times", type=int, default=20, help="kills of Ray workers")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--search", nargs=3, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.search:
        kind, path, log = chosen.search
        search(kind, Path(path), log)
        return 0
    rng, counts = random.Random(chosen.seed), Counter()
    outlived = killed_searches(chosen.times, rng, counts)
    killed_workers("processes", "killed workers", chosen.times, rng, counts)
    killed_workers("ray", "killed Ray workers", chosen.ray_times, rng, counts)
    names = ("lost", "twice", "wrong", "unfinished", "trained again", "ended badly", "folders left")
    violations = {name: counts.pop(name, 0) for name in names}
    result = {
        "check": "kills",
        **{name.replace(" ", "_"): times for name, times in counts.items()},
        "violations": violations,
        "outlived_s": round(outlived, 3),
    }
    sys.stdout.write(json.dumps(result) + "\n")
    return int(any(violations.values()))


if __name__ == "__main__":
    sys.exit(main())
