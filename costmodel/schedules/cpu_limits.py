"""Limits that the schedule families for CPUs share, each with where it comes from."""

MAXIMUM_WASTE = 1.13
"""Pixels computed over pixels needed, above which a ragged tile is left out."""
ENOUGH_ACCUMULATORS = 8
"""Two multiply-adds a cycle with a latency of four cycles: with fewer sums the units wait."""
PARALLEL_FLOPS = 200_000
"""Kernels with less arithmetic run on one core: waking the others takes some microseconds."""
PARALLEL_NUMBERS = 50_000
"""Smaller maps run on one core: waking the others takes longer than 10 us of copying."""
