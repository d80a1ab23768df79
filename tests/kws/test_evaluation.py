import numpy as np
import torch
from torch import nn

from kws.architecture import Architecture
from kws.evaluation import CHUNK, Accuracy, accuracy, evaluate
from kws.module import to_module


class Stub(nn.Module):
    """Answers with scores hidden in the first coefficients, so that ranks are known."""

    def __init__(self):
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(1))

    def forward(self, features):
        return features[:, 0, :10, 0]


def test_right_answers_are_counted_among_the_best_and_the_five_best():
    clips = 2 * CHUNK + 17
    scores = np.random.default_rng(0).permuted(np.tile(np.arange(10.0), (clips, 1)), axis=1)
    labels = np.random.default_rng(1).integers(0, 10, clips)
    features = np.zeros((clips, 40, 32), np.float32)
    features[:, :10, 0] = scores
    rank = (scores > scores[np.arange(clips), labels][:, None]).sum(axis=1)
    found = accuracy(Stub(), torch.from_numpy(features), torch.from_numpy(labels))
    assert found == Accuracy(
        correct_top1=int((rank == 0).sum()), correct_top5=int((rank < 5).sum()), clips=clips
    )
    assert found.top1 == (rank == 0).mean()
    assert found.top5 == (rank < 5).mean()


def test_evaluation_uses_running_statistics_and_gives_the_mode_back(feature_set):
    module = to_module(Architecture.parse("3x3,4/2x2"), seed=1).train()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    in_training = evaluate(module, feature_set, "validation")
    assert module.training
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())
    assert evaluate(module.eval(), feature_set, "validation") == in_training
    assert not module.training


def test_few_classes_have_fewer_than_five_best():
    module = to_module(Architecture.parse("3x3,4"), 3)
    found = accuracy(module, torch.zeros(4, 40, 32), torch.tensor([0, 1, 2, 0]))
    assert found.top5 == 1.0
