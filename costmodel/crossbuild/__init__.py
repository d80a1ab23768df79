"""Kernels cross-compiled for a board, as one static program that needs nothing there."""
