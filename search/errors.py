"""What can go wrong in a search, as one small tree."""


class SearchError(Exception):
    """Base of everything this package raises on purpose."""


class InputError(SearchError, ValueError):
    """A person gave something that cannot be right; the message says what would be."""


class StudyError(SearchError, RuntimeError):
    """The disk, the study file or the objectives let us down; the message says what to do."""


class SpaceExhaustedError(SearchError):
    """Every candidate that the space (with its frozen settings) holds has been suggested."""
