"""Fronts of two objectives, compared in measured time."""

import dataclasses
import itertools
import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.comparison import (
    MOST_LEVELS,
    Point,
    at_one_stage,
    attained,
    compare,
    levels,
    measured_front,
    on_test_clips,
)
from tools.comparison_document import comparison_document
from tools.comparison_rank import rank_agreement
from tools.comparison_spread import chance, ratio_spread, spread
from tools.comparison_verdict import verdict
from tools.places import profile_store
from tools.report import write_page
from tools.report_comparison import comparison_page


def point(error, measured, predicted=None, flops=1_000_000, **fields):
    return Point(
        architecture=f"{error}-{measured}",
        error=error,
        predicted_ms=measured if predicted is None else predicted,
        measured_ms=measured,
        flops=flops,
        **fields,
    )


def faster(points, times):
    """The same points in so many times less time."""
    return [dataclasses.replace(p, measured_ms=p.measured_ms / times) for p in points]


SLOW = [point(0.1, 2.0), point(0.2, 1.0)]
FAST = faster(SLOW, 2)


def runs(*ratios):
    """A run for each: how many times as fast the search for latency is."""
    return {"flops": [SLOW for _ in ratios], "latency": [faster(SLOW, ratio) for ratio in ratios]}


def test_the_front_in_measured_time_leaves_out_what_is_dominated():
    kept, beaten = point(0.1, 1.0), point(0.1, 1.5)
    assert measured_front([beaten, kept]) == [kept]
    assert measured_front([]) == []


def test_latency_at_equal_accuracy_is_the_fastest_that_is_at_least_as_accurate():
    rows = compare({"flops": [SLOW], "latency": [FAST]})["latency_at_equal_accuracy"]
    assert [row["error"] for row in rows] == [0.1, 0.12, 0.14, 0.16, 0.18, 0.2]
    assert [row["flops"] for row in rows] == [2.0, 2.0, 2.0, 2.0, 2.0, 1.0]
    assert [row["latency"] for row in rows] == [1.0, 1.0, 1.0, 1.0, 1.0, 0.5]
    assert {row["ratio"]["median"] for row in rows} == {2.0}


def test_a_level_that_only_one_objective_reaches_is_no_row():
    rows = compare({"flops": [SLOW[1:]], "latency": [FAST]})["latency_at_equal_accuracy"]
    assert [(row["error"], row["flops"], row["latency"]) for row in rows] == [(0.2, 1.0, 0.5)]


def test_a_level_says_how_many_seeds_reach_it_and_what_each_found():
    found = compare({"flops": [SLOW, SLOW[1:]], "latency": [FAST, FAST]})
    first, *_, last = found["latency_at_equal_accuracy"]
    assert (first["ratio"]["n"], last["ratio"]["n"]) == (1, 2)
    assert first["runs"][1] == {"flops": None, "latency": 1.0}
    assert first["latency"] == 1.0


@given(st.lists(st.floats(0.0005, 1), min_size=1, max_size=50))
def test_levels_are_few_and_round_and_hold_every_error(errors):
    found = levels(errors)
    assert len(found) <= MOST_LEVELS
    assert found == sorted(set(found))
    assert found[-1] >= max(errors) - 1e-9
    step = found[1] - found[0] if len(found) > 1 else 0.2
    assert found[0] - step < min(errors) <= found[0] + 1e-9


def test_a_runs_ratio_is_the_geometric_mean_over_levels():
    uneven = [point(0.1, 1.0), point(0.2, 1.0)]  # twice as fast at 0.1 to 0.18, as fast at 0.2
    found = compare({"flops": [SLOW], "latency": [uneven]})["equal_accuracy"]
    assert found["runs"] == [pytest.approx(math.exp(5 * math.log(2) / 6))]
    assert found["levels"] == 6


