"""What is said of the time that a search still takes."""

import pytest

from tools.time_left import LATEST, TimeLeft, words


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_nothing_is_claimed_before_anything_is_known(clock):
    left = TimeLeft(clock=clock)
    assert left.seconds(10) is None
    left.begins(0)
    clock.now = 30
    assert left.seconds(10) is None


def test_equal_trainings_end_when_it_says(clock):
    left = TimeLeft(clock=clock)
    for number in range(4):
        left.begins(number)
        for step in range(1, 5):
            clock.now += 5
            left.reaches(number, step / 4)
            if number:
                assert left.seconds(9 - number) == pytest.approx(200 - clock.now)
        left.ends(number)
    assert left.seconds(6) == pytest.approx(120)


def test_several_at_a_time_share_what_is_left(clock):
    left = TimeLeft([20.0, 20.0], clock)
    left.begins(0)
    left.begins(1)
    assert left.seconds(8, at_a_time=2) == pytest.approx(100)
    clock.now = 10
    assert left.seconds(8, at_a_time=2) == pytest.approx(90)
    assert left.seconds(0, at_a_time=2) == pytest.approx(10), "the last ones have no help"


def test_a_training_that_goes_on_is_judged_by_its_pace_since_then(clock):
    left = TimeLeft(clock=clock)
    left.begins(0)
    clock.now = 1
    left.reaches(0, 0.6)
    clock.now = 11
    left.reaches(0, 0.8)
    assert left.seconds(0) == pytest.approx(10)


def test_only_the_latest_count_and_only_those_that_tell_something(clock):
    left = TimeLeft([1000.0] + [10.0] * LATEST, clock)
    assert left.seconds(1) == pytest.approx(10)
    left.begins(0)
    clock.now = 500
    left.ends(0, counts=False)
    assert left.seconds(1) == pytest.approx(10)


def test_a_late_training_never_takes_less_than_nothing(clock):
    left = TimeLeft([10.0], clock)
    left.begins(0)
    clock.now = 60
    assert left.seconds(0) == 0


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "about 10 s"), (44, "about 40 s"), (89, "about 90 s"), (100, "about 2 min"),
     (3600, "about 60 min"), (12600, "about 3.5 h")],
)  # fmt: skip
def test_it_is_said_as_roughly_as_it_is_known(seconds, text):
    assert words(seconds) == text
