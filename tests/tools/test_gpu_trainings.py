import json
import sys

import pytest
import torch
from tones import TWO, write_tones

from kws.features import prepare
from kws.training_settings import TrainingSettings
from tools import bench_training
from tools.gpu_trainings import Pace, on_gpu, paper_hours, side_by_side


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("tones")
    return prepare(write_tones(root / "data"), cache_dir=root / "cache", labels=TWO, workers=1)


def test_the_papers_experiment_is_its_iterations_at_the_pace_of_its_batches():
    quick = Pace(setup_s=1.0, iterations_per_s=2_000.0, as_graph=True)
    slow = Pace(setup_s=3.0, iterations_per_s=1_000.0, as_graph=True)
    paces = {25: [quick, slow], 100: [slow]}
    search = 800 * ((1 + 4) + (3 + 8)) / 2
    assert paper_hours(paces, 1) == pytest.approx((search + 12 * (3 + 40)) / 3600)
    assert paper_hours(paces, 4) == pytest.approx(paper_hours(paces, 1) / 4)


def test_trainings_side_by_side_are_timed_each(data):
    """On the CPU, which has the same code but for the graph."""
    paces = side_by_side("kws12", data, TrainingSettings(batch=8, iterations=8), 2, "cpu")
    assert len(paces) == 2
    assert all(pace.iterations_per_s > 0 and pace.setup_s >= 0 for pace in paces)
    assert not any(pace.as_graph for pace in paces)


def test_a_training_that_fails_ends_the_measurement(data):
    settings = TrainingSettings(batch=8, iterations=8)
    with pytest.raises(Exception, match="cuda:99"):
        side_by_side("kws12", data, settings, 1, "cuda:99")


def test_without_a_gpu_the_benchmark_says_that_there_is_none(data, monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert on_gpu(["kws12"], data, hasty=True) is None
    monkeypatch.setattr(sys, "argv", ["bench_training", "--quick"])
    monkeypatch.setattr(bench_training, "load", lambda *_: data)
    monkeypatch.setattr(bench_training, "_compare", lambda *_: {})
    bench_training.main()
    line = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert line["benchmark"] == "training"
    assert line["cuda"] is None


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_with_a_gpu_the_benchmark_trains_by_graphs(data):
    found = on_gpu(["kws12"], data, hasty=True)
    assert {figures["as_graphs"] for each in found["side_by_side"].values()
            for figures in each.values()} == {True}  # fmt: skip
    assert found["paper_hours_extrapolated"].keys() == {"1", "4"}