def test_runs_are_paired_and_their_median_is_told_with_its_extent():
    found = compare(runs(1.1, 2.0, 1.5))["equal_accuracy"]
    assert found["runs"] == pytest.approx([1.1, 2.0, 1.5])
    ratio = found["ratio"]
    assert (ratio["median"], ratio["low"], ratio["high"]) == pytest.approx((1.5, 1.1, 2.0))
    assert (ratio["n"], ratio["coverage"]) == (3, 0.75)
    assert found["chance"] == 0.25


def test_hypervolume_is_the_share_of_the_box_that_a_front_dominates():
    found = compare({"flops": [[point(0.2, 2.0)]], "latency": [[point(0.1, 1.0)]]})
    error, time = 0.2 * 1.05, 2.0 * 1.05
    box = error * time
    assert found["hypervolume"]["flops"] == pytest.approx((error - 0.2) * (time - 2.0) / box)
    assert found["hypervolume"]["latency"] == pytest.approx((error - 0.1) * (time - 1.0) / box)
    assert found["reference"] == {"error": pytest.approx(error), "measured_ms": time}


def test_hypervolumes_are_compared_run_by_run():
    found = compare(runs(1.0, 2.0, 4.0))["hypervolume_runs"]
    gains = np.subtract(found["latency"]["runs"], found["flops"]["runs"])
    assert found["difference"]["runs"] == pytest.approx(gains)
    assert found["difference"]["median"] == pytest.approx(np.median(gains))
    assert found["difference"]["low"] == pytest.approx(0)


def test_nothing_to_compare_is_said_by_empty_parts():
    found = compare({"flops": [[]], "latency": [[]]})
    assert found == {"hypervolume": {}, "latency_at_equal_accuracy": [], "rank": {}}
    assert "no accuracy" in verdict(found)
    apart = compare({"flops": [[]], "latency": [FAST]})
    assert apart["hypervolume"]["flops"] == 0
    assert "no accuracy" in verdict(apart)


def test_what_half_of_the_runs_attain():
    one, two = [point(0.1, 2.0), point(0.3, 1.0)], [point(0.2, 1.5)]
    assert attained([one]) == [(1.0, 0.3), (2.0, 0.1)]
    assert attained([one, two, []]) == [(1.5, 0.3), (2.0, 0.2)]
    assert attained([one, [], []]) == []


def test_errors_are_of_one_stage_for_all():
    tuned = point(0.1, 1.0, search_error=0.3, test_error=0.12, tuned=True)
    short = point(0.3, 0.5, search_error=0.3)
    kept, left_out = at_one_stage({"flops": [[tuned, short]], "latency": [[tuned]]})
    assert (kept, left_out) == ({"flops": [[tuned]], "latency": [[tuned]]}, 1)
    kept, left_out = at_one_stage({"flops": [[tuned, short]], "latency": [[short]]})
    assert left_out == 0
    assert {p.error for each in kept.values() for points in each for p in points} == {0.3}
    assert on_test_clips(kept) == {"flops": [[]], "latency": [[]]}


def test_on_test_clips_the_error_is_that_of_the_test():
    tuned = point(0.1, 1.0, test_error=0.12, tuned=True)
    (kept,) = on_test_clips({"latency": [[tuned, point(0.2, 0.5)]]})["latency"]
    assert [p.error for p in kept] == [0.12]


# --- ranks


def test_rank_agreement_tells_operations_from_prediction():
    points = [
        point(0.1, 1.0, 1.1, flops=300),
        point(0.1, 2.0, 2.1, flops=200),
        point(0.1, 3.0, 3.1, flops=100),
    ]
    found = rank_agreement(points)["all"]
    assert found["n"] == 3
    assert found["operations"] == {"spearman": pytest.approx(-1), "kendall": pytest.approx(-1)}
    assert found["predicted"] == {"spearman": pytest.approx(1), "kendall": pytest.approx(1)}
    same = rank_agreement([point(0.1, 1.0), point(0.1, 2.0), point(0.1, 3.0)])["all"]
    assert same["operations"] == {"spearman": None, "kendall": None}
    assert rank_agreement(points[:2])["all"] == {"n": 2}


