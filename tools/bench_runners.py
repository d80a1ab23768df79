"""Benchmark `runners`: five ways to one device give the same times; a board's program is small.

The same kernels of this machine, each above 50 µs, are timed by every runner in turn, again and
again: in a child process, by the command template, over ssh to a real sshd, by a real TVM RPC
server (all on loopback), and by a bundle that is written, run and brought back. A runner's figure
of a kernel is the mean of its two smallest medians, as for any other measurement; it is compared
with that of `local`. A second `local` runs beside the first: what these two differ by is the
machine's noise, not a runner's. Every turn starts a process of its own, for every runner: two
processes of one runner differ by up to 10 % on single kernels for as long as they live. Then
a program of 100 kernels is built for an ODroid.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from costmodel.bundle.stages import Stage
from costmodel.bundle.write import write_bundle
from costmodel.calibration.plan import random_jobs
from costmodel.crossbuild.platforms import platform_of
from costmodel.crossbuild.toolchain import Toolchain
from costmodel.errors import DeviceError
from costmodel.features import roofline_seconds
from costmodel.protocol import Protocol, undisturbed_seconds
from costmodel.runners.bundle import BundleRunner
from costmodel.runners.command import CommandRunner
from costmodel.runners.contract import Job, KernelJob, Outcome
from costmodel.runners.linking import LinkedProgram
from costmodel.runners.local import LocalRunner
from costmodel.runners.object_pool import ObjectPool
from costmodel.runners.rpc import RpcRunner
from costmodel.runners.ssh import SshRunner
from costmodel.schedules.registry import describe, points
from costmodel.target import CpuTarget, Target
from tools.bench import print_line, quick
from tools.places import profile_store
from tools.ssh_board import SshBoard, free_port
from tools.task import sample_paper_space

LEAST_SECONDS = 50e-6
BOARD = "odroid-xu3-a15"
BOARD_KERNELS = 100
PROTOCOL = Protocol(
    repeats=3, rounds=1, max_rounds=1, min_repeat_ms=10, warm_up_ms=6, sentinel_every=0, cpus=(0,)
)
"""One round: the benchmark takes the runners in turn and does the rounds itself."""
Measure = Callable[[Sequence[Job]], dict[str, Outcome]]


def main() -> None:
    """Runs the benchmark."""
    hasty = quick(__doc__)
    target = profile_store().get("host-cpu").target()
    jobs = _kernels(target, 3 if hasty else 16)
    rounds = 1 if hasty else 8
    figures = {"kernels": len(jobs), "rounds": rounds, "agreement": _agreement(jobs, rounds)}
    print_line("runners", {**figures, "program": _program(6 if hasty else BOARD_KERNELS)})


def _kernels(target: Target, count: int) -> list[KernelJob]:
    """Random kernels under their best schedules by the roofline, none below `LEAST_SECONDS`."""
    found: list[KernelJob] = []
    for job in random_jobs(sample_paper_space, target, (), count=40 * count, seed=7):
        bounds = {s: roofline_seconds(describe(job.kernel, s, target), target)
                  for s in points(job.kernel, target)}  # fmt: skip
        best = min(bounds, key=lambda s: bounds[s])
        if bounds[best] >= LEAST_SECONDS and job.kernel.key not in {j.kernel.key for j in found}:
            found.append(KernelJob(job.kernel, best, target))
        if len(found) == count:
            break
    return found


def _agreement(jobs: Sequence[KernelJob], rounds: int) -> dict[str, Any]:
    """Of each runner, its figures over those of `local`."""
    samples: dict[str, dict[str, list[tuple[float, ...]]]] = {}
    with tempfile.TemporaryDirectory() as folder, ExitStack() as opened:
        runners = _runners(Path(folder), jobs[0].target, opened)
        for turn in range(rounds):
            names = sorted(runners, key=lambda name: hash((turn, name)))
            for name in names:
                for key, outcome in runners[name](jobs).items():
                    if outcome.error is not None:
                        raise DeviceError(f"runner {name}: {key}: {outcome.error}")
                    samples.setdefault(name, {}).setdefault(key, []).extend(outcome.rounds)
    seconds = {
        name: {key: undisturbed_seconds(found) for key, found in kernels.items()}
        for name, kernels in samples.items()
    }
    return {
        name: _compared(kernels, seconds["local"])
        for name, kernels in seconds.items()
        if name != "local"
    }


def _compared(seconds: Mapping[str, float], local: Mapping[str, float]) -> dict[str, Any]:
    off = [seconds[key] / local[key] - 1 for key in local]
    return {
        "median_off": round(median(off), 4),
        "largest_off": round(max(abs(x) for x in off), 4),
        "within_3_percent": round(sum(abs(x) <= 0.03 for x in off) / len(off), 3),
    }


def _runners(folder: Path, target: Target, opened: ExitStack) -> dict[str, Measure]:
    """Those that this machine has what they need for; what is missing is said."""
    assert isinstance(target, CpuTarget)
    pool = ObjectPool()
    opened.callback(pool.close)
    ways: dict[str, Callable[[], Measure]] = {
        "local": lambda: _anew(lambda: LocalRunner(workers=1)),
        "local_again": lambda: _anew(lambda: LocalRunner(workers=1)),
        "command": lambda: _asked(opened.enter_context(CommandRunner(target, "{program} {args}"))),
        "ssh": lambda: _over_ssh(folder / "ssh", target, opened),
        "rpc": lambda: _over_rpc(opened.enter_context(_rpc_server(folder)), target),
        "bundle": lambda: lambda jobs: _carried(folder / "bundle", jobs, pool),
    }
    runners = {}
    for name, way in ways.items():
        try:
            runners[name] = way()
        except DeviceError as error:
            print(f"runner {name} is left out: {error}", file=sys.stderr)
    return runners


def _anew(open_runner: Callable[[], Any]) -> Measure:
    """By a runner that is opened for each turn, and with it its process."""

    def measure(jobs: Sequence[Job]) -> dict[str, Outcome]:
        with open_runner() as runner:
            return _asked(runner)(jobs)

    return measure


def _over_rpc(address: str, target: CpuTarget) -> Measure:
    return _anew(lambda: RpcRunner(target, address))


def _asked(runner: Any) -> Measure:  # noqa: ANN401 - any runner
    def measure(jobs: Sequence[Job]) -> dict[str, Outcome]:
        outcomes: list[Outcome] = []
        runner.measure(jobs, PROTOCOL, outcomes.append)
        return {outcome.key: outcome for outcome in outcomes}

    return measure


def _over_ssh(folder: Path, target: CpuTarget, opened: ExitStack) -> Measure:
    folder.mkdir()
    board = SshBoard(folder)
    opened.callback(board.stop)
    return _asked(opened.enter_context(SshRunner(target, "board", board.config)))


@contextmanager
def _rpc_server(folder: Path) -> Iterator[str]:
    """A server on loopback; its address."""
    port = free_port()
    program = Path(__file__).with_name("rpc_board.py")
    words = ["--host", "127.0.0.1", "--port", str(port)]
    # Without this the server would import torch, where there is one.
    (folder / "torch.py").write_text("raise ImportError\n")
    server = subprocess.Popen(
        [sys.executable, str(program), *words],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        env={**os.environ, "TVM_USE_RUNTIME_LIB": "1", "PYTHONPATH": str(folder)},
    )  # fmt: skip
    try:
        until = time.monotonic() + 60
        while time.monotonic() < until:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield f"127.0.0.1:{port}"
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def _carried(folder: Path, jobs: Sequence[Job], pool: ObjectPool) -> dict[str, Outcome]:
    shutil.rmtree(folder, ignore_errors=True)
    target = jobs[0].target
    write_bundle([Stage(tuple(jobs), PROTOCOL)], target, folder, title="a benchmark", pool=pool)
    subprocess.run(["sh", str(folder / "run.sh")], check=True, capture_output=True)
    with BundleRunner(folder / "results.jsonl", target) as runner:
        return _asked(runner)(jobs)


def _program(count: int) -> dict[str, Any]:
    """Size of a board's program, and the time to build it with the board's libc built before."""
    target = profile_store().get(BOARD).target()
    assert isinstance(target, CpuTarget)
    jobs = random_jobs(sample_paper_space, target, (), count=count, seed=3)
    toolchain = Toolchain()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "kernels"
        program = LinkedProgram(path, platform_of(target), toolchain)
        program.ensure()
        pool = ObjectPool()
        started = time.perf_counter()
        built = pool.build(jobs, Path(folder))
        objects = {key: found for key, found in built.items() if not isinstance(found, str)}
        failed = program.add(objects)
        seconds = time.perf_counter() - started
        pool.close()
        return {
            "board": BOARD,
            "kernels": len(objects) - len(failed),
            "megabytes": round(path.stat().st_size / 1e6, 2),
            "seconds": round(seconds, 1),
        }


if __name__ == "__main__":
    main()
