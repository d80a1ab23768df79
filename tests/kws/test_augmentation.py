import pytest

from kws.augmentation import AUGMENTATIONS, Augmentation
from kws.errors import InputError


def test_the_sets_by_name_change_nothing_the_features_or_all():
    assert AUGMENTATIONS["none"] == Augmentation()
    assert not AUGMENTATIONS["features"].changes_sound
    assert AUGMENTATIONS["sound"].changes_sound


@pytest.mark.parametrize("name", ["time_shift_frames", "time_mask_frames", "frequency_mask"])
def test_negative_settings_are_refused(name):
    with pytest.raises(InputError, match=f"{name} is -1; whole numbers from 0"):
        Augmentation(**{name: -1})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"speed": 0.6}, "speed is 0.6; 0 to 0.5 is allowed"),
        ({"noise_share": -0.1}, "noise_share is -0.1; 0 to 1 is allowed"),
        ({"noise_share": float("nan")}, "noise_share is nan"),
        ({"noise_snr_db": (30.0, 0.0)}, "noise_snr_db is 30 to 0; -20 to 100, the lower first"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        Augmentation(**settings)
