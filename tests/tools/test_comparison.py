"""Fronts of two objectives, compared in measured time."""

import pytest

from tools.comparison import Point, compare, measured_front, rank_agreement, verdict


def point(error, measured, predicted=None, flops=1_000_000, name=None):
    return Point(
        architecture=name or f"{error}-{measured}",
        error=error,
        predicted_ms=measured if predicted is None else predicted,
        measured_ms=measured,
        flops=flops,
    )


SLOW = [point(0.1, 2.0), point(0.2, 1.0)]
FAST = [point(0.1, 1.0), point(0.2, 0.5)]


def test_the_front_in_measured_time_leaves_out_what_is_dominated():
    kept, beaten = point(0.1, 1.0), point(0.1, 1.5)
    assert measured_front([beaten, kept]) == [kept]
    assert measured_front([]) == []


def test_latency_at_equal_accuracy_is_the_fastest_that_is_at_least_as_accurate():
    rows = compare({"flops": SLOW, "latency": FAST})["latency_at_equal_accuracy"]
    assert rows == [
        {"error": 0.1, "flops": 2.0, "latency": 1.0},
        {"error": 0.2, "flops": 1.0, "latency": 0.5},
    ]
    (row, _) = compare({"flops": SLOW[1:], "latency": FAST})["latency_at_equal_accuracy"]
    assert row == {"error": 0.1, "flops": None, "latency": 1.0}


def test_hypervolume_is_the_share_of_the_box_that_a_front_dominates():
    found = compare({"flops": [point(0.2, 2.0)], "latency": [point(0.1, 1.0)]})
    error, time = 0.2 * 1.05, 2.0 * 1.05
    box = error * time
    assert found["hypervolume"]["flops"] == pytest.approx((error - 0.2) * (time - 2.0) / box)
    assert found["hypervolume"]["latency"] == pytest.approx((error - 0.1) * (time - 1.0) / box)


def test_nothing_to_compare_is_said_by_empty_parts():
    found = compare({"flops": [], "latency": []})
    assert found == {"hypervolume": {}, "latency_at_equal_accuracy": [], "rank": {}}
    assert "no accuracy" in verdict(found)


def test_rank_agreement_tells_operations_from_prediction():
    points = [
        point(0.1, 1.0, 1.1, flops=300),
        point(0.1, 2.0, 2.1, flops=200),
        point(0.1, 3.0, 3.1, flops=100),
    ]
    found = rank_agreement(points)
    assert found["n"] == 3
    assert found["operations"] == {"spearman": pytest.approx(-1), "kendall": pytest.approx(-1)}
    assert found["predicted"] == {"spearman": pytest.approx(1), "kendall": pytest.approx(1)}
    same = rank_agreement([point(0.1, 1.0), point(0.1, 2.0), point(0.1, 3.0)])
    assert same["operations"] == {"spearman": None, "kendall": None}
    assert rank_agreement(points[:2]) == {"n": 2}


def test_a_narrow_band_counts_only_pairs_with_like_operations():
    points = [
        point(0.1, 1.0, 1.0, flops=100),
        point(0.1, 2.0, 2.0, flops=95),
        point(0.1, 9.0, 9.0, flops=1000),
    ]
    found = rank_agreement(points, band=0.25)
    assert found["pairs"] == 1
    assert found["operations"]["ordered_rightly"] == 0
    assert found["predicted"]["ordered_rightly"] == 1


def test_the_verdict_names_the_faster_side_or_no_difference():
    assert "latency found networks 2.00 times as fast" in verdict(
        compare({"flops": SLOW, "latency": FAST})
    )
    assert "operations found networks 2.00 times as fast" in verdict(
        compare({"flops": FAST, "latency": SLOW})
    )
    assert "no difference" in verdict(compare({"flops": SLOW, "latency": SLOW}))
