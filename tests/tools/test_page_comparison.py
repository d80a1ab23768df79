"""The comparison's part of a page: pictures, headline numbers, tables."""

import dataclasses

import pytest
from test_page import bare, sample_comparison

from tools.page import ComparedFront, EqualAccuracy, Judgement, Spread, render
from tools.page_comparison import (
    comparison_facts,
    comparison_figure,
    comparison_figures,
    equal_accuracy_rows,
    interval,
    ratio_figure,
)


def one_seed(comparison):
    lone = Spread(median=1.4, low=1.4, high=1.4, coverage=0, n=1)
    row = EqualAccuracy(error=0.1, latency_ms=(1.68, 1.2), ratio=lone, ratios=(1.4,))
    judged = Judgement(clips="clips", verdict="one seed", ratio=lone, equal_accuracy=(row,))
    fronts = tuple(dataclasses.replace(f, runs=(), attained=()) for f in comparison.fronts)
    return dataclasses.replace(comparison, judgements=(judged,), seeds=(1,), fronts=fronts)


def test_compared_errors_are_of_one_stage():
    comparison = one_seed(sample_comparison())
    assert "fine-tuned" in comparison_figure(comparison).layout.yaxis.title.text
    operations, latency = comparison.fronts
    untuned = dataclasses.replace(latency.candidates[0], tuned_error=None)
    searched = [
        ComparedFront(name=f.name, candidates=tuple(
            dataclasses.replace(c, error=0.3) for c in f.candidates))
        for f in (operations, ComparedFront(name="latency", candidates=(untuned,)))
    ]  # fmt: skip
    figure = comparison_figure(dataclasses.replace(comparison, fronts=tuple(searched)))
    assert "after the search" in figure.layout.yaxis.title.text
    assert {y for trace in figure.data for y in trace.y} == {30.0}


def test_each_seeds_front_is_drawn_and_what_half_of_them_attain():
    comparison = sample_comparison()
    figure = comparison_figure(comparison)
    lines = [trace for trace in figure.data if trace.mode == "lines" and trace.x]
    assert len(lines) == 2 * 3 + 1
    assert (lines[3].x, lines[3].y) == ((30.0, 60.0), (40.0, 20.0))
    named = [trace.name for trace in figure.data if trace.mode == "markers" and trace.showlegend]
    assert named == ["operations", "latency"]
    told = [trace.hovertext[0] for trace in figure.data if trace.mode == "markers"]
    assert "seed 2" in told[1]
    assert not any(trace.customdata for trace in figure.data)


def test_the_ratio_is_drawn_with_every_seed_and_its_interval():
    single, medians = ratio_figure(sample_comparison()).data
    assert single.y == (1.3, 1.4, 1.5)
    assert (medians.x, medians.y) == ((10.0,), (1.4,))
    assert medians.error_y.array[0] == pytest.approx(0.1)


def test_of_one_seed_no_interval_is_drawn_or_told():
    comparison = one_seed(sample_comparison())
    (lone,) = ratio_figure(comparison).data
    assert lone.error_y.visible is False
    (fact, _) = comparison_facts(comparison)
    assert fact.value == "1.40 × as fast"
    assert "no spread is known" in fact.note
    assert equal_accuracy_rows(comparison.judgements[0]) == [("10.0", "1.68", "1.20", "1.40", "1")]


def test_without_anything_compared_nothing_is_drawn():
    empty = dataclasses.replace(
        sample_comparison(), fronts=(ComparedFront(name="latency", candidates=()),), judgements=()
    )
    assert set(comparison_figures(empty).values()) == {None}
    assert "Objectives side by side" in render(bare(comparison=empty))


def test_headline_numbers_tell_their_interval_and_how_sure_it_is():
    faster, gain, pairs = comparison_facts(sample_comparison())
    assert faster.value == "1.40 × as fast"
    assert faster.note == ("measured; median of 3 seeds, 1.30 to 1.50 (holds the median with 75 %)")
    assert gain.value == "0.0612"
    assert "−0.0100 to 0.0700" in gain.note
    assert (pairs.value, pairs.note) == (
        "61 %, 97 %",
        "ordered rightly by operations, by prediction",
    )


def test_an_interval_names_its_seeds():
    assert interval(Spread(median=1, low=0.5, high=2, coverage=0.5, n=2)).startswith(
        "median of 2 seeds, 0.500 to 2.00"
    )


def test_the_verdict_and_every_table_are_on_the_page_as_text():
    text = render(bare(comparison=sample_comparison()))
    for said in (
        "&lt;three&gt; seeds are too few",
        "By the error on 1,200 validation clips",
        "1.40 (1.30 to 1.50)",
        "0.7400 to 0.7700",
        "Alike in operations: 118 pairs.",
        "spoken by nobody",
    ):
        assert said in text


def test_levels_that_no_seed_compares_have_dashes():
    rows = equal_accuracy_rows(sample_comparison().judgements[0])
    assert rows[1] == ("5.0", "–", "–", "–", "–")
