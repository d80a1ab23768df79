"""How training clips may be changed: settings, and sets of them by name."""

from __future__ import annotations

from dataclasses import dataclass

from kws.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """How far each clip of a batch may be changed; the default changes nothing.

    Raises:
        InputError: for a setting out of range.

    """

    time_shift_frames: int = 0
    """Most frames by which features move to the left or right; the edge frame is repeated."""

    time_mask_frames: int = 0
    """Most consecutive frames set to the mean (SpecAugment, Park et al. 2019)."""

    frequency_mask: int = 0
    """Most consecutive mel bands set to the mean (SpecAugment)."""

    speed: float = 0.0
    """Largest change of speed, pitch included: with 0.1 a clip is 0.9 to 1.1 times as fast."""

    time_shift_ms: float = 0.0
    """Most milliseconds by which the sound moves; silence comes in."""

    loudness_db: float = 0.0
    """Largest change of loudness, up or down."""

    noise_share: float = 0.0
    """Share of the clips that get background noise."""

    noise_snr_db: tuple[float, float] = (0.0, 30.0)
    """Lowest and highest ratio of the clip's mean power to the noise's."""

    def __post_init__(self) -> None:
        for name in ("time_shift_frames", "time_mask_frames", "frequency_mask"):
            value = getattr(self, name)
            if type(value) is not int or value < 0:
                raise InputError(
                    f"augmentation {name} is {value!r}; whole numbers from 0 are allowed"
                )
        for name, most in (
            ("speed", 0.5), ("time_shift_ms", 1000.0), ("loudness_db", 60.0), ("noise_share", 1.0)
        ):  # fmt: skip
            value = getattr(self, name)
            if not 0 <= value <= most:
                raise InputError(f"augmentation {name} is {value!r}; 0 to {most:g} is allowed")
        low, high = self.noise_snr_db
        if not -20 <= low <= high <= 100:
            raise InputError(
                f"augmentation noise_snr_db is {low:g} to {high:g}; -20 to 100, the lower first, "
                "is allowed"
            )

    @property
    def changes_sound(self) -> bool:
        """Whether features must be computed anew for each batch."""
        return bool(self.speed or self.time_shift_ms or self.loudness_db or self.noise_share)


AUGMENTATIONS = {
    "none": Augmentation(),
    "features": Augmentation(time_shift_frames=3, time_mask_frames=2, frequency_mask=4),
    "sound": Augmentation(
        speed=0.1,
        time_shift_ms=100.0,
        loudness_db=3.0,
        noise_share=0.5,
        noise_snr_db=(10.0, 40.0),
        time_mask_frames=2,
        frequency_mask=4,
    ),
}
"""By name: nothing, as in the paper; what features alone allow; all."""
