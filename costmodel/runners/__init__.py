"""How kernels reach a device and times come back."""
