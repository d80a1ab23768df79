"""Keyword spotting as a search problem."""

import dataclasses
import pickle
import subprocess
import sys
from dataclasses import dataclass, replace

import numpy as np
import pytest

from costmodel.operations import flops
from kws.architecture import SEED, Architecture, Bounds, parameters_of, to_network
from kws.augmentation import AUGMENTATIONS
from kws.features import FeatureSet, Normalisation, SplitFeatures
from kws.mfcc import MfccSettings
from kws.model_file import load_model
from search.objective import TrialContext
from search.work import Work, perform
from tools.recipe import (
    FINETUNE_DROP_EVERY,
    SEARCH_DROP_EVERY,
    Recipe,
    tuning_parameters,
    tuning_start,
)
from tools.task import (
    SpeechTask,
    architecture_of,
    flops_objective,
    make_space,
    sample_paper_space,
    start_of,
)

CONTEXT = TrialContext(number=0, phase=0, seed=0, budget={}, directory=None, report=lambda *_: None)  # type: ignore[arg-type]


def test_the_space_has_kernel_and_filters_of_six_units_and_holds_the_seed():
    space = make_space(Bounds(), filters_low=10, filters_step=10)
    assert len(space.free) == 18
    assert architecture_of(start_of(space)) == SEED


def test_a_space_that_cannot_hold_the_seed_starts_with_what_is_nearest_to_it():
    bounds = Bounds(filters=44, first_kernel=(3, 5), later_kernel=(2, 5))
    start = start_of(make_space(bounds, filters_low=8, filters_step=8))
    assert str(architecture_of(start)) == "3x5,40" + 5 * " 2x3,40"


def test_every_candidate_is_an_architecture_within_the_bounds():
    bounds = Bounds(filters=30, first_kernel=(4, 10), later_kernel=(3, 3))
    space = make_space(bounds, filters_low=10, filters_step=10)
    generator = np.random.default_rng(0)
    for _ in range(50):
        candidate = {p.name: p.at(int(generator.integers(p.count))) for p in space.free}
        bounds.check(architecture_of(candidate))


def test_calibration_draws_from_the_papers_bounds():
    bounds = Bounds(first_kernel=(4, 10))
    generator = np.random.default_rng(1)
    names = set()
    for _ in range(30):
        name, network = sample_paper_space(generator)
        architecture = Architecture.parse(name)
        bounds.check(architecture)
        assert flops(network) == flops(to_network(architecture))
        names.add(name)
    assert len(names) == 30


@pytest.mark.parametrize("name", ["seed", "kws3"])
def test_the_flops_objective_is_equation_1(name):
    architecture = Architecture.parse(name)
    value = flops_objective().evaluate(parameters_of(architecture), CONTEXT)
    assert value == flops(to_network(architecture))


@dataclass(frozen=True)
class Asked:
    learning_rate: float = 2e-3
    batch: int = 20


def test_optimiser_parameters_are_part_of_the_space_and_of_no_architecture():
    space = make_space(Bounds(), filters_low=10, filters_step=10, tuning=tuning_parameters(Asked()))
    start = start_of(space, tuning_start(Asked()))
    assert architecture_of(start) == SEED
    assert len(space.free) == 22
    assert flops_objective().evaluate(start, CONTEXT) == flops(to_network(SEED))


@pytest.fixture(scope="module")
def data() -> FeatureSet:
    """Noise that is louder from word to word, and so can be told apart."""
    generator = np.random.default_rng(0)
    settings = MfccSettings()

    def split(clips):
        labels = np.arange(clips, dtype=np.int64) % 10
        noise = generator.standard_normal((clips, *settings.shape)).astype(np.float32)
        features = noise * (1 + labels[:, None, None]).astype(np.float32)
        return SplitFeatures(features, labels, tuple(f"clip {i}" for i in range(clips)))

    return FeatureSet(
        words=tuple(f"word {i}" for i in range(10)),
        splits={"training": split(120), "validation": split(60), "testing": split(60)},
        normalisation=Normalisation(np.zeros(settings.shape[0], np.float32), 5.0),
        settings=settings,
        left_out=(),
        adjusted={},
        origin={},
        digest="noise",
    )


