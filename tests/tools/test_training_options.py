"""What the options of a search ask of trainings."""

import dataclasses

import numpy as np
import pytest

from kws.augmentation import AUGMENTATIONS, Augmentation
from kws.features import FeatureSet, Normalisation, SplitFeatures
from kws.mfcc import MfccSettings
from kws.splits import SPLITS
from tools.job import Job, Request
from tools.recipe import FINETUNE_DROP_EVERY
from tools.search_options import SETS, asked_for

OPTIONS = {
    "profile": "host-cpu", "data": "generated", "candidates": 4, "iterations": 10,
    "finetune_iterations": 20, "device": "cpu", "bfloat16": None,
}  # fmt: skip


@pytest.mark.parametrize("pays", [True, False])
def test_the_number_format_is_that_which_pays_unless_one_is_asked_for(monkeypatch, pays):
    monkeypatch.setattr("kws.number_format.bfloat16_pays", lambda _device: pays)
    assert asked_for("latency", OPTIONS).bfloat16 is pays
    assert asked_for("latency", {**OPTIONS, "bfloat16": not pays}).bfloat16 is not pays


def test_the_sets_of_changes_that_may_be_named_are_those_there_are():
    assert set(SETS) == set(AUGMENTATIONS)


def no_data():
    settings = MfccSettings()
    none = SplitFeatures(np.zeros((0, *settings.shape), np.float32), np.zeros(0, np.int64), ())
    return FeatureSet(
        words=("yes", "no"),
        splits=dict.fromkeys(SPLITS, none),
        normalisation=Normalisation(np.zeros(settings.shape[0], np.float32), 1.0),
        settings=settings,
        left_out=(),
        adjusted={},
        origin={},
        digest="none",
    )


@pytest.fixture
def recipes(tmp_path):
    def make(**options):
        request = Request(objective="flops", **{**OPTIONS, "bfloat16": False, **options})
        job = Job(request, None, None, no_data())  # type: ignore[arg-type]
        task = job.speech_task(tmp_path, 1)
        return task.search, task.finetune

    return make


def test_by_default_fine_tuning_is_modern_and_hears_changed_clips(recipes):
    search, finetune = recipes()
    assert (search.schedule, search.augmentation) == ("steps", Augmentation())
    assert (finetune.schedule, finetune.augmentation) == ("cosine", AUGMENTATIONS["sound"])


def test_the_papers_fine_tuning_can_be_had(recipes):
    search, finetune = recipes(finetune_schedule="paper", finetune_augmentation="none")
    assert finetune == dataclasses.replace(search, batch=100, drop_every=FINETUNE_DROP_EVERY)


def test_changed_clips_can_be_had_in_the_search_too(recipes):
    search, _ = recipes(augmentation="features")
    assert search.augmentation == AUGMENTATIONS["features"]
