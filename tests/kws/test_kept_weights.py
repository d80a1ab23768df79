import dataclasses

import pytest
import torch
from torch.optim.swa_utils import AveragedModel

from kws.architecture import Architecture
from kws.evaluation import Accuracy
from kws.kept_weights import KeptWeights, weight_groups
from kws.module import to_module
from kws.training_settings import TrainingSettings

SMALL = Architecture.parse("3x3,4 1x1,4")


def right(correct):
    return Accuracy(correct_top1=correct, correct_top5=10, clips=10)


def follow(kept, module, values, *, first=0):
    for iteration, value in enumerate(values, start=first):
        with torch.no_grad():
            module.dense.bias.fill_(value)
        kept.weigh(iteration)
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
    follow(kept, module, [0.0])
    module.bn1.running_mean.fill_(1.0)
    follow(kept, module, [0.0], first=1)
    past = 2 / 11
    torch.testing.assert_close(kept.module.bn1.running_mean, torch.full((4,), 1 - past))


def test_the_average_is_that_of_torch():
    """Whose AveragedModel asks for its count in every iteration, which a GPU would wait for."""
    module, decay = to_module(SMALL), 0.7
    kept = KeptWeights(module, TrainingSettings(averaging=decay))
    generator = torch.Generator().manual_seed(0)

    def towards(averaged, current, count):
        past = min(decay, (1 + float(count)) / (10 + float(count)))
        for mean, value in zip(averaged, current, strict=True):
            mean.lerp_(value, 1 - past) if mean.is_floating_point() else mean.copy_(value)

    theirs = AveragedModel(module, multi_avg_fn=towards, use_buffers=True)
    for iteration in range(30):
        with torch.no_grad():
            for each in (*module.parameters(), *module.buffers()):
                each.copy_(torch.randn(each.shape, generator=generator) * 100)
            theirs.update_parameters(module)
        kept.weigh(iteration)
        kept.follow()
    ours = kept.module.state_dict()
    assert all(torch.equal(ours[name], each) for name, each in theirs.module.state_dict().items())


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
        follow(each, module, [5.0], first=2)
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
