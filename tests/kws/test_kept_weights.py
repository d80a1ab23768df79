import dataclasses

import pytest
import torch

from kws.architecture import Architecture
from kws.evaluation import Accuracy
from kws.kept_weights import KeptWeights, weight_groups
from kws.module import to_module
from kws.training_settings import TrainingSettings

SMALL = Architecture.parse("3x3,4 1x1,4")


def right(correct):
    return Accuracy(correct_top1=correct, correct_top5=10, clips=10)


def follow(kept, module, values):
    for value in values:
        with torch.no_grad():
            module.dense.bias.fill_(value)
        kept.follow()


def test_without_averaging_the_network_is_the_one_that_is_trained():
    module = to_module(SMALL)
    assert KeptWeights(module, TrainingSettings()).module is module


def test_the_average_is_the_sum_of_its_definition():
    module, values = to_module(SMALL), [3.0, -1.0, 4.0, 1.0, -5.0]
    kept = KeptWeights(module, TrainingSettings(averaging=0.15))
    follow(kept, module, values)
    expected = values[0]
    for number, value in enumerate(values[1:], start=1):
        past = min(0.15, (1 + number) / (10 + number))
        expected = past * expected + (1 - past) * value
    assert kept.module.dense.bias[0].item() == pytest.approx(expected)
    assert module.dense.bias[0].item() == -5.0


def test_the_statistics_of_batch_normalisation_are_averaged_too():
    module = to_module(SMALL)
    kept = KeptWeights(module, TrainingSettings(averaging=0.5))
    kept.follow()
    module.bn1.running_mean.fill_(1.0)
    kept.follow()
    past = 2 / 11
    torch.testing.assert_close(kept.module.bn1.running_mean, torch.full((4,), 1 - past))


def test_the_best_evaluation_is_kept_and_of_equals_the_later():
    module = to_module(SMALL)
    kept = KeptWeights(module, TrainingSettings(keep_best=True))
    for value, correct in ((1.0, 5), (2.0, 8), (3.0, 8), (4.0, 7)):
        follow(kept, module, [value])
        kept.evaluated(right(correct))
    best, validation = kept.result(right(7))
    assert validation == right(8)
    assert best.dense.bias[0].item() == 3.0


@pytest.mark.parametrize("averaging", [0.0, 0.5])
@pytest.mark.parametrize("keep_best", [False, True])
def test_what_is_restored_goes_on_as_if_nothing_had_been(averaging, keep_best):
    settings = TrainingSettings(averaging=averaging, keep_best=keep_best)
    first, second = to_module(SMALL), to_module(SMALL)
    kept, restored = KeptWeights(first, settings), KeptWeights(second, settings)
    follow(kept, first, [1.0, 2.0])
    kept.evaluated(right(6))
    restored.restore(kept.state())
    for each, module in ((kept, first), (restored, second)):
        follow(each, module, [5.0])
        each.evaluated(right(4))
    results = [each.result(right(4)) for each in (kept, restored)]
    assert results[0][1] == results[1][1] == right(6 if keep_best else 4)
    assert torch.equal(results[0][0].dense.bias, results[1][0].dense.bias)


def test_only_weights_decay():
    module = to_module(SMALL)
    decaying, spared = weight_groups(module, 0.1)
    assert {id(p) for p in decaying["params"]} == {
        id(p) for p in (module.conv1.weight, module.conv2.weight, module.dense.weight)
    }
    assert (decaying["weight_decay"], spared["weight_decay"]) == (0.1, 0.0)
    assert len(decaying["params"]) + len(spared["params"]) == len(list(module.parameters()))


def test_settings_of_one_training_do_not_reach_another():
    settings = dataclasses.replace(TrainingSettings(), averaging=0.5)
    kept = KeptWeights(to_module(SMALL), settings)
    assert kept.module is not KeptWeights(to_module(SMALL), settings).module
