import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kws.augmentation import Augmentation
from kws.errors import InputError

BATCH = torch.arange(1, 1 + 6 * 8 * 10, dtype=torch.float32).reshape(6, 1, 8, 10)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_by_default_nothing_is_changed():
    assert torch.equal(Augmentation().apply(BATCH, seeded()), BATCH)


@given(st.integers(1, 12), st.integers(0, 1000))
def test_a_shift_moves_every_row_alike_and_repeats_the_edge(frames, seed):
    shifted = Augmentation(time_shift_frames=frames).apply(BATCH, seeded(seed))
    for before, after in zip(BATCH[:, 0], shifted[:, 0], strict=True):
        candidates = [
            before[:, (torch.arange(10) + shift).clamp(0, 9)]
            for shift in range(-frames, frames + 1)
        ]
        assert any(torch.equal(after, candidate) for candidate in candidates)


@given(st.integers(1, 20), st.integers(0, 1000))
def test_masks_silence_one_run_of_at_most_their_length(most, seed):
    for setting, dimension in (("time_mask_frames", 1), ("frequency_mask", 0)):
        masked = Augmentation(**{setting: most}).apply(BATCH, seeded(seed))[:, 0]
        for before, after in zip(BATCH[:, 0], masked, strict=True):
            silent = (after == 0).all(dim=1 - dimension)
            places = silent.nonzero().flatten().tolist()
            assert len(places) <= most
            assert places == list(range(places[0], places[-1] + 1)) if places else True
            kept = [place for place in range(len(silent)) if place not in places]
            assert torch.equal(
                after.index_select(dimension, torch.tensor(kept, dtype=torch.int64)),
                before.index_select(dimension, torch.tensor(kept, dtype=torch.int64)),
            )


def test_changes_follow_from_the_seed_and_leave_the_batch_alone():
    augmentation = Augmentation(time_shift_frames=3, time_mask_frames=3, frequency_mask=3)
    before = BATCH.clone()
    first = augmentation.apply(BATCH, seeded(1))
    assert torch.equal(first, augmentation.apply(BATCH, seeded(1)))
    assert not torch.equal(first, augmentation.apply(BATCH, seeded(2)))
    assert torch.equal(BATCH, before)


@pytest.mark.parametrize("name", ["time_shift_frames", "time_mask_frames", "frequency_mask"])
def test_negative_settings_are_refused(name):
    with pytest.raises(InputError, match=f"{name} is -1; whole numbers from 0"):
        Augmentation(**{name: -1})
