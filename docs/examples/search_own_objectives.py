"""Three objectives of one's own and a bound, over a space of one's own; nothing is trained.

How much memory and time do the convolutions of a network with many weights take on a Raspberry
Pi 3B? The number of weights, to be maximised, stands in for what a training would tell.
"""

from collections.abc import Mapping
from pathlib import Path

import hw_profiles
from costmodel import operations
from costmodel.estimate import Estimator
from costmodel.network import Network
from costmodel.profile import ProfileStore
from search.algorithm import run
from search.creation import create_study
from search.objective import Constraint, Objective
from search.settings import Settings
from search.space import Choice, Integer, Space, Value
from search.work import Task

SPACE = Space((Integer("depth", 1, 4), Integer("filters", 8, 64, step=8), Choice("kernel", (1, 3))))
profile = ProfileStore([Path(hw_profiles.__path__[0])]).get("raspberry-pi-3b")
estimator = Estimator(profile)


def build(candidate: Mapping[str, Value]) -> Network:
    """Convolutions of one width on a map of 32 x 32, and a layer with ten outputs."""
    depth, filters, kernel = (int(candidate[name]) for name in ("depth", "filters", "kernel"))
    network = Network((32, 32, 3))
    last = Network.INPUT
    for _ in range(depth):
        last = network.relu(network.conv2d(last, filters=filters, kernel=(kernel, kernel)))
    network.dense(network.global_average_pool(last), units=10)
    return network


def memory_kb(candidate: Mapping[str, Value]) -> float:
    """Weights, activations and scratch of the network as it would be compiled."""
    return estimator.estimate(build(candidate)).peak_memory_bytes / 1000


objectives = [
    Objective("weights", "", lambda c, _: float(operations.params(build(c))),
              needs_training=False, direction="maximize"),
    Objective("latency", "ms", lambda c, _: estimator.latency_ms(build(c)),
              needs_training=False, origin=profile.digest),
    Objective("memory", "kB", lambda c, _: memory_kb(c), needs_training=False),
]  # fmt: skip
constraints = [Constraint("latency", upper_bound=2.0)]
settings = Settings(initial_trials=20, max_phases=1)
with create_study(
    Path("own.study"), space=SPACE, objectives=objectives, constraints=constraints,
    settings=settings,
) as study:  # fmt: skip
    for trial in run(study, Task(objectives, constraints)).front:
        print(dict(trial.parameters), {name: round(v, 2) for name, v in trial.values.items()})
