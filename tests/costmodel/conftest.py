"""One calibration from a formula, made once for all tests of this room, and where it is kept."""

import pytest
from boards import board_target, emulator_of
from drawing import BOARD, make_target, sample_network
from formula_runner import SETTINGS, FormulaRunner

from costmodel.calibration.calibrate import calibrate
from costmodel.calibration.store import save_calibration
from costmodel.profile import ProfileFile, ProfileStore
from costmodel.protocol import Protocol


@pytest.fixture(scope="session")
def calibrated(tmp_path_factory):
    """The result, the runner that was asked and the journal, for `make_target(8)`."""
    journal, runner = tmp_path_factory.mktemp("calibration") / "journal.jsonl", FormulaRunner()
    result = calibrate(
        make_target(8),
        runner,
        sample_network,
        protocol=Protocol(),
        settings=SETTINGS,
        journal_path=journal,
    )
    return result, runner, journal


@pytest.fixture
def store(tmp_path):
    return ProfileStore([tmp_path / "user"])


@pytest.fixture
def profile(store):
    return store.save(ProfileFile.model_validate({**BOARD, "target": make_target(8)}))


@pytest.fixture
def saved(store, profile, calibrated, tmp_path):
    result, _, journal = calibrated
    copy = tmp_path / "journal.jsonl"
    copy.write_bytes(journal.read_bytes())
    return save_calibration(store, profile, result, space="test", journal=copy)


@pytest.fixture(scope="module")
def target():
    """Of programs that this machine runs as a board would."""
    target = board_target("x86-64")
    if emulator_of(target):
        pytest.skip("this machine is no x86-64")
    return target
