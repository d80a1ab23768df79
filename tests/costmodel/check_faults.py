"""Faults injected into measuring, many times each at random moments, by hand.

python tests/costmodel/check_faults.py [--times N] [--seed S] [--fault NAME]

Each time a few kernels are measured and one fault comes in between. Then nothing that was known is
lost (every other kernel has its times, then or when the same is asked again), nothing wrong is kept
(what was spoilt has an error or the true times) and the call ends within its time. Prints one line
of JSON: how often each was injected, how often each of the three was violated, the longest call;
ends with 1 where there is a violation.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import psutil
from boards import board_target
from runner_contract import FAST, kernel_jobs
from ssh_server import KeptPool, SshServer, lane_of
from test_programs import Board
from test_rounds import WATCHED, ScriptedLane, jobs_of

from costmodel.errors import DeviceError
from costmodel.runners import programs
from costmodel.runners.command import CommandTransport
from costmodel.runners.object_pool import ObjectPool
from costmodel.runners.programs import ProgramLane
from costmodel.runners.rounds import RoundsRunner

KERNELS = 3
KERNEL_TIMEOUT_SECONDS, GRACE_SECONDS = 2.0, 0.5
LIMIT_SECONDS = 30.0
"""That a call may take with a fault in it: reaching a device again, and starting it anew."""
SLOW = replace(FAST, min_repeat_ms=60)
"""So that a fault at a random moment comes while a kernel is running."""
CLOCK_JUMPS = (
    '{"elapsed": 7}', '{"raw_elapsed": 7}', '{"seconds": [1, 1]}', '{"seconds": [0, 1e-6]}',
    '{"elapsed": -7, "raw_elapsed": 7}', '{"seconds": [-1, 1]}',
    '{"seconds": [1, 1], "elapsed": 3600, "raw_elapsed": 3600}',
)  # fmt: skip
DRIFT = 1.2


class Faults:
    """The devices that are spoilt, and what each fault does to one of them."""

    def __init__(self, folder, seed):
        self.folder = folder
        self.random = random.Random(seed)
        self.target = board_target("x86-64")
        self.pool = KeptPool(1)
        (folder / "command").mkdir()
        (folder / "ssh").mkdir()
        limits = {"kernel_timeout_s": KERNEL_TIMEOUT_SECONDS, "reach_s": 5}
        self.board = Board(folder / "command", self.target, self.pool, **limits)
        self.server = SshServer(folder / "ssh")
        self.limits = limits

    def close(self):
        self.board.lane.close()
        self.server.stop()
        ObjectPool.close(self.pool)

    def spoilt(self, fault):
        """One kernel at random is spoilt by what `faulty_board` does."""
        place = self.random.randrange(KERNELS)
        self.board.spoil({place: fault})
        errors = self.board.errors()
        self.board.spoil({})
        lost = sum(bool(error) for i, error in enumerate(errors) if i != place)
        return {"lost": lost, "wrong": errors[place] is None}

    def server_killed(self):
        """The board's side of the connection is killed at a random moment."""
        lane, keys = lane_of(self.target, self.server, self.pool, KERNELS, **self.limits)
        list(lane.time(keys[:1], FAST))
        answers = list(self.while_timed(lane, keys, lambda: kill_sessions(self.server)))
        lane.close()
        return {"lost": sum(a.error is not None for a in answers), "wrong": wrong(answers, SLOW)}

    def hang(self):
        return self.spoilt("hang")

    def garbage(self):
        noise = "".join(chr(self.random.randrange(32, 0x2FF)) for _ in range(60))
        return self.spoilt(self.random.choice(("", "{", "[1, ", '{"kernel": ')) + noise)

    def cut_off(self):
        return self.spoilt(self.random.choice(("cut", "silent", "die", "complain")))

    def connection_refused(self):
        """The server goes for good at a random moment, and is back for the next call."""
        lane, keys = lane_of(
            self.target, self.server, self.pool, KERNELS, **{**self.limits, "reach_s": 1}
        )
        list(lane.time(keys[:1], FAST))

        def gone():
            kill_sessions(self.server, also_server=True)

        said, known = "", []
        try:
            known.extend(self.while_timed(lane, keys, gone))
        except DeviceError as error:
            said = str(error)
        finally:
            self.server.start()
        answers = known + list(
            lane.time([k for k in keys if k not in {a.key for a in known}], FAST)
        )
        lane.close()
        unsaid = len(known) < KERNELS and "connection refused" not in said
        lost = sum(answer.error is not None for answer in answers)
        return {"lost": lost, "wrong": wrong(known, SLOW) + unsaid}

    def disk_full(self):
        """The board's disk has no room for the program; later it has."""
        kilobytes = self.random.choice((4, 16, 64, 100))
        folder = str(self.server.temporary)
        mount = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "none", folder]
        if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
            return None
        lane, keys = lane_of(self.target, self.server, self.pool, KERNELS, **self.limits)
        said = ""
        try:
            list(lane.time(keys, FAST))
        except DeviceError as error:
            said = str(error)
        finally:
            lane._transport.remove()
            subprocess.run(["umount", "-l", folder], check=True)
        answers = list(lane.time(keys, FAST))
        lane.close()
        lost = sum(answer.error is not None for answer in answers)
        return {"lost": lost, "wrong": "no space left" not in said}

    def wrong_architecture(self):
        target = board_target(self.random.choice(("cortex-a53", "cortex-a15")))
        lane = ProgramLane(CommandTransport("{program} {args}"), target, pool=self.pool)
        jobs = kernel_jobs(target, 1)
        assert lane.build(jobs) == {}
        try:
            answers = list(lane.time([job.key for job in jobs], FAST))
        except DeviceError as error:
            return {"lost": 0, "wrong": "for another processor" not in str(error)}
        finally:
            lane.close()
        return {"lost": 0, "wrong": any(answer.samples for answer in answers)}

    def clock_jump(self):
        return self.spoilt(self.random.choice(CLOCK_JUMPS))

    def thermal_drift(self):
        """Everything takes 20 % longer from a random moment, for a while or for good."""
        begin = self.random.randrange(3, 40)
        lasting = self.random.random() < 0.5
        end = 10**9 if lasting else begin + self.random.randrange(1, 12)
        lane = ScriptedLane(lambda i, _: DRIFT if begin <= i < end else 1.0)
        runner = RoundsRunner([lane], pauses_s=(0.0,) * 20)
        jobs, outcomes = jobs_of(8), []
        said = ""
        try:
            runner.measure(jobs, WATCHED, outcomes.append)
        except DeviceError as error:
            said = str(error)
        off = [o for o in outcomes if abs(o.seconds - 1) > WATCHED.drift]
        unsaid = len(outcomes) < len(jobs) and "20% slower" not in said
        lost = not lasting and len(outcomes) < len(jobs)
        return {"lost": lost, "wrong": len(off) + unsaid}

    def while_timed(self, lane, keys, action):
        """The answers, with ``action`` at a random moment while the kernels are timed."""
        timer = threading.Timer(self.random.uniform(0.1, 0.5), action)
        timer.start()
        try:
            yield from lane.time(keys, SLOW)
        finally:
            timer.join()