def test_a_narrow_band_counts_only_pairs_with_like_operations():
    points = [
        point(0.1, 1.0, 1.0, flops=100),
        point(0.1, 2.0, 2.0, flops=95),
        point(0.1, 9.0, 9.0, flops=1000),
    ]
    found = rank_agreement(points, band=0.25)["narrow"]
    assert found["pairs"] == 1
    assert found["operations"] == {"ordered_rightly": 0, "kendall": -1, "spearman": None}
    assert found["predicted"] == {"ordered_rightly": 1, "kendall": 1, "spearman": None}
    assert rank_agreement(points[1:], band=0.25)["narrow"] == {"band": 0.25, "pairs": 0}


def test_equal_operations_order_like_a_coin():
    narrow = rank_agreement([point(0.1, 1.0), point(0.1, 2.0)])["narrow"]
    assert narrow["operations"]["ordered_rightly"] == 0.5
    assert narrow["predicted"]["ordered_rightly"] == 1


def test_within_bands_what_tells_the_bands_apart_counts_nothing():
    # Two bands far apart, within each of which operations order the wrong way round.
    points = [
        point(0.1, base * (1 + i / 100), flops=round(count * (1 - i / 1000)))
        for base, count in ((1.0, 1_050_000), (50.0, 52_000_000))
        for i in range(4)
    ]
    found = rank_agreement(points)
    assert found["all"]["operations"]["spearman"] > 0.5
    assert found["narrow"]["operations"]["spearman"] == pytest.approx(-1)
    assert found["narrow"]["operations"]["kendall"] == -1
    assert found["narrow"]["predicted"]["spearman"] == pytest.approx(1)


# --- the spread of seeds


def test_the_interval_of_a_median_covers_it_as_often_as_it_says():
    generator = np.random.default_rng(0)
    for n in (3, 5, 9):
        drawn = generator.standard_normal((4_000, n)) ** 3
        told = spread([1.0, *drawn[0][1:]]).coverage
        held = [(s := spread(list(row))).low <= 0 <= s.high for row in drawn]
        assert np.mean(held) == pytest.approx(told, abs=0.025)


def test_the_interval_is_the_narrowest_with_enough_coverage_or_the_whole_range():
    few = spread([3.0, 1.0, 2.0])
    assert (few.median, few.low, few.high, few.coverage, few.n) == (2.0, 1.0, 3.0, 0.75, 3)
    many = spread([float(i) for i in range(1, 11)])
    assert (many.low, many.high) == (2.0, 9.0)
    assert many.coverage == pytest.approx(1 - 2 * 11 / 1024)
    assert spread([5.0]).coverage == 0
    assert spread([]) is None


@given(st.lists(st.floats(0.1, 10), min_size=1, max_size=9))
def test_what_is_told_of_ratios_is_the_inverse_of_what_is_told_of_their_inverses(ratios):
    one, other = ratio_spread(ratios), ratio_spread([1 / ratio for ratio in ratios])
    assert (one.median, one.low, one.high) == pytest.approx(
        (1 / other.median, 1 / other.high, 1 / other.low)
    )
    assert ratio_spread([]) is None


@given(st.lists(st.floats(-2, 2).filter(lambda x: abs(x) > 1e-3), min_size=2, max_size=7))
def test_chance_is_the_share_of_all_flips_of_signs_with_as_large_a_mean(differences):
    flipped = [
        abs(sum(sign * d for sign, d in zip(signs, differences, strict=True)))
        for signs in itertools.product((1, -1), repeat=len(differences))
    ]
    share = np.mean(np.array(flipped) >= abs(sum(differences)) - 1e-9)
    assert chance(differences) == pytest.approx(share, abs=1e-9)


def test_one_seed_shows_nothing_beyond_chance():
    assert chance([3.0]) == 1
    assert chance([0.0, 0.0]) == 1


# --- the verdict


