import pytest

from costmodel.errors import InputError
from costmodel.protocol import Protocol, undisturbed_seconds

PROTOCOL = Protocol(rounds=2, max_rounds=4, agreement=0.02)


@pytest.mark.parametrize(
    ("rounds", "settled"),
    [
        ([], False),
        ([[1.0]], False),
        ([[1.0], [1.0]], True),
        ([[1.0], [1.02]], True),
        ([[1.0], [1.03]], False),
        ([[1.03], [1.0]], False),
        ([[1.0], [1.5], [1.01]], True),
        ([[9.0], [1.5], [1.0]], False),
        ([[9.0], [5.0], [3.0], [1.0]], True),
    ],
)
def test_two_rounds_that_agree_are_enough_and_so_are_as_many_as_allowed(rounds, settled):
    assert PROTOCOL.settled(rounds) is settled


def test_a_round_counts_by_its_median():
    assert PROTOCOL.settled([[1.0, 1.0, 50.0], [1.0, 1.01, 0.1]])
    assert not PROTOCOL.settled([[1.0, 2.0, 2.0], [1.0, 1.0, 2.0]])


def test_one_round_is_enough_where_only_one_is_allowed():
    assert Protocol(rounds=1, max_rounds=1).settled([[1.0]])


def test_as_many_rounds_as_asked_are_taken_though_earlier_ones_agree():
    assert not Protocol(rounds=3, max_rounds=5).settled([[1.0], [1.0]])


@pytest.mark.parametrize(
    "wrong",
    [
        {"repeats": 0}, {"rounds": 0}, {"min_repeat_ms": -1}, {"rounds": 3, "max_rounds": 2},
        {"min_repeat_ms": float("nan")}, {"drift": 0}, {"cpus": (4, 4)}, {"cpus": (-1,)},
        {"sentinel_every": -1},
    ],
)  # fmt: skip
def test_an_impossible_protocol_is_refused_when_made(wrong):
    with pytest.raises(InputError):
        Protocol(**wrong)


@pytest.mark.parametrize(
    ("repeats", "rounds", "passes", "samples"),
    [(12, 3, 3, 4), (10, 3, 3, 4), (1, 3, 1, 1), (2, 3, 2, 1), (7, 1, 1, 7)],
)
def test_repeats_are_spread_over_the_rounds(repeats, rounds, passes, samples):
    protocol = Protocol(repeats=repeats, rounds=rounds)
    assert (protocol.passes, protocol.samples) == (passes, samples)
    assert protocol.passes * protocol.samples >= repeats


def test_a_single_repeat_is_a_single_round_whatever_else_is_said():
    assert Protocol(repeats=1, rounds=5).settled([[1.0]])


@pytest.mark.parametrize(
    ("rounds", "seconds"),
    [
        ([[3.0]], 3.0),
        ([[3.0, 1.0, 99.0]], 3.0),
        ([[2.0], [4.0]], 3.0),
        ([[9.0], [2.0], [50.0], [4.0]], 3.0),
    ],
)
def test_samples_speak_for_the_mean_of_the_two_smallest_medians(rounds, seconds):
    assert undisturbed_seconds(rounds) == seconds


def test_a_disturbed_round_more_changes_nothing():
    quiet = [[1.0, 1.1, 1.05], [1.02, 1.0, 1.04]]
    assert undisturbed_seconds([*quiet, [7.0]]) == undisturbed_seconds(quiet)
