"""What can go wrong in the cost model, as one small tree."""


class CostModelError(Exception):
    """Base of everything this package raises on purpose."""


class InputError(CostModelError, ValueError):
    """A person gave something that cannot be right; the message says what would be."""


class DeviceError(CostModelError, RuntimeError):
    """The compiler, a device or a file system let us down; the message says what to do."""
