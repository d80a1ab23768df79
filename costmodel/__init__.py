"""Network description -> lowered kernels -> features -> latency, and its calibration."""
