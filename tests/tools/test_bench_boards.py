import json
import sys

import numpy as np
import pytest

from costmodel.regressor import fit
from tools import bench_boards
from tools.ablation import Table
from tools.bench_boards import transfer


def test_without_records_it_says_so_and_skips(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(sys, "argv", ["bench_boards", "--data", str(tmp_path / "none.jsonl")])
    bench_boards.main()
    *said, line = capsys.readouterr().out.splitlines()
    assert "--data PATH" in said[0]
    assert json.loads(line)["skipped"] == "no records"


def table_of(offset, slope, seed):
    """A board whose kernels take e^(sin + slope x + offset) of their bound."""
    generator = np.random.default_rng(seed)
    rows = generator.uniform(-1, 1, (120, 4))
    ratios = np.sin(3 * rows[:, 0]) + slope * rows[:, 1] + offset
    return Table(("a", "b", "c", "d"), rows, np.ones(120), np.exp(ratios))


def test_twenty_kernels_carry_what_other_boards_know_to_a_new_one():
    tables = {"one": table_of(0.0, 0.1, 1), "two": table_of(0.1, 0.1, 2),
              "new": table_of(0.7, 0.15, 3)}  # fmt: skip
    found = transfer(tables, "new", 1)
    assert found["mape"] < 0.5 * found["without_other_boards"]
    # Without the correction the offset alone would be an error of a half.
    source = fit(
        np.concatenate([tables[n].rows for n in ("one", "two")]),
        np.concatenate([tables[n].log_ratios for n in ("one", "two")]),
        tables["new"].names,
    )
    blind = np.exp(source.predict(tables["new"].rows)[0] - tables["new"].log_ratios)
    assert found["mape"] < 0.1 < np.abs(blind - 1).mean()
    assert found["coverage_80"] == pytest.approx(0.8, abs=0.2)
