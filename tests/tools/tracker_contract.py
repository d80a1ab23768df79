"""What every tracker must do: a suite that its test module inherits."""

import pytest
from searched_study import OBJECTIVES, STEPS, begun, reopened, searched

from search import events
from tools.front_volume import Box, in_order
from tools.tracking import Point, Run, Tracking, TrackingError, identity

CURVE = [10 * step for step in range(1, STEPS + 1)]


def figures(trial):
    return {"error": trial.values["error"], "latency_ms": trial.values["latency:host-cpu"],
            "flops": 1e6}  # fmt: skip


class TrackerContract:
    """Needs ``make``, which opens a tracker; and ``kept``, which reads back what is there:

    study -> run -> ({key: [(step, value), ...] in the order written}, settings, state).
    """

    def track(self, study, tracker, lines=None):
        return Tracking(
            study, tracker, box=Box.of(study, OBJECTIVES[1:]), figures=figures,
            line=(lines if lines is not None else []).append,
        )  # fmt: skip

    def search(self, path, **how):
        with begun(path) if not path.exists() else reopened(path) as study:
            tracking = self.track(study, self.make())
            told = searched(study, tracking, **how)
            if "kill_after" not in how:
                tracking.close()
            return told

    def check_whole(self, path):
        """All of the study is there, once."""
        with reopened(path) as study:
            (runs,) = self.kept().values()
            trials, tuned = study.trials(), study.finetuned()
            assert len(runs) == 1 + len(trials) + len(tuned)
            for trial in trials:
                values, settings, state = runs[f"trial-{trial.number:05d}"]
                assert [step for step, _ in values["loss"]] == CURVE
                assert values["error"] == [(0, pytest.approx(trial.values["error"]))]
                cost = trial.values["latency:host-cpu"]
                assert values["latency_ms"] == [(0, pytest.approx(cost))]
                assert values["flops"] == [(0, 1e6)]
                assert {name: int(settings[name]) for name in trial.parameters} == trial.parameters
                assert settings["architecture"].count(",") == 2
                assert state == "finished"
            for result in tuned:
                values, _, state = runs[f"trial-{result.trial:05d}-finetuned"]
                assert values["loss"] == [(50, pytest.approx(0.1))]
                assert values["test_error"] == [(0, pytest.approx(0.05))]
                assert state == "finished"
            box, ended = Box.of(study, OBJECTIVES[1:]), in_order(trials)
            grown = [box.share(ended[: n + 1]) for n in range(len(ended))]
            assert runs["search"][0]["hypervolume"] == [
                (n + 1, pytest.approx(share)) for n, share in enumerate(grown)
            ]
            assert grown == sorted(grown)

    def test_a_search_is_kept_whole(self, tmp_path):
        self.search(tmp_path / "a.study")
        self.check_whole(tmp_path / "a.study")

    @pytest.mark.parametrize("kill_after", [4, 13, 40])
    def test_nothing_is_told_twice_after_a_kill(self, tmp_path, kill_after):
        path = tmp_path / "a.study"
        self.search(path, kill_after=kill_after)
        self.search(path)
        self.check_whole(path)
        self.search(path)
        self.check_whole(path)

    def test_a_tracker_that_joins_later_is_told_what_was_before(self, tmp_path):
        path = tmp_path / "a.study"
        with begun(path) as study:
            searched(study, lambda _: None, kill_after=20)
        self.search(path)
        self.check_whole(path)

    def test_two_studies_of_one_name_are_kept_apart(self, tmp_path):
        for folder in ("one", "two"):
            (tmp_path / folder).mkdir()
            path = tmp_path / folder / "a.study"
            with begun(path) as study:
                study.start_phase(5)
                if folder == "two":
                    with study._transaction() as connection:
                        connection.execute("UPDATE phase SET started = '2020-01-01T00:00:00.000'")
                tracking = self.track(study, self.make())
                searched(study, tracking, kill_after=9)
                tracking.close()
        assert len(self.kept()) == 2
        assert any("20200101" in name for name in self.kept())

    def test_a_failed_training_is_kept_as_one_and_may_succeed_later(self):
        tracker, run = self.make(), Run("trial-00007", 1e9, {"m": 3})
        tracker.open("mine-20200101000000")
        tracker.write(run, [Point("loss", 10, 0.5, 1e9)])
        tracker.end(run, "failed", 1e9 + 5)
        assert tracker.state("trial-00007") == "failed"
        again = self.make()
        again.open("mine-20200101000000")
        assert again.state("trial-00007") == "failed"
        assert again.points("trial-00007") >= {("loss", 10)}
        again.end(run, "finished", 1e9 + 9)
        assert again.state("trial-00007") == "finished"
        assert again.state("trial-00008") is None
        assert again.points("trial-00008") == set()


class Away:
    """A tracker that cannot be reached for a while."""

    name = "the tracker"

    def __init__(self, tracker):
        self._tracker, self.is_away = tracker, False

    def __getattr__(self, name):
        if self.is_away:
            raise TrackingError("no way there")
        return getattr(self._tracker, name)


def check_outage(suite, path):
    """A tracker that is away for a while costs nothing but a line."""
    lines = []
    with begun(path) as study:
        away = Away(suite.make())
        tracking = suite.track(study, away, lines)

        def tell(event):
            if isinstance(event, events.TrialStarted):
                away.is_away = event.number in (1, 2)
            tracking(event)

        searched(study, tell)
        tracking.close()
        assert identity(study).startswith("a-20")
    assert lines == ["the tracker is behind (no way there); the search goes on"]
    suite.check_whole(path)
