"""The loop that runners share, on a device whose speed and failures are scripted."""

from collections import Counter, defaultdict
from dataclasses import replace

import pytest
from drawing import make_target
from runner_contract import FAST, measure

from costmodel.errors import DeviceError
from costmodel.runners.contract import KernelJob
from costmodel.runners.pace import sentinels
from costmodel.runners.rounds import Answer, Lane, RoundsRunner, hottest
from costmodel.schedules.registry import points

TARGET = make_target(8)
SENTINELS = [job.key for job in sentinels(TARGET)]
WATCHED = replace(FAST, repeats=3, rounds=3, max_rounds=3, sentinel_every=2, drift=0.03)


class ScriptedLane(Lane):
    """Times everything at ``speed(number of timings so far, key)`` seconds."""

    def __init__(self, speed=lambda _i, _key: 1.0, name="board", heat=()):
        self.name = name
        self.asked = []
        self.orders = []
        self.forgotten = 0
        self.celsius = list(heat)
        self._speed = speed

    def build(self, jobs):
        del jobs
        return {}

    def time(self, keys, protocol):
        self.orders.append(list(keys))
        for key in keys:
            self.asked.append(key)
            found = self._speed(len(self.asked) - 1, key)
            if isinstance(found, str):
                yield Answer(key, error=found)
            else:
                yield Answer(key, (found,) * protocol.samples)

    def forget(self):
        self.forgotten += 1

    def files(self, patterns):
        del patterns
        return {"zone0": str(self.celsius.pop(0) * 1000)} if self.celsius else {}

    def close(self):
        pass


def runner_of(*lanes):
    return RoundsRunner(lanes, pauses_s=(0.0, 0.0, 0.0))


def jobs_of(count):
    kernels = [replace(sentinels(TARGET)[0].kernel, filters=8 * (2 + i)) for i in range(count)]
    return [KernelJob(kernel, points(kernel, TARGET)[0], TARGET) for kernel in kernels]


def timed(lane):
    """How often each job, sentinels apart, was timed."""
    return Counter(key for key in lane.asked if key not in SENTINELS)


def test_each_round_times_every_job_once_in_an_order_of_its_own():
    lane = ScriptedLane()
    jobs = jobs_of(6)
    measure(runner_of(lane), jobs, replace(FAST, repeats=4, rounds=4, max_rounds=4))
    assert len(lane.orders) == 4
    assert {frozenset(order) for order in lane.orders} == {frozenset(job.key for job in jobs)}
    assert len({tuple(order) for order in lane.orders}) > 1


def test_a_job_whose_rounds_do_not_agree_is_timed_again_alone():
    jobs = jobs_of(4)
    restless = jobs[2].key
    lane = ScriptedLane(lambda i, key: 1.0 + (i if key == restless else 0))
    protocol = replace(FAST, repeats=2, rounds=2, max_rounds=5, agreement=0.01)
    measure(runner_of(lane), jobs, protocol)
    assert timed(lane) == {job.key: 5 if job.key == restless else 2 for job in jobs}


def test_a_job_that_fails_costs_no_other_and_is_not_timed_again():
    jobs = jobs_of(4)
    lane = ScriptedLane(lambda _, key: "it crashed" if key == jobs[1].key else 1.0)
    outcomes = measure(runner_of(lane), jobs, replace(FAST, repeats=3, rounds=3, max_rounds=3))
    assert outcomes[jobs[1].key].error == "it crashed"
    assert timed(lane)[jobs[1].key] == 1
    assert sum(outcome.error is None for outcome in outcomes.values()) == 3


def test_lanes_share_the_jobs():
    lanes = [ScriptedLane(name=f"board {i}") for i in range(3)]
    jobs = jobs_of(7)
    outcomes = measure(runner_of(*lanes), jobs)
    assert sorted(len(lane.asked) for lane in lanes) == [2, 2, 3]
    assert all(outcome.error is None for outcome in outcomes.values())
    assert [lane.forgotten for lane in lanes] == [1, 1, 1]


def test_a_sentinel_is_timed_at_both_ends_and_after_every_so_many_jobs():
    lane = ScriptedLane()
    measure(runner_of(lane), jobs_of(6), replace(WATCHED, repeats=1))
    first = lane.asked.index(next(key for key in lane.asked if key not in SENTINELS))
    pattern = ["s" if key in SENTINELS else "k" for key in lane.asked[first - 1 :]]
    assert "".join(pattern) == "skkskkskks"


def test_a_disturbance_between_two_sentinels_is_timed_again_and_not_kept():
    """Half way through, everything takes twice as long for three timings."""
    lane = ScriptedLane(lambda i, _: 2.0 if 10 <= i < 13 else 1.0)
    outcomes = measure(runner_of(lane), jobs_of(6), WATCHED)
    for outcome in outcomes.values():
        assert outcome.rounds == ((1.0,),) * 3
    assert sum(timed(lane).values()) > 18


