"""`ponas estimate` says so where a calibrated prediction is under the roofline."""

from types import SimpleNamespace

import pytest

from tools.commands.estimate import _beats


@pytest.mark.parametrize(
    ("seconds", "beaten"),
    [((2e-6, 4e-6), True), ((9.4e-6, 20e-6), False), ((8e-6, 8e-6), True)],
    ids=["all", "one of two", "the sum counts"],
)
def test_the_sum_of_the_kernels_is_held_against_that_of_the_rooflines(seconds, beaten):
    kernels = [SimpleNamespace(seconds=s, roofline_seconds=10e-6) for s in seconds]
    assert _beats(SimpleNamespace(kernels=kernels)) is beaten
