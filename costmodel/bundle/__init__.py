"""A calibration carried to a machine that nothing connects to: a folder out, a file back."""
