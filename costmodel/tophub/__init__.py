"""TopHub's published kernels: records, and the loops of the schedules that they speak of."""
