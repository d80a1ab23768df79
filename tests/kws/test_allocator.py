import platform
import subprocess
import sys

FAULTS = """
import resource, sys
import numpy as np
from kws.allocator import keep_freed_memory
kept = keep_freed_memory() if sys.argv[1] == "kept" else None
def work():
    blocks = [np.ones(1_000_000, np.float32) for _ in range(4)]
work(), work(), work()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    work()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before, kept)
"""


def faults(way):
    """Of ten rounds of 16 MB, and what was said, in a process of its own."""
    command = [sys.executable, "-c", FAULTS, way]
    count, said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return int(count), said


def test_freed_memory_is_kept_and_not_mapped_anew():
    kept, said = faults("kept")
    given_back, _ = faults("given back")
    if platform.libc_ver()[0] == "glibc":
        assert said == "True"
        assert kept < 100 < given_back
    else:
        assert said == "False"