@pytest.fixture
def speech(data, tmp_path) -> SpeechTask:
    return SpeechTask(
        data=data,
        costs=(flops_objective().spec,),
        search=Recipe(learning_rate=2e-3, batch=20, drop_every=SEARCH_DROP_EVERY),
        finetune=Recipe(learning_rate=2e-3, batch=40, drop_every=FINETUNE_DROP_EVERY),
        models=tmp_path / "models",
        threads=1,
    )


def test_sound_goes_along_only_where_trainings_change_it(speech, tmp_path):
    clips = np.zeros((120, 16_000), np.int16)
    for name in ("clips", "noise"):
        np.save(tmp_path / f"{name}.npy", clips)
    training = replace(speech.data.splits["training"], audio=tmp_path / "clips.npy")
    data = replace(
        speech.data,
        splits={**speech.data.splits, "training": training},
        background=tmp_path / "noise.npy",
    )
    quiet = replace(speech, data=data)
    assert quiet.carrying_sound() is quiet
    loud = replace(quiet, finetune=replace(quiet.finetune, augmentation=AUGMENTATIONS["sound"]))
    carried = loud.carrying_sound().data
    for name in ("clips", "noise"):
        (tmp_path / f"{name}.npy").unlink()
    assert np.array_equal(carried.audio("training"), clips)
    assert np.array_equal(carried.noise(), clips)


CANDIDATE = parameters_of(Architecture.parse("3x3,8 3x3,8 3x3,8 3x3,8 3x3,8 3x3,8"))


def work(directory, **changes):
    directory.mkdir(exist_ok=True)
    standard = {
        "number": 3, "stage": "search", "phase": 0, "parameters": CANDIDATE,
        "known": {"flops": 1e6}, "seed": 5, "budget": {"iterations": 40}, "directory": directory,
        "rungs": {},
    }  # fmt: skip
    return Work(**{**standard, **changes})


def run(task, **changes):
    reports = []
    evaluation = perform(task, work(**changes), reports.append)
    assert evaluation.state in ("finished", "stopped"), evaluation.traceback
    return evaluation, reports


def test_a_copy_sent_to_a_worker_finds_the_same(speech, tmp_path):
    here, reports = run(speech.task([flops_objective()]), directory=tmp_path / "here")
    sent = pickle.loads(pickle.dumps(speech))()  # noqa: S301 - our own
    there, told = run(sent, directory=tmp_path / "there")
    assert here == there
    assert reports == told
    assert [r.at for r in reports] == list(range(2, 41, 2))
    assert {r.kind for r in reports} == {"point"}


def test_a_worker_takes_the_known_cost_and_computes_none(speech, tmp_path):
    evaluation, _ = run(speech(), directory=tmp_path / "trial", known={"flops": 7.0})
    assert evaluation.values["flops"] == 7.0
    untold = perform(speech(), work(tmp_path / "untold", known={}), [].append)
    assert "flops is computed by the search's own process" in untold.error


def test_the_objectives_are_the_same_in_a_worker_and_in_the_search(speech):
    here, there = speech.task([flops_objective()]), speech()
    assert [o.spec for o in here.objectives] == [o.spec for o in there.objectives]
    assert [o.name for o in there.objectives] == ["error", "flops"]


def test_features_are_sent_as_arrays_proper(speech):
    assert all(type(part.features) is np.ndarray for part in speech.data.splits.values())
    buffers = []
    size = len(pickle.dumps(speech, protocol=5, buffer_callback=buffers.append))
    arrays = sum(part.features.nbytes for part in speech.data.splits.values())
    assert sum(buffer.raw().nbytes for buffer in buffers) >= arrays > 5 * size


