import pickle

import pytest
import torch

from kws.checkpoint import Checkpoint, CurvePoint, load_checkpoint, save_checkpoint, save_torch
from kws.errors import InputError
from kws.evaluation import Accuracy

RUN = {"architecture": "3x3,4", "seed": "0"}


@pytest.fixture
def saved(tmp_path):
    curve = (
        CurvePoint(5, 2.25, None),
        CurvePoint(7, 1.5, Accuracy(correct_top1=1, correct_top5=2, clips=3)),
    )
    checkpoint = Checkpoint(
        fingerprint=RUN,
        iteration=7,
        seconds=1.5,
        module={"weight": torch.arange(3.0)},
        optimiser={"state": {0: {"step": torch.tensor(7.0)}}},
        kept={"average": None, "best": None},
        loss_sum=torch.tensor(0.5),
        curve=curve,
    )
    save_checkpoint(tmp_path / "run.pt", checkpoint)
    return tmp_path / "run.pt", checkpoint


def test_what_is_saved_is_loaded(saved):
    path, checkpoint = saved
    loaded = load_checkpoint(path, RUN)
    assert loaded.iteration == 7
    assert loaded.curve == checkpoint.curve
    assert loaded.fingerprint == RUN
    assert torch.equal(loaded.module["weight"], torch.arange(3.0))


def test_an_older_checkpoint_survives_a_write_that_fails(saved):
    path, checkpoint = saved
    before = path.read_bytes()

    class Unsaveable:
        def __reduce__(self):
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        save_torch(path, {"version": 2, "module": Unsaveable(), "curve": checkpoint.curve})
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


class Attack:
    def __reduce__(self):
        return (print, ("this must never be printed",))


@pytest.mark.parametrize("kind", ["torch", "pickle"])
def test_code_in_a_checkpoint_is_never_run(tmp_path, kind, capsys):
    path = tmp_path / "run.pt"
    if kind == "torch":
        torch.save({"version": 1, "module": Attack()}, path)
    else:
        path.write_bytes(pickle.dumps(Attack(), protocol=2))
    with pytest.raises(InputError, match=r"cannot read .*delete it to begin this run again"):
        load_checkpoint(path, RUN)
    assert "never" not in capsys.readouterr().out


@pytest.mark.parametrize("size", [0, 1, 100, -1])
def test_a_cut_off_checkpoint_is_refused_in_one_line(saved, size):
    path, _ = saved
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(InputError, match="delete it to begin this run again") as caught:
        load_checkpoint(path, RUN)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("document", [{"version": 1}, {"version": 99}, {}, {"a": [1]}])
def test_what_is_no_checkpoint_is_refused(tmp_path, document):
    save_torch(tmp_path / "run.pt", document)
    with pytest.raises(InputError, match="checkpoint"):
        load_checkpoint(tmp_path / "run.pt", RUN)


def test_a_list_is_no_checkpoint(tmp_path):
    torch.save([1, 2], tmp_path / "run.pt")
    with pytest.raises(InputError, match="holds no dictionary"):
        load_checkpoint(tmp_path / "run.pt", RUN)