def wrong(answers, protocol):
    """Kernels whose times cannot be: fewer than asked for, or no time of so small a kernel."""
    return sum(
        a.error is None and not (len(a.samples) == protocol.samples and 0 < max(a.samples) < 0.1)
        for a in answers
    )


def kill_sessions(server, *, also_server=False):
    """The server's processes that hold a connection, and what runs in them."""
    listener = psutil.Process(server.server.pid)
    sessions = listener.children(recursive=True)
    if also_server:
        server.stop()
    for process in sessions:
        with suppress(psutil.Error):
            process.kill()


NAMES = (
    "server_killed", "hang", "garbage", "cut_off", "connection_refused", "disk_full",
    "wrong_architecture", "clock_jump", "thermal_drift",
)  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--fault", choices=NAMES)
    chosen = parser.parse_args()
    programs.GRACE_SECONDS = GRACE_SECONDS
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        faults = Faults(Path(folder), chosen.seed)
        try:
            for name in [chosen.fault] if chosen.fault else NAMES:
                found[name] = injected(getattr(faults, name), chosen.times)
                print(f"{name}: {found[name]}", file=sys.stderr)
        finally:
            faults.close()
    violations = sum(sum(v for k, v in row.items() if k in ("lost", "wrong", "late"))
                     for row in found.values())  # fmt: skip
    print(json.dumps({"faults": found, "violations": violations}))
    sys.exit(violations > 0)


def injected(fault, times):
    """Counts of ``times`` injections; those that cannot be on this machine are not counted."""
    counts, longest = Counter(injected=0, lost=0, wrong=0, late=0), 0.0
    for _ in range(times):
        began = time.monotonic()
        result = fault()
        if result is None:
            continue
        seconds = time.monotonic() - began
        longest = max(longest, seconds)
        counts["injected"] += 1
        counts["lost"] += int(result["lost"])
        counts["wrong"] += int(result["wrong"])
        counts["late"] += seconds > LIMIT_SECONDS
    return {**counts, "longest_s": round(longest, 1)}


if __name__ == "__main__":
    main()
