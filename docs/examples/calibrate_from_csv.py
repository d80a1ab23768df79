"""Fits a profile to timings of whole networks in a runtime of one's own, and predicts another one.

python calibrate_from_csv.py TIMINGS.csv PROFILE ARCHITECTURE

The fitted profile is written to ./profiles; the one that ships is left as it is.
"""

import sys
from pathlib import Path

import hw_profiles
from costmodel.calibration.sums import fit_sums
from costmodel.calibration.sums_store import save_sums
from costmodel.calibration.timings import read_timings
from costmodel.estimate import Estimator
from costmodel.network import Network
from costmodel.partition import partition
from costmodel.profile import ProfileStore
from kws.architecture import Architecture, to_network


def resolve(text: str, _: Path) -> tuple[str, Network]:
    """What the table's column of networks means: here Table II's notation."""
    architecture = Architecture.parse(text)
    return str(architecture), to_network(architecture)


table, name, wanted = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
store = ProfileStore([Path("profiles"), Path(hw_profiles.__path__[0])])
profile = store.get(name)
timings = read_timings(table, resolve)
result = fit_sums(
    [[step.kernel for step in partition(each.network, profile.target())] for each in timings],
    [each.latency_ms / 1e3 for each in timings],
    profile.target(),
)
fitted = save_sums(store, profile, result, timings, source=table, space="keyword spotting")
print(
    f"{len(timings)} networks of {result.kernels} kernels; left out in turn they are predicted "
    f"{result.card.mape:.1%} off on average, {result.card.within_10:.0%} of them within ±10 %"
)
found = Estimator(fitted).estimate(resolve(wanted, Path())[1])
low, high = found.latency_interval_ms
print(f"{wanted}: {found.latency_ms:.2f} ms (80 %: {low:.2f} to {high:.2f})")