def test_a_device_that_stays_slower_stops_with_a_clear_line_and_keeps_what_was_final():
    lane = ScriptedLane()
    runner = runner_of(lane)
    measure(runner, jobs_of(2), WATCHED)
    lane._speed = lambda _i, _key: 1.2
    outcomes = []
    with pytest.raises(DeviceError, match=r"^board has become 20% slower .* --check"):
        runner.measure(jobs_of(4), WATCHED, outcomes.append)
    assert outcomes == []


def test_outcomes_that_are_final_are_told_before_the_end():
    jobs = jobs_of(6)

    def speed(i, key):
        if key in (jobs[0].key, jobs[1].key):
            return 1.0 + i  # never settles
        return 1.3 if i > 60 else 1.0

    lane = ScriptedLane(speed)
    outcomes = []
    with pytest.raises(DeviceError, match="30% slower"):
        runner_of(lane).measure(jobs, replace(WATCHED, max_rounds=40, agreement=0), outcomes.append)
    assert {o.key for o in outcomes} == {job.key for job in jobs[2:]}
    assert all(o.seconds == pytest.approx(1.0) for o in outcomes)


def test_a_drift_within_what_is_allowed_is_divided_out():
    lane = ScriptedLane()
    runner = runner_of(lane)
    measure(runner, jobs_of(2), WATCHED)
    lane._speed = lambda _i, _key: 1.02
    for outcome in measure(runner, jobs_of(4), WATCHED).values():
        assert outcome.rounds == ((1.02,),) * 3
        assert outcome.seconds == pytest.approx(1.0)


def test_another_runner_goes_on_at_the_pace_of_the_first():
    first, second = runner_of(ScriptedLane()), runner_of(ScriptedLane(lambda _i, _key: 1.02))
    measure(first, jobs_of(2), WATCHED)
    second.reference.update(first.reference)
    for outcome in measure(second, jobs_of(2), WATCHED).values():
        assert outcome.seconds == pytest.approx(1.0)


def test_a_hot_device_is_waited_for(monkeypatch):
    waits = []
    monkeypatch.setattr("costmodel.runners.rounds.time.sleep", waits.append)
    lane = ScriptedLane(heat=[90, 85, 60, 60, 60])
    measure(runner_of(lane), jobs_of(2), replace(FAST, max_temperature_c=70))
    assert len(waits) == 2


def test_a_device_without_a_thermometer_is_told():
    with pytest.raises(DeviceError, match="board does not tell its temperature"):
        measure(runner_of(ScriptedLane()), jobs_of(2), replace(FAST, max_temperature_c=70))


def test_a_device_cools_down_before_each_job(monkeypatch):
    waits = []
    monkeypatch.setattr("costmodel.runners.rounds.time.sleep", waits.append)
    measure(runner_of(ScriptedLane()), jobs_of(3), replace(FAST, cool_down_ms=250))
    assert waits == [0.25] * 3


def test_a_board_that_is_gone_for_good_costs_only_what_it_had():
    class DyingLane(ScriptedLane):
        def time(self, keys, protocol):
            for i, answer in enumerate(super().time(keys, protocol)):
                if i == 1:
                    raise DeviceError(f"{self.name} does not answer any more")
                yield answer

    jobs = jobs_of(6)
    outcomes = defaultdict(list)
    with pytest.raises(DeviceError, match="bad board does not answer"):
        runner_of(ScriptedLane(name="good board"), DyingLane(name="bad board")).measure(
            jobs, FAST, lambda o: outcomes[o.key].append(o)
        )
    assert {job.key for job in jobs[::2]} < outcomes.keys()
    assert len(outcomes) == 4, "what the bad board said before counts, too"


@pytest.mark.parametrize("every", [0, 16])
def test_what_a_board_said_before_it_was_lost_counts_unless_a_sentinel_was_to_judge_it(every):
    jobs = jobs_of(4)

    class Lost(ScriptedLane):
        def time(self, keys, protocol):
            for number, answer in enumerate(super().time(keys, protocol)):
                if number == 3 and answer.key not in SENTINELS:
                    raise DeviceError("board is gone")
                yield answer

    first = []
    lane = Lost(lambda _, key: "it crashed" if key == first[0] else 1.0)
    outcomes, runner = [], runner_of(lane)
    first.append(jobs[0].key)
    with pytest.raises(DeviceError, match="board is gone"):
        runner.measure(jobs, replace(FAST, sentinel_every=every), outcomes.append)
    errors = {outcome.key for outcome in outcomes if outcome.error}
    asked = [key for key in lane.asked if key not in SENTINELS]
    assert errors == ({jobs[0].key} & set(asked[:3]))
    assert len(outcomes) - len(errors) == (3 - len(errors) if every == 0 else 0)


def test_the_hottest_zone_counts_and_nonsense_does_not():
    assert hottest({"a": "45000\n", "b": "61500", "c": "?"}) == 61.5
    assert hottest({"c": "?"}) is None
