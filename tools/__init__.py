"""The command line and the benchmarks: the only room that knows all the others."""
