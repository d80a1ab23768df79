"""Tasks whose candidates do as they are told; imported in workers too, so little else is."""

import errno
import itertools
import os
import signal
import sys
import threading
import time
from pathlib import Path

import numpy as np

from search.objective import Objective
from search.work import Task, Work


def work(number=0, do="value", *, folder, stage="search", seed=5, rungs=None, **parameters):
    directory = Path(folder) / f"{stage}-{number}"
    directory.mkdir(exist_ok=True)
    return Work(
        number=number,
        stage=stage,
        phase=1,
        parameters={"do": do, "x": 3, **parameters},
        known={"cost": 0.1 + 0.2},
        seed=seed,
        budget={"iterations": 40},
        directory=directory,
        rungs=rungs or {},
    )


def make_task():
    return Task((Objective("cost", "ms", asked_again, False), Objective("error", "%", act, True)),
                finetune=finetune)  # fmt: skip


class WithData:
    """A task that carries data, as that of a speech set does."""

    def __init__(self, values):
        self.values = values

    def __call__(self):
        total = float(self.values.sum())
        return Task((Objective("error", "%", lambda _, __: total, True),))


class Counted:
    """Leaves a line in a file each time it makes the task."""

    def __init__(self, log):
        self.log = log

    def __call__(self):
        with Path(self.log).open("a") as file:
            file.write(f"{os.getpid()}\n")
        return make_task()


class Unpicklable:
    def __init__(self):
        self.lock = threading.Lock()

    def __call__(self):
        return make_task()


def make_none():
    raise ValueError("no data here\nat all")


def make_death():
    os._exit(5)


def asked_again(_, __):
    raise AssertionError("a value that is known is asked for again")


def act(parameters, context):
    return ACTS[parameters["do"]](parameters, context)


def value(parameters, context):
    """Like a training: depends on the seed, its sums on the order they are made in."""
    rng = np.random.default_rng(context.seed)
    loss = 0.0
    for step in range(1, int(context.budget["iterations"]) + 1):
        loss = float(np.tanh(rng.normal(size=50)).mean() / step + 0.9 * loss)
        if step % 10 == 0:
            context.report(step, loss)
        for share in context.rungs:
            if step == round(share * context.budget["iterations"]):
                context.check(share, 50.0 * (1 - share))
    (context.directory / "model").write_text(str(loss))
    return loss + parameters["x"]


def finetune(parameters, context):
    context.report(7, 0.5)
    if parameters["do"] == "raise":
        raise ValueError("no fine-tuning")
    return {"error": context.seed / 7, "phase": context.phase}


def fail(_, context):
    context.report(1, 2.0)
    raise ValueError("no good\nand more lines")


def full(_, __):
    raise OSError(errno.ENOSPC, "No space left on device", "/here")


def die_once(parameters, context):
    """Is killed the first time, after a report."""
    mark = context.directory / "been here"
    if not mark.exists():
        mark.touch()
        context.report(1, 9.0)
        time.sleep(0.3)
        os.kill(os.getpid(), signal.SIGKILL)
    return value(parameters, context)


def leave(_, __):
    sys.exit(3)


def beat(_, context):
    """Writes into its folder, for ever, and says in which process."""
    (context.directory / "pid").write_text(str(os.getpid()))
    for count in itertools.count():
        (context.directory / "beat").write_text(str(count))
        time.sleep(0.005)


def meet(parameters, context):
    """Ends once another candidate is here at the same time."""
    mine, other = (context.directory.parent / parameters[key] for key in ("mine", "other"))
    mine.touch()
    deadline = time.monotonic() + 30
    while not other.exists():
        if time.monotonic() > deadline:
            raise TimeoutError("nobody came")
        time.sleep(0.01)
    return 1.0


def flood(_, context):
    for step in range(500):
        context.report(step, step / 7)
    return 1.0


def length(parameters, _):
    return float(len(parameters["text"]))


def write(_, context):
    """Tells in a file what a worker is like."""
    lines = [
        str(Path.cwd()),
        " ".join(map(str, sorted(os.sched_getaffinity(0)))),
        os.environ.get("OMP_NUM_THREADS", ""),
        " ".join(name for name in ("torch", "tvm", "pytest", "ray") if name in sys.modules),
        os.environ.get("TMPDIR", ""),
    ]
    (context.directory.parent / f"worker-{context.number}").write_text("\n".join(lines))
    sys.stdout.write("this is no result\n")
    sys.stdout.flush()
    return float(os.getpid())


ACTS = {
    "value": value, "raise": fail, "full": full, "die once": die_once, "beat": beat, "meet": meet,
    "leave": leave, "flood": flood, "length": length, "write": write,
}  # fmt: skip
