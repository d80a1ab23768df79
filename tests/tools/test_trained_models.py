import pytest
from finetuned_study import FRONT, finetuned_study
from tones import tone_place

from kws.errors import InputError
from search.recorder import StudyRecorder
from search.study import FineTuned
from tools.job import models_dir
from tools.trained_models import find_model, find_models


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tone_place(tmp_path_factory.getbasetemp())


@pytest.fixture
def study(tmp_path, place):
    return finetuned_study(tmp_path / "a.study", place / "two.pt", place / "data")


def test_the_lowest_validation_error_is_meant_where_nothing_is_said(study, place):
    found = find_model(study)
    assert (found.trial, found.error) == (1, 0.125)
    assert str(found.model.architecture) == "3x3,8 3x3,8"
    assert found.name == "trial-00001"
    assert found.data == str(place / "data")


@pytest.mark.parametrize(
    ("which", "trial"),
    [("0", 0), ("2", 2), ("00002", 2), ("2x4,9 3x3,5", 2), (" 3x3,6/1x2  1x1,4 ", 0)],
)
def test_a_number_or_an_architecture_says_which(study, which, trial):
    found = find_model(study, which)
    assert found.trial == trial
    assert str(found.model.architecture) == list(FRONT)[trial]


def test_all_of_a_study_are_its_front_by_trial(study):
    assert [found.trial for found in find_models(study)] == [0, 1, 2]


def test_a_file_is_one_model(place):
    [found] = find_models(place / "two.pt")
    assert (found.name, found.trial, found.data) == ("two", None, None)
    assert found.model.words == ("low", "high")
    with pytest.raises(InputError, match=r"two\.pt is one model, so '3' says nothing of it"):
        find_model(place / "two.pt", "3")


@pytest.mark.parametrize("which", ["3", "3x3,7 1x1,4", "kws1"])
def test_what_is_not_there_is_answered_by_what_is(study, which):
    with pytest.raises(
        InputError, match=r"has those of the trials 0, 1, 2, shown by: ponas trials"
    ):
        find_model(study, which)


def test_a_model_that_trained_elsewhere_says_where(study):
    (models_dir(study) / "trial-00001.pt").unlink()
    with pytest.raises(InputError, match="trained on the machine 'far-away': copy it"):
        find_model(study)
    assert find_model(study, "0").trial == 0


def test_a_fine_tuning_that_failed_has_no_model(study):
    with StudyRecorder.open(study) as recorder:
        recorder.record_finetuned(FineTuned(1, "failed", {}, "now", "here", error="no"))
    assert find_model(study).trial == 2


def test_a_study_without_fine_tuning_says_how_to_get_models(tmp_path, place):
    path = tmp_path / "bare.study"
    finetuned_study(path, place / "two.pt", place / "data", finetuned=False)
    with pytest.raises(InputError, match="begin one with --finetune-iterations above 0"):
        find_model(path)