@pytest.mark.parametrize(
    ("ratios", "says"),
    [
        ((2.0,), "latency found networks 2.00 times as fast as those of the search for operations"),
        ((2.0,), "one seed shows no spread"),
        ((0.5,), "operations found networks 2.00 times as fast"),
        ((0.5, 0.8, 0.4), "operations found networks 2.00 times as fast"),
        ((0.5, 0.8, 0.4), "(median; 1.25 to 2.50 over 3 seeds)"),
        ((1.01,), "no difference at equal accuracy in the one seed"),
        ((2.0, 1.5, 1.8), "the same way in all 3 seeds; yet 0.25 is the probability"),
        ((2.0, 1.5, 1.8), "3 seeds are too few to show a difference"),
        ((1.3, 0.8, 1.1), "no difference is shown: at equal accuracy the search for latency"),
        ((1.3, 0.8, 1.1), "that way in 2 of 3 seeds"),
        ((1.01, 0.99, 1.02), "no difference: at equal accuracy both are within 3 %"),
        ((1.3, 1.2, 1.4, 1.3, 1.2, 1.5), "1.30 times as fast"),
        ((1.3, 1.2, 1.4, 1.3, 1.2, 1.5), "0.031 is the probability of as much by chance"),
    ],
)
def test_the_verdict_claims_no_more_than_the_seeds_show(ratios, says):
    assert says in verdict(compare(runs(*ratios)))


def test_a_difference_is_claimed_only_beyond_chance():
    for ratios in ((2.0,), (2.0, 1.5, 1.8), (1.3, 0.8, 1.1)):
        told = verdict(compare(runs(*ratios)))
        assert "no difference" in told or "too few" in told or "not excluded" in told


# --- the document and the page


def tuned(points, test=0.01):
    """The same points after fine-tuning, with so much more error on the test clips."""
    return [
        dataclasses.replace(p, tuned=True, search_error=0.5, test_error=p.error + test)
        for p in points
    ]


def document(runs, seeds=(0, 1)):
    clips = {"training": 100, "validation": 20, "testing": 10}
    return comparison_document(runs, profile="host-cpu", seeds=seeds, clips=clips, left_out=0)


def test_the_document_has_the_verdict_by_validation_and_by_test_clips():
    found = document({"flops": [tuned(SLOW)] * 2, "latency": [tuned(FAST)] * 2})
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert (found["profile"], found["seeds"], found["seed_numbers"]) == ("host-cpu", 2, [0, 1])
    assert found["clips"] == "20 validation clips, after fine-tuning"
    assert found["test"]["clips"] == "10 test clips, after fine-tuning"
    assert [p["measured_ms"] for p in found["fronts"]["latency"]] == [0.5, 0.5, 1.0, 1.0]
    assert found["test"]["latency_at_equal_accuracy"][0]["error"] == 0.12
    assert found["test"]["equal_accuracy"]["ratio"]["median"] == pytest.approx(2)
    assert set(found["hypervolume"]) == {"flops", "latency"}


def test_without_fine_tuning_nothing_is_said_of_test_clips():
    found = document({"flops": [SLOW], "latency": [FAST]}, seeds=(5,))
    assert found["test"] is None
    assert found["clips"] == "20 validation clips, after the search"
    assert found["seed_numbers"] == [5]


@pytest.mark.parametrize("seeds", [1, 2])
def test_the_page_of_a_comparison_is_written(seeds, tmp_path):
    runs = {"flops": [tuned(SLOW)] * seeds, "latency": [tuned(FAST)] * seeds}
    told = document(runs, seeds=range(seeds))
    page = tmp_path / "new" / "compare.html"
    write_page(comparison_page(runs, told, profile_store().get("host-cpu"), ["A note."]), page)
    text = page.read_text(encoding="utf-8")
    assert text.count("By the error on 20 validation clips, after fine-tuning") == 3
    assert told["verdict"] in text
    assert "A note." in text
    assert ("one seed: no spread" in text) == (seeds == 1)


def test_nothing_to_compare_makes_a_page_all_the_same(tmp_path):
    runs = {"flops": [[]], "latency": [[]]}
    page = tmp_path / "compare.html"
    told = document(runs, seeds=(0,))
    write_page(comparison_page(runs, told, profile_store().get("host-cpu"), []), page)
    assert "share no accuracy" in page.read_text(encoding="utf-8")
