import pytest

from costmodel.calibration.settings import Progress


@pytest.mark.parametrize(
    ("error", "seconds", "note"),
    [
        (None, None, ""),
        (0.0312, None, "error 3.1%"),
        (None, 59.7, "1:00 left"),
        (0.2, 125.0, "error 20.0%, 2:05 left"),
    ],
)
def test_a_note_says_what_is_known(error, seconds, note):
    assert Progress("kernels", 3, 9, error, seconds).note == note
