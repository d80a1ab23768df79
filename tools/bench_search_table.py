"""The table of small trained networks behind `bench_search`: its space, its rows, its making."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from kws.architecture import Architecture, Unit
from search.space import Choice, Integer, Space, Value, candidate_key

TABLE = Path(__file__).parent / "bench_search_data" / "networks.jsonl"
"""A line a network: its settings, what it costs, its error after a short training."""

ITERATIONS = 300
"""Of 25 clips each: a second or two."""

TRAINING_SEED = 1
"""Of every network's training."""

PROFILE = "host-cpu"
"""Device whose predicted latency is the cost."""

SPACE = Space(
    (
        Choice("kernel1", (1, 3)),
        Integer("filters1", 1, 4),
        Choice("kernel2", (1, 3, 5)),
        Integer("filters2", 1, 4),
        Integer("filters3", 1, 3),
    )
)
"""288 networks of three units; filters are powers of two: of the third, of four."""


@dataclass(frozen=True)
class Row:
    """A trained network."""

    parameters: Mapping[str, Value]
    architecture: str
    error: float
    """Share of the validation clips that it gets wrong."""
    latency_ms: float
    flops: int
    seed: int
    iterations: int
    clips: int
    """Of the validation split."""
    data: str
    """Digest of the speech."""


def architecture_of(parameters: Mapping[str, Value]) -> Architecture:
    """The network that settings of `SPACE` stand for."""
    setting = {name: int(value) for name, value in parameters.items()}
    first, second = setting["kernel1"], setting["kernel2"]
    return Architecture(
        (
            Unit((first, first), 2 ** (1 + setting["filters1"]), (4, 2)),
            Unit((second, second), 2 ** (1 + setting["filters2"]), (1, 1)),
            Unit((3, 3), 4 ** setting["filters3"], (1, 1)),
        )
    )


def load_table() -> dict[str, Row]:
    """The rows by `candidate_key`."""
    rows = (Row(**json.loads(line)) for line in TABLE.read_text().splitlines())
    return {candidate_key(row.parameters): row for row in rows}


def make_table() -> None:
    """Trains every network of `SPACE` that the table lacks, on one core: a quarter of an hour."""
    known = load_table() if TABLE.exists() else {}
    left = [each for each in SPACE.candidates() if candidate_key(each) not in known]
    predicted = _predicted_ms(left)
    from costmodel.operations import flops
    from kws.architecture import to_network
    from kws.labels import TEN
    from kws.training import train
    from kws.training_settings import TrainingSettings
    from tools.console import stages
    from tools.speech import GENERATED, load

    settings = TrainingSettings(iterations=ITERATIONS)
    TABLE.parent.mkdir(exist_ok=True)
    with stages() as shown, TABLE.open("a") as file:
        data = load(GENERATED, TEN, shown)
        for number, (parameters, latency_ms) in enumerate(zip(left, predicted, strict=True), 1):
            architecture = architecture_of(parameters)
            result = train(architecture, data, settings, seed=TRAINING_SEED, threads=1)
            row = Row(
                parameters=parameters,
                architecture=str(architecture),
                error=round(1 - result.validation.top1, 6),
                latency_ms=round(latency_ms, 6),
                flops=flops(to_network(architecture)),
                seed=TRAINING_SEED,
                iterations=ITERATIONS,
                clips=result.validation.clips,
                data=data.digest,
            )
            file.write(json.dumps(asdict(row)) + "\n")
            file.flush()
            shown.update("training networks", number, len(left))


def _predicted_ms(candidates: Sequence[Mapping[str, Value]]) -> list[float]:
    """Before torch is there: TVM is loaded first, as by the command."""
    from costmodel.estimate import Estimator
    from kws.architecture import to_network
    from tools.places import profile_store

    estimator = Estimator(profile_store().get(PROFILE))
    return [estimator.latency_ms(to_network(architecture_of(each))) for each in candidates]
