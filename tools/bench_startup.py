"""Benchmark `startup`: how long a person waits for the command's first words."""

from __future__ import annotations

import subprocess
import sys
import time
from statistics import median

from tools.bench import print_line, quick

COMMANDS = {
    "help": ["--help"],
    "profiles": ["profiles", "--json"],
    "estimate": ["estimate", "kws7", "--json"],
    "unknown_profile": ["estimate", "kws7", "--profile", "odroid"],
}


def main() -> None:
    """Runs the benchmark: each command in a fresh process, in turn, medians."""
    rounds = 3 if quick(__doc__) else 9
    seconds: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(rounds):
        for name, arguments in COMMANDS.items():
            started = time.perf_counter()
            subprocess.run(
                [sys.executable, "-m", "tools.main", *arguments], capture_output=True, check=False
            )
            seconds[name].append(time.perf_counter() - started)
    print_line(
        "startup",
        {
            "rounds": rounds,
            **{f"{name}_s": round(median(times), 3) for name, times in seconds.items()},
        },
    )


if __name__ == "__main__":
    main()
