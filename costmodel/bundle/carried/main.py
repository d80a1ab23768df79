"""Times the kernels of a bundle on this machine.

Stopped at any moment and started again it goes on where it was. Needs apache-tvm and NumPy,
nothing else: no compiler, no ponas.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import time
from pathlib import Path

from .log import NVIDIA_SMI, Log, Record, die, say
from .serve import serve
from .settle import passes_of, unsettled
from .worker import Worker

COOLING_SECONDS = 600.0
"""Longest wait for a device to get cooler."""


def main(folder: Path) -> None:
    """Goes through the steps of the bundle ``folder`` that the results do not have yet."""
    parser = argparse.ArgumentParser(
        prog="run.py", description="Times the kernels of this folder: README.txt."
    )
    parser.add_argument("results", nargs="?", help="where the times go; here: results.jsonl")
    parser.add_argument("--device", default="cuda:0", help="cuda:0, cuda:1, ... (or cpu)")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        serve(folder, given.device)
        return
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    log = Log(Path(given.results or folder / "results.jsonl"), folder / "manifest.json")
    worker = Worker(folder, given.device)
    try:
        Run(folder, log, worker).go()
    except KeyboardInterrupt:
        say("stopped; start it again to go on")
        sys.exit(130)
    finally:
        worker.stop()
    say(f"done; bring back {log.path}")


class Run:
    """The steps in their order, those left out that are done, have failed or are not needed."""

    def __init__(self, folder: Path, log: Log, worker: Worker) -> None:
        self._log = log
        self._worker = worker
        text = (folder / "steps.txt").read_text(encoding="ascii")
        self._steps = [line.split() for line in text.splitlines()]
        self._limit_c = log.manifest["batches"][0]["protocol"]["max_temperature_c"]
        jobs = [*log.manifest["jobs"], *log.manifest["sentinels"]]
        self._shapes = {job["name"]: job["shapes"] for job in jobs}

    def go(self) -> None:
        """Times what is to be timed."""
        last = max((record["step"] for record in self._log.records), default=0)
        failed = {record["kernel"] for record in self._log.records if "error" in record}
        if last:
            say(f"going on after step {last}")
        self._worker.start()
        self._log.facts("start")
        now, todo = (-1, -1), set[str]()
        for number, batch, turn, watch, name in self._steps:
            if int(number) <= last:
                continue
            if now != (int(batch), int(turn)):
                now = (int(batch), int(turn))
                todo = self._todo(*now)
                if todo:
                    say(f"step {number} of at most {len(self._steps)}, round {turn}")
                    await_cool(self._limit_c)
            if not todo or name in failed or not (int(watch) or name in todo):
                continue
            where = {"step": int(number), "batch": now[0], "round": now[1], "watch": int(watch)}
            if not self._time(where, name):
                failed.add(name)
        self._log.facts("end")

    def _todo(self, batch: int, turn: int) -> set[str]:
        """The jobs of a batch that this round times."""
        protocol = self._log.manifest["batches"][batch]["protocol"]
        if turn <= passes_of(protocol):
            return {job["name"] for job in self._log.manifest["jobs"] if job["batch"] == batch}
        return unsettled(self._log.records, batch, protocol)

    def _time(self, where: Record, name: str) -> bool:
        """Times a job and keeps the outcome; whether it has one."""
        batch = self._log.manifest["batches"][where["batch"]]
        pause = 0 if where["watch"] else batch["protocol"]["cool_down_ms"]
        time.sleep(pause / 1e3)
        if where["watch"]:
            await_cool(self._limit_c)
        request = {"kernel": name, "shapes": self._shapes[name], "protocol": batch["protocol"]}
        answer = self._worker.ask(request, batch["timeout_s"])
        if "error" not in answer:
            self._log.add({**where, "timing": answer})
            return True
        say(f"kernel {name}: {answer['error']}")
        self._worker.stop()  # an error may have spoilt the device for this process
        self._worker.start()  # where it does not start, the device is at fault, not the kernel
        self._log.add({**where, "kernel": name, "error": answer["error"]})
        return False


def await_cool(limit_c: float | None) -> None:
    """Waits until the GPU is cool enough, where the protocol limits it."""
    if limit_c is None:
        return
    words = [NVIDIA_SMI[0], "--query-gpu=temperature.gpu", "--format=csv,noheader,nounits"]
    until = time.monotonic() + COOLING_SECONDS
    while True:
        try:
            said = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True)
            hottest = max(float(line) for line in said.stdout.split())
        except (OSError, subprocess.SubprocessError, ValueError):
            die("this GPU does not tell its temperature, which the protocol limits")
        if hottest <= limit_c:
            return
        if time.monotonic() > until:
            die("it has stayed hotter than the protocol allows for 10 minutes")
        time.sleep(5)