def test_rungs_are_told_in_order_and_change_nothing(speech, tmp_path):
    plain, _ = run(speech(), directory=tmp_path / "plain")
    rungs = {0.5: 1.0, 0.25: 1.0}
    looked_at, reports = run(speech(), directory=tmp_path / "rungs", rungs=rungs)
    assert looked_at == plain
    assert [r.at for r in reports if r.kind == "rung"] == [0.25, 0.5]


def test_a_training_stops_where_its_error_is_beyond_the_rungs_limit(speech, tmp_path):
    whole, reports = run(speech(), directory=tmp_path / "whole", rungs={0.25: 1.0, 0.5: 1.0})
    rungs = {r.at: r.value for r in reports if r.kind == "rung"}
    limits = {0.25: rungs[0.25], 0.5: rungs[0.5] - 0.01}
    stopped, told = run(speech(), directory=tmp_path / "stopped", rungs=limits)
    assert stopped.state == "stopped"
    assert {r.at: r.value for r in told if r.kind == "rung"} == rungs
    assert max(r.at for r in told if r.kind == "point") == 20
    again, _ = run(speech(), directory=tmp_path / "stopped", rungs=limits)
    assert again.state == "stopped"
    assert whole.state == "finished"


def test_a_killed_training_goes_on_and_tells_its_rungs_again(speech, tmp_path, monkeypatch):
    monkeypatch.setattr("tools.task.CHECKPOINT_SECONDS", 0.0)
    rungs = {0.25: 1.0, 0.5: 1.0}
    undisturbed, reports = run(speech(), directory=tmp_path / "whole", rungs=rungs)

    class Killed(BaseException):
        pass

    def kill(report):
        if report.at == 30:
            raise Killed

    with pytest.raises(Killed):
        perform(speech(), work(tmp_path / "killed", rungs=rungs), kill)
    resumed, told = run(speech(), directory=tmp_path / "killed", rungs=rungs)
    assert resumed == undisturbed
    assert [r for r in told if r.kind == "rung"] == [r for r in reports if r.kind == "rung"]
    assert min(r.at for r in told if r.kind == "point") >= 28


def test_optimiser_parameters_of_a_candidate_are_trained_with(speech, tmp_path):
    start = tuning_start(Asked())
    default, _ = run(speech(), directory=tmp_path / "default")
    same, _ = run(speech(), directory=tmp_path / "same", parameters={**CANDIDATE, **start})
    assert same == default
    tuned = {**CANDIDATE, **start, "batch": 40, "iterations_share": 0.5}
    _, reports = run(speech(), directory=tmp_path / "tuned", parameters=tuned)
    assert reports[-1].at == 10


def test_fine_tuning_saves_the_model_and_keeps_its_own_schedule(speech, tmp_path):
    request = {"stage": "finetune", "budget": {"iterations": 30}}
    plain, _ = run(speech(), directory=tmp_path / "plain", **request)
    assert set(plain.values) == {"error", "error_top5", "test_error", "test_clips"}
    found = {**CANDIDATE, "rate": 0.5, "batch": 10, "iterations_share": 0.5, "drop_every": 1.0}
    tuned, _ = run(speech(), directory=tmp_path / "tuned", parameters=found, **request)
    assert tuned == plain
    assert load_model(tmp_path / "models" / "trial-00003.pt").architecture == architecture_of(found)
    assert dataclasses.replace(speech, finetune=None)().finetune is None


def test_a_worker_imports_neither_compiler_nor_estimator(speech, tmp_path):
    (tmp_path / "task").write_bytes(pickle.dumps(speech))
    program = (
        "import pickle, sys; task = pickle.load(open(sys.argv[1], 'rb'))();"
        "import kws.training; print([m for m in ('tvm', 'costmodel.estimate', 'plotly') "
        "if m in sys.modules])"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "task")]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "[]\n"
