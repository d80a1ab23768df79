import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.fft import idct

from kws import augmented
from kws.augmentation import AUGMENTATIONS, Augmentation
from kws.augmented import drawn
from kws.mfcc import dct_matrix

BATCH = torch.arange(1, 1 + 6 * 8 * 10, dtype=torch.float32).reshape(6, 1, 8, 10)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def augment_sound(samples, noise, augmentation, generator):
    starts = len(noise) - samples.shape[1]
    draws = drawn(augmentation, generator, clips=len(samples), starts=starts, frames=1, bands=1)
    return augmented.augment_sound(samples, noise, draws)


def augment_features(batch, augmentation, generator, *, bands):
    clips, _, coefficients, frames = batch.shape
    draws = drawn(augmentation, generator, clips=clips, starts=1, frames=frames, bands=bands)
    dct = torch.from_numpy(dct_matrix(bands, coefficients))
    return augmented.augment_features(batch, dct, draws)


def test_what_is_not_changed_needs_no_numbers_and_what_is_has_them_for_every_clip():
    sizes = {"clips": 3, "starts": 10, "frames": 32, "bands": 40}
    assert drawn(Augmentation(), seeded(), **sizes) == {}
    assert list(drawn(AUGMENTATIONS["features"], seeded(), **sizes)) == [
        "frame_shift", "masked_frames", "masked_frames_from", "masked_bands", "masked_bands_from",
    ]  # fmt: skip
    draws = drawn(AUGMENTATIONS["sound"], seeded(), **sizes)
    assert {(numbers.shape, numbers.dtype) for numbers in draws.values()} == {
        (torch.Size([3, 1]), torch.float64)
    }


def test_a_place_in_hours_of_noise_is_not_rounded():
    starts, loud = 2**31, Augmentation(noise_share=1.0)
    draws = drawn(loud, seeded(4), clips=50, starts=starts, frames=1, bands=1)
    expected = torch.randint(0, starts, (50, 1), generator=seeded(4))
    assert torch.equal(draws["noise_start"].long(), expected)
    assert (expected > 2**24).any()  # beyond which float32 rounds


def test_by_default_nothing_is_changed():
    assert torch.equal(augment_features(BATCH, Augmentation(), seeded(), bands=8), BATCH)


@given(st.integers(1, 12), st.integers(0, 1000))
def test_a_shift_moves_every_row_alike_and_repeats_the_edge(frames, seed):
    shifted = augment_features(BATCH, Augmentation(time_shift_frames=frames), seeded(seed), bands=8)
    for before, after in zip(BATCH[:, 0], shifted[:, 0], strict=True):
        candidates = [
            before[:, (torch.arange(10) + shift).clamp(0, 9)]
            for shift in range(-frames, frames + 1)
        ]
        assert any(torch.equal(after, candidate) for candidate in candidates)


@given(st.integers(1, 20), st.integers(0, 1000))
def test_a_time_mask_silences_one_run_of_at_most_its_length(most, seed):
    masked = augment_features(BATCH, Augmentation(time_mask_frames=most), seeded(seed), bands=8)[
        :, 0
    ]
    for before, after in zip(BATCH[:, 0], masked, strict=True):
        check_one_run(before.T, after.T, most)


@given(st.integers(1, 20), st.integers(0, 1000))
def test_a_frequency_mask_silences_one_run_of_mel_bands(most, seed):
    masked = augment_features(BATCH, Augmentation(frequency_mask=most), seeded(seed), bands=8)[:, 0]
    for before, after in zip(BATCH[:, 0], masked, strict=True):
        bands = [torch.from_numpy(idct(x.numpy(), axis=0, norm="ortho")) for x in (before, after)]
        bands[1][bands[1].abs() < 1e-3] = 0
        check_one_run(*bands, most)


def check_one_run(before, after, most):
    silent = (after == 0).all(dim=1)
    places = silent.nonzero().flatten().tolist()
    assert len(places) <= most
    assert places == list(range(places[0], places[-1] + 1)) if places else True
    torch.testing.assert_close(after[~silent], before[~silent], atol=1e-2, rtol=1e-4)


def test_with_fewer_coefficients_than_bands_a_mask_of_nothing_changes_nothing():
    batch, augmentation = BATCH[:1, :, :4], Augmentation(frequency_mask=1)
    masked = [augment_features(batch, augmentation, seeded(seed), bands=8) for seed in range(20)]
    unchanged = [torch.allclose(each, batch, atol=1e-2) for each in masked]
    assert masked[0].shape == (1, 1, 4, 10)
    assert 0 < sum(unchanged) < 20


