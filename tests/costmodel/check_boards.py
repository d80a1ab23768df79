"""Every point of every schedule family on emulated boards against torch, by hand.

python tests/costmodel/check_boards.py [--kernels N] [--seed S] [--family NAME] [--board NAME]

For each board's profile and each family, N random kernels (every second on two threads), each with
all its points, in one program. Prints one line of JSON: kernels, points, programs, the largest
error over the output's peak by processor and family, seconds; ends with 1 where one is too large.
A point takes 0.1 to 0.4 s, nearly all of it to compile.
"""

import argparse
import json
import sys
import time
from collections import Counter
from importlib.resources import files
from pathlib import Path

from board_drawing import drawn
from board_errors import TOLERANCE, errors_on, every_point

from costmodel.profile import ProfileStore
from costmodel.schedules.registry import CPU_FAMILIES

BOARDS = (
    "odroid-xu3-a7", "pynq-z1-a9", "odroid-xu3-a15",
    "raspberry-pi-3b", "raspberry-pi-4b", "raspberry-pi-5",
)  # fmt: skip
"""One of each core: Cortex-A7, A9, A15, A53, A72, A76."""


def checked(family, profile, kernels, seed):
    """Per kernel (half of them on two threads) all points: counts, and (error, case) of each."""
    one = profile.target()
    found = drawn(family, one, kernels, seed)
    results = []
    programs = 0
    for cores, mine in ((1, found[::2]), (2, found[1::2])):
        target = one.with_cores(cores)
        cases = every_point(family, mine, target)
        if cases:
            programs += 1
            results += zip(errors_on(cases, target), cases, strict=True)
    return Counter(kernels=len(found), points=len(results), programs=programs), results


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kernels", type=int, default=2, help="for each family and board")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--family", choices=[family.name for family in CPU_FAMILIES])
    parser.add_argument("--board", choices=BOARDS)
    chosen = parser.parse_args()
    store = ProfileStore([Path(str(files("hw_profiles")))])
    start, counts, largest, wrong = time.monotonic(), Counter(), {}, 0
    for board in [chosen.board] if chosen.board else BOARDS:
        profile = store.get(board)
        core = dict(profile.target().tvm)["mcpu"]
        for family in CPU_FAMILIES:
            if chosen.family in (None, family.name):
                # Another seed for each board: more kernels in all.
                seed = chosen.seed * len(BOARDS) + BOARDS.index(board)
                counted, results = checked(family, profile, chosen.kernels, seed)
                counts += counted
                bad = [(str(error), case) for error, case in results if not error <= TOLERANCE]
                for error, case in bad:
                    print(f"{core}: {error} in {case}", file=sys.stderr)
                wrong += len(bad)
                by_family = largest.setdefault(core, {})
                by_family[family.name] = float(f"{max(error for error, _ in results):.2g}")
    seconds = round(time.monotonic() - start)
    print(json.dumps({**counts, "wrong": wrong, "largest_error": largest, "seconds": seconds}))
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
