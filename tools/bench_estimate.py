"""Benchmark `estimate`: Table II's counts for the thirteen models, and the time of an estimate."""

from __future__ import annotations

import time
from statistics import median

from costmodel.estimate import Estimator
from kws.architecture import PUBLISHED, to_network
from tools.bench import print_line, quick
from tools.places import profile_store

TABLE2_MFP_OPS = {
    "seed": 581.1, "kws1": 223.4, "kws2": 167.7, "kws3": 87.6, "kws4": 87.2, "kws5": 76.5,
    "kws6": 65.2, "kws7": 56.8, "kws8": 46.3, "kws9": 37.7, "kws10": 26.3, "kws11": 20.2,
    "kws12": 17.2,
}  # fmt: skip
"""Printed in Table II of the paper."""


def main() -> None:
    """Runs the benchmark."""
    quick(__doc__)
    profile = profile_store().get("host-cpu")
    estimator = Estimator(profile)
    rows, cold, warm = {}, [], []
    for name, architecture in PUBLISHED.items():
        network = to_network(architecture)
        started = time.perf_counter()
        found = estimator.estimate(network)
        cold.append(time.perf_counter() - started)
        started = time.perf_counter()
        estimator.estimate(network)
        warm.append(time.perf_counter() - started)
        rows[name] = {
            "mfp_ops": round(found.flops_table2 / 1e6, 1),
            "table2": TABLE2_MFP_OPS[name],
            "latency_ms": round(found.latency_ms, 4),
        }
    print_line(
        "estimate",
        {
            "models": len(rows),
            "counts_equal": sum(row["mfp_ops"] == row["table2"] for row in rows.values()),
            "calibrated": estimator.calibrated,
            "cold_ms_median": round(1e3 * median(cold), 2),
            "warm_ms_median": round(1e3 * median(warm), 3),
            "rows": rows,
        },
    )


if __name__ == "__main__":
    main()