TIME = torch.arange(16_000) / 16_000
TONES = torch.stack([0.5 * torch.sin(2 * torch.pi * hertz * TIME) for hertz in (300, 500, 900)])
NOISE = torch.randn(40_000, generator=seeded(9)) * 0.1


def pitch_hz(samples):
    """By the strongest line of the spectrum of the middle half second."""
    middle = samples[:, 4_000:12_000] * torch.hann_window(8_000)
    return torch.fft.rfft(middle, n=64_000).abs().argmax(dim=1) * 0.25


def test_speed_moves_the_pitch_within_its_bounds():
    changed = augment_sound(TONES, NOISE, Augmentation(speed=0.1), seeded(3))
    factors = pitch_hz(changed) / pitch_hz(TONES)
    assert ((factors >= 0.899) & (factors <= 1.101)).all()
    assert len(set(factors.tolist())) == 3


@given(st.integers(1, 900), st.integers(0, 100))
def test_a_shift_of_the_sound_moves_it_and_lets_silence_in(milliseconds, seed):
    click = torch.zeros(1, 16_000)
    click[0, 8_000] = 1.0
    moved = augment_sound(
        click, NOISE, Augmentation(time_shift_ms=float(milliseconds)), seeded(seed)
    )
    places = moved[0].nonzero().flatten()
    assert moved.sum() <= 1.001
    if len(places):
        assert (places - 8_000).abs().max() <= milliseconds * 16 + 1
        assert abs(float(moved.sum()) - 1) < 1e-2 or places.max() == 15_999 or places.min() == 0


def test_noise_comes_at_the_ratio_asked_for_and_in_the_share_asked_for():
    clips = TONES.repeat(100, 1)
    settings = Augmentation(noise_share=0.5, noise_snr_db=(6.0, 12.0))
    added = augment_sound(clips, NOISE, settings, seeded()) - clips
    noisy = added.abs().amax(dim=1) > 0
    assert 110 < int(noisy.sum()) < 190
    ratio_db = 10 * torch.log10(clips.square().mean(dim=1) / added.square().mean(dim=1))[noisy]
    assert 5.99 < ratio_db.min() < 6.5
    assert 11.5 < ratio_db.max() < 12.01


def test_loudness_is_one_factor_a_clip():
    changed = augment_sound(TONES, NOISE, Augmentation(loudness_db=6.0), seeded())
    factors = changed[:, 1:].norm(dim=1) / TONES[:, 1:].norm(dim=1)
    torch.testing.assert_close(changed, TONES * factors[:, None])
    assert ((factors > 0.5) & (factors < 2)).all()


def test_the_sound_of_a_silent_clip_with_noise_is_finite_and_quiet():
    settings = Augmentation(noise_share=1.0, speed=0.1, time_shift_ms=50.0, loudness_db=3.0)
    changed = augment_sound(torch.zeros(2, 16_000), NOISE, settings, seeded())
    assert changed.isfinite().all()
    assert 0 < changed.abs().max() < 1e-2


def test_changes_of_the_sound_follow_from_the_seed_and_leave_the_batch_alone():
    settings = Augmentation(noise_share=0.7, speed=0.1, time_shift_ms=50.0, loudness_db=3.0)
    before = TONES.clone()
    first = augment_sound(TONES, NOISE, settings, seeded(1))
    assert torch.equal(first, augment_sound(TONES, NOISE, settings, seeded(1)))
    assert not torch.equal(first, augment_sound(TONES, NOISE, settings, seeded(2)))
    assert torch.equal(TONES, before)
    assert settings.changes_sound
    assert not Augmentation(time_shift_frames=2, frequency_mask=3).changes_sound


def test_changes_follow_from_the_seed_and_leave_the_batch_alone():
    augmentation = Augmentation(time_shift_frames=3, time_mask_frames=3, frequency_mask=3)
    before = BATCH.clone()
    first = augment_features(BATCH, augmentation, seeded(1), bands=8)
    assert torch.equal(first, augment_features(BATCH, augmentation, seeded(1), bands=8))
    assert not torch.equal(first, augment_features(BATCH, augmentation, seeded(2), bands=8))
    assert torch.equal(BATCH, before)
