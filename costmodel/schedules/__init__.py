"""Schedule families: how a kernel's loops run on a target."""
