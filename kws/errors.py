"""What can go wrong in keyword spotting, as one small tree."""


class KwsError(Exception):
    """Base of everything this package raises on purpose."""


class InputError(KwsError, ValueError):
    """A person gave something that cannot be right; the message says what would be."""


class MissingToolError(KwsError, RuntimeError):
    """A library or device this machine lacks; the message names the package that brings it."""


class StorageError(KwsError, OSError):
    """A file or folder could not be written, and nothing half-written is left of it."""
