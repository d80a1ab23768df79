import dataclasses

import pytest
import torch

from kws.architecture import Architecture
from kws.augmentation import Augmentation
from kws.errors import InputError, MissingToolError, StorageError
from kws.evaluation import evaluate
from kws.training import train
from kws.training_settings import TrainingSettings

SMALL = Architecture.parse("3x3,12/2x2 3x3,12/2x2")
DEEPER = Architecture.parse("5x5,24/2x2 5x5,24/2x2 3x3,24/2x2")
SHORT = TrainingSettings(iterations=24, curve_iterations=5, evaluate_iterations=10)
AUGMENTED = dataclasses.replace(
    SHORT, augmentation=Augmentation(time_shift_frames=3, time_mask_frames=4, frequency_mask=4)
)
LOUD = dataclasses.replace(
    SHORT,
    augmentation=Augmentation(speed=0.1, time_shift_ms=50.0, noise_share=0.8, loudness_db=3.0),
)
MODERN = dataclasses.replace(
    SHORT,
    schedule="cosine",
    warm_up_iterations=4,
    weight_decay=0.05,
    averaging=0.9,
    keep_best=True,
)
EVERY_WAY = pytest.mark.parametrize(
    "settings", [SHORT, AUGMENTED, LOUD, MODERN], ids=["plain", "augmented", "loud", "modern"]
)


class InterruptedRunError(Exception):
    pass


def assert_same_run(first, second):
    states = first.module.state_dict(), second.module.state_dict()
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    assert first.curve == second.curve
    assert first.validation == second.validation
    assert first.iterations == second.iterations


def interrupt_at(iteration):
    def on_progress(progress):
        if progress.iteration == iteration:
            raise InterruptedRunError

    return on_progress


def test_a_network_learns_words_from_voices_it_never_heard(feature_set):
    settings = TrainingSettings(iterations=120, curve_iterations=20, learning_rate=3e-3)
    result = train(DEEPER, feature_set, settings, seed=0, threads=1)
    assert result.curve[-1].loss < 0.6 * result.curve[0].loss
    assert result.validation.clips == 22
    assert result.validation.top1 > 0.3  # chance is 0.1
    assert evaluate(result.module, feature_set, "training").top1 > 0.6
    assert not result.module.training


@EVERY_WAY
def test_training_is_identical_for_a_seed(feature_set, settings):
    first = train(SMALL, feature_set, settings, seed=7, threads=1)
    torch.rand(5)
    assert_same_run(first, train(SMALL, feature_set, settings, seed=7, threads=1))


def test_another_seed_is_another_run(feature_set):
    first = train(SMALL, feature_set, SHORT, seed=7, threads=1)
    second = train(SMALL, feature_set, SHORT, seed=8, threads=1)
    assert first.curve != second.curve


@EVERY_WAY
@pytest.mark.parametrize("iteration", [5, 20])
def test_an_interrupted_run_goes_on_to_the_identical_result(
    feature_set, settings, iteration, tmp_path
):
    undisturbed = train(SMALL, feature_set, settings, seed=7, threads=1)
    arguments = {"seed": 7, "threads": 1, "checkpoint": tmp_path / "run.pt"}
    with pytest.raises(InterruptedRunError):
        train(
            SMALL,
            feature_set,
            settings,
            **arguments,
            checkpoint_seconds=0,
            on_progress=interrupt_at(iteration),
        )
    seen = []
    resumed = train(
        SMALL, feature_set, settings, **arguments, on_progress=lambda p: seen.append(p.iteration)
    )
    assert min(seen) >= iteration
    assert_same_run(resumed, undisturbed)


def test_a_finished_run_is_not_trained_again(feature_set, tmp_path):
    arguments = {"seed": 7, "threads": 1, "checkpoint": tmp_path / "run.pt"}
    first = train(SMALL, feature_set, SHORT, **arguments)
    seen = []
    again = train(SMALL, feature_set, SHORT, **arguments, on_progress=seen.append)
    assert seen == []
    assert_same_run(first, again)


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"seed": 8}, "seed"),
        ({"architecture": Architecture.parse("3x3,12/2x2 3x3,12")}, "architecture"),
        ({"settings": dataclasses.replace(SHORT, batch=24)}, "settings"),
    ],
)
def test_the_checkpoint_of_another_run_is_refused(feature_set, tmp_path, change, key):
    arguments = {"architecture": SMALL, "settings": SHORT, "seed": 7, "threads": 1}
    train(data=feature_set, checkpoint=tmp_path / "run.pt", **arguments)
    with pytest.raises(InputError, match=f"is the checkpoint of another run: its {key} is"):
        train(data=feature_set, checkpoint=tmp_path / "run.pt", **{**arguments, **change})


def test_the_curve_has_every_loss_and_the_evaluations_asked_for(feature_set):
    curve = train(SMALL, feature_set, SHORT, seed=7, threads=1).curve
    assert [point.iteration for point in curve] == [5, 10, 15, 20, 24]
    assert [point.validation is not None for point in curve] == [False, True, False, True, True]


def test_further_evaluations_change_nothing_of_the_weights(feature_set):
    rungs = dataclasses.replace(AUGMENTED, evaluate_at=(6, 12))
    plain = train(SMALL, feature_set, AUGMENTED, seed=7, threads=1)
    looked_at = train(SMALL, feature_set, rungs, seed=7, threads=1)
    states = plain.module.state_dict(), looked_at.module.state_dict()
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    assert plain.validation == looked_at.validation
    evaluated = [p.iteration for p in looked_at.curve if p.validation is not None]
    assert evaluated == [6, 10, 12, 20, 24]


