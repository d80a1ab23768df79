"""The bars of a front's members: order, what they show, what stays out."""

import dataclasses

from test_page import sample_study

from tools.page_bars import MOST, bars_figure, spread
from tools.page_marks import SEED_KEY


def traces(figure):
    return {trace.name: trace for trace in figure.data}


def test_members_stand_fastest_first_and_the_seed_last():
    study = sample_study()
    shown = traces(bars_figure(study))
    members = sorted((t for t in study.trials if t.on_front), key=lambda t: t.measured_ms)
    expected = [str(t.number) for t in members]
    assert list(shown["measured"].customdata) == [*expected, SEED_KEY]
    assert list(shown["measured"].y[:-1]) == [t.measured_ms for t in members]
    assert list(shown["predicted"].y[:-1]) == [t.latency_ms for t in members]
    assert list(bars_figure(study).layout.xaxis.ticktext) == [*expected, SEED_KEY]


def test_errors_are_those_after_fine_tuning_in_percent_on_an_axis_of_their_own():
    study = sample_study()
    errors = traces(bars_figure(study))["clips wrong"]
    by_key = {str(t.number): t.tuned_error for t in study.trials}
    by_key[SEED_KEY] = study.seed_architecture.tuned_error
    assert errors.yaxis == "y2"
    assert list(errors.y) == [100 * by_key[key] for key in errors.customdata]


def test_a_member_never_measured_has_one_bar_and_an_uncalibrated_device_says_estimate():
    study = sample_study(calibrated=False)
    trials = tuple(dataclasses.replace(t, measured_ms=None) for t in study.trials)
    shown = traces(bars_figure(dataclasses.replace(study, trials=trials, seed_architecture=None)))
    assert list(shown["measured"].y) == []
    assert not shown["measured"].showlegend
    assert len(shown["roofline estimate"].y) == sum(t.on_front for t in trials)


def test_nothing_is_drawn_without_a_front():
    study = sample_study()
    trials = tuple(dataclasses.replace(t, on_front=False) for t in study.trials)
    assert bars_figure(dataclasses.replace(study, trials=trials)) is None


def test_of_a_long_front_the_ends_and_some_between_are_drawn():
    ordered = list(range(1000))
    kept = spread(ordered, MOST)
    assert len(set(kept)) == MOST
    assert (kept[0], kept[-1]) == (0, 999)
    assert kept == sorted(kept)
    assert spread(ordered[:MOST], MOST) == ordered[:MOST]
