import dataclasses

import pytest
import torch

from kws.augmentation import AUGMENTATIONS
from kws.training_batches import TrainingBatches
from kws.training_settings import TrainingSettings


def batches_of(data, augmentation):
    settings = dataclasses.replace(TrainingSettings(), augmentation=AUGMENTATIONS[augmentation])
    return TrainingBatches(data, settings, seed=5, device=torch.device("cpu"))


def test_without_changes_a_batch_is_the_clips_that_were_chosen(feature_set):
    batches = batches_of(feature_set, "none")
    chosen = batches.chosen(3)
    assert chosen.shape == (1, 25)
    batch, labels = batches.made(chosen)
    rows = chosen[0].long().numpy()
    features = torch.from_numpy(feature_set.normalised("training")[rows])
    assert torch.equal(batch, features[:, None])
    assert labels.tolist() == feature_set.labels("training")[rows].tolist()


@pytest.mark.parametrize(("augmentation", "draws"), [("features", 5), ("sound", 10)])
def test_a_batch_follows_from_what_was_chosen_alone(feature_set, augmentation, draws):
    first, second = (batches_of(feature_set, augmentation) for _ in range(2))
    second.made(second.chosen(9))
    chosen = first.chosen(4)
    assert chosen.shape == (1 + draws, 25)
    assert torch.equal(chosen, second.chosen(4))
    assert not torch.equal(chosen[1:], first.chosen(5)[1:])
    made = [batches.made(chosen) for batches in (first, second, first)]
    assert all(torch.equal(batch, made[0][0]) for batch, _ in made)
    assert all(torch.equal(labels, made[0][1]) for _, labels in made)
    plain, _ = batches_of(feature_set, "none").made(chosen[:1])
    assert not torch.equal(made[0][0], plain)