def test_an_evaluation_is_that_of_the_weights_after_its_iteration(feature_set):
    told = {}
    rungs = dataclasses.replace(SHORT, evaluate_at=(12,))
    train(SMALL, feature_set, rungs, seed=7, threads=1, on_evaluation=told.__setitem__)
    shorter = dataclasses.replace(SHORT, iterations=12)
    assert told[12] == train(SMALL, feature_set, shorter, seed=7, threads=1).validation
    assert sorted(told) == [10, 12, 20, 24]


@pytest.mark.parametrize("killed_at", [10, 15])
def test_a_run_that_goes_on_is_told_the_same_evaluations(feature_set, tmp_path, killed_at):
    rungs = dataclasses.replace(SHORT, evaluate_at=(12,))
    undisturbed, told = {}, {}
    arguments = {"seed": 7, "threads": 1}
    first = train(SMALL, feature_set, rungs, on_evaluation=undisturbed.__setitem__, **arguments)
    arguments |= {"checkpoint": tmp_path / "run.pt", "checkpoint_seconds": 0}
    with pytest.raises(InterruptedRunError):
        train(SMALL, feature_set, rungs, on_progress=interrupt_at(killed_at), **arguments)
    resumed = train(SMALL, feature_set, rungs, on_evaluation=told.__setitem__, **arguments)
    assert told == undisturbed
    assert_same_run(resumed, first)


def test_a_run_that_an_evaluation_ended_ends_there_again(feature_set, tmp_path):
    told = []

    def stop_at_twelve(iteration, validation):
        told.append((iteration, validation))
        if iteration == 12:
            raise InterruptedRunError

    rungs = dataclasses.replace(SHORT, evaluate_at=(6, 12))
    arguments = {"seed": 7, "threads": 1, "checkpoint": tmp_path / "run.pt"}
    for _ in range(2):
        with pytest.raises(InterruptedRunError):
            train(
                SMALL, feature_set, rungs, checkpoint_seconds=0, on_evaluation=stop_at_twelve,
                **arguments,
            )  # fmt: skip
    assert [iteration for iteration, _ in told] == [6, 10, 12] * 2
    assert told[:3] == told[3:]


def test_the_best_evaluation_is_kept_with_its_weights(feature_set):
    told = {}
    settings = TrainingSettings(
        iterations=60, evaluate_iterations=4, learning_rate=0.02, keep_best=True
    )
    result = train(SMALL, feature_set, settings, seed=1, threads=1, on_evaluation=told.__setitem__)
    best = max(each.correct_top1 for each in told.values())
    assert min(each.correct_top1 for each in told.values()) < best
    assert result.validation.correct_top1 == best
    assert evaluate(result.module, feature_set, "validation") == result.validation


def test_an_average_is_evaluated_and_returned_in_place_of_the_last_weights(feature_set):
    averaged = dataclasses.replace(SHORT, averaging=0.9)
    last = train(SMALL, feature_set, SHORT, seed=7, threads=1)
    mean = train(SMALL, feature_set, averaged, seed=7, threads=1)
    assert [point.loss for point in mean.curve] == [point.loss for point in last.curve]
    difference = mean.module.conv1.weight - last.module.conv1.weight
    assert 0 < difference.abs().max() < 0.1
    assert evaluate(mean.module, feature_set, "validation") == mean.validation


def test_changes_of_the_sound_are_heard_in_the_features(feature_set):
    quiet = train(SMALL, feature_set, SHORT, seed=7, threads=1)
    loud = train(SMALL, feature_set, LOUD, seed=7, threads=1)
    assert quiet.curve[0].loss != loud.curve[0].loss


def test_nothing_global_is_changed(feature_set):
    threads, state = torch.get_num_threads(), torch.random.get_rng_state()
    train(SMALL, feature_set, AUGMENTED, seed=7, threads=1)
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.random.get_rng_state(), state)
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.is_grad_enabled()


def test_bfloat16_learns_too_and_keeps_its_weights_in_float32(feature_set):
    settings = TrainingSettings(
        iterations=60, curve_iterations=20, learning_rate=3e-3, bfloat16=True
    )
    result = train(DEEPER, feature_set, settings, seed=7, threads=1)
    assert result.curve[-1].loss < 0.9 * result.curve[0].loss
    assert {p.dtype for p in result.module.parameters()} == {torch.float32}


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"seed": -1}, InputError, "a seed is a whole number from 0, got -1"),
        ({"threads": 0}, InputError, "at least 1 thread is needed, got 0"),
        ({"device": "gpu"}, InputError, "unknown device 'gpu'; write cpu, cuda or cuda:1"),
        ({"device": "cuda:99"}, MissingToolError, "no device 'cuda:99' here"),
    ],
)
def test_impossible_runs_are_refused(feature_set, arguments, error, message):
    with pytest.raises(error, match=message):
        train(SMALL, feature_set, SHORT, **{"seed": 0, **arguments})


def test_a_checkpoint_that_cannot_be_written_is_named(feature_set, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=r"cannot write .*run\.pt"):
        train(SMALL, feature_set, SHORT, seed=0, checkpoint=tmp_path / "file" / "run.pt")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_a_network_learns_on_a_gpu(feature_set):
    settings = TrainingSettings(iterations=150, learning_rate=3e-3)
    result = train(DEEPER, feature_set, settings, seed=0, device="cuda")
    assert result.validation.top1 > 0.3
    assert evaluate(result.module.cpu(), feature_set, "validation").clips == 22
