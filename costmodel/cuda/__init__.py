"""CUDA kernels turned into machine code, and what that code needs, on a machine without a GPU."""
