import json
import sys
from itertools import product

import numpy as np
import pytest

from tools import bench_timings
from tools.bench_timings import figures, fit_lines


def test_without_timings_it_says_so_and_skips(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(sys, "argv", ["bench_timings", "--data", str(tmp_path / "none.csv")])
    bench_timings.main()
    *said, line = capsys.readouterr().out.splitlines()
    assert "--data PATH" in said[0]
    assert json.loads(line)["skipped"] == "no timings"


def test_every_way_finds_a_line_that_is_one():
    macs = np.linspace(7e6, 220e6, 40)
    for intercept, slope in fit_lines(macs, 2e-3 + 3e-10 * macs).values():
        assert (intercept, slope) == pytest.approx((2e-3, 3e-10), rel=1e-6)


def test_relative_errors_are_least_by_the_way_that_is_named_so():
    """Against all lines through two of the networks, one of which is the best."""
    generator = np.random.default_rng(0)
    macs = generator.uniform(1e7, 2e8, 25)
    seconds = (1e-3 + 1e-10 * macs) * np.exp(generator.standard_t(2, 25) * 0.1)

    def error(a, b):
        return np.abs((a + b * macs) / seconds - 1).sum()

    through = []
    for i, j in product(range(25), repeat=2):
        if i < j:
            slope = (seconds[i] - seconds[j]) / (macs[i] - macs[j])
            through.append(error(seconds[i] - slope * macs[i], slope))
    lines = fit_lines(macs, seconds)
    assert error(*lines["relative"]) == pytest.approx(min(through))
    assert all(error(*line) >= min(through) * (1 - 1e-9) for line in lines.values())


def test_figures_by_hand():
    found = figures(np.array([1.0, 2.1, 2.4, 8.0]), np.array([1.0, 2.0, 3.0, 4.0]))
    assert found["spearman"] == pytest.approx(1.0)
    assert found["within_10"] == 0.5
    assert found["mape"] == pytest.approx((0 + 0.05 + 0.2 + 1.0) / 4)
