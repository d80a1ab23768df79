"""Sound to features on a device: MFCC as a kernel beside those of the network.

The caller says what is multiplied with what; nothing here knows where the numbers come from.
Shapes: S samples, N samples of a frame's window, W frames, B mel bands, H coefficients.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from costmodel.errors import InputError
from costmodel.kernels import Array, TvmKernel
from costmodel.mfcc.loops import function_text
from costmodel.runners.contract import KernelJob
from costmodel.schedules.registry import points
from costmodel.target import CpuTarget, Target

SMALLEST_WINDOW, LARGEST_WINDOW = 8, 16384
"""Samples of a frame that the transform is written for, all powers of two between them."""


@dataclass(frozen=True, kw_only=True, eq=False)
class MfccPlan:
    """How features [H, W] come from samples [S], everything in float32.

    Frame w is centred on sample w x hop, the sound being continued by zeros. Its spectrum's power
    is summed into bands, taken to decibels (never below ``smallest_power``, nor further than
    ``range_db`` below the loudest band of any frame), turned by ``cosines``, and normalised.

    Raises:
        InputError: for a window whose length is no power of two in the range, or arrays that do
            not go together.

    """

    samples: int
    window: Array
    """[N], what each sample of a frame is multiplied with."""
    hop: int
    """Samples from frame to frame."""
    mel: Array
    """[B, N / 2 + 1], the share of each frequency in each band."""
    cosines: Array
    """[H, B]."""
    mean: Array
    """[H], taken away from the coefficients."""
    std: float
    """Then they are divided by it."""
    smallest_power: float = 1e-10
    range_db: float = 80.0

    def __post_init__(self) -> None:
        length = len(self.window)
        if length & (length - 1) or not SMALLEST_WINDOW <= length <= LARGEST_WINDOW:
            raise InputError(
                f"features are computed on a device from windows of 8, 16, 32, ... "
                f"{LARGEST_WINDOW} samples; this model's have {length}: train one with such a "
                "window, or compute its features where there is a CPU with Python"
            )
        bands = (len(self.mel), length // 2 + 1)
        coefficients = (len(self.mean), len(self.mel))
        if self.mel.shape != bands or self.cosines.shape != coefficients:
            raise InputError(
                f"mel bands {self.mel.shape} and cosines {self.cosines.shape} do not go with a "
                f"window of {length} and {len(self.mean)} means"
            )

    @property
    def layout(self) -> MfccLayout:
        """What the kernel's code depends on."""
        return MfccLayout(
            samples=self.samples,
            window=len(self.window),
            hop=self.hop,
            bands=tuple(_support(row) for row in self.mel),
            coefficients=len(self.mean),
            smallest_power=self.smallest_power,
            range_db=self.range_db,
        )

    def constants(self) -> tuple[Array, ...]:
        """What the kernel takes between samples and features: see `MfccLayout.constant_shapes`."""
        layout = self.layout
        weights = [row[low:high] for row, (low, high) in zip(self.mel, layout.bands, strict=True)]
        arrays = (
            self.window,
            np.concatenate([_twiddles(layout), _unpacking(layout)]),
            np.concatenate([*weights, np.zeros(1, np.float32)]),  # C has no empty arrays
            self.cosines / self.std,
            -self.mean / self.std,
        )
        return tuple(np.ascontiguousarray(array, np.float32) for array in arrays)


@dataclass(frozen=True, kw_only=True)
class MfccLayout:
    """Extents of an MFCC; see `MfccPlan`."""

    samples: int
    window: int
    hop: int
    bands: tuple[tuple[int, int], ...]
    """First frequency of each band, and the one after its last; equal for an empty band."""
    coefficients: int
    smallest_power: float
    range_db: float

    @property
    def frames(self) -> int:
        """W: every hop a frame, the first at sample 0."""
        return 1 + self.samples // self.hop

    @property
    def points(self) -> int:
        """Of the complex transform, whose real part are a frame's even samples."""
        return self.window // 2

    @property
    def radices(self) -> tuple[int, ...]:
        """What the transform's points are split by, pass by pass: fours, and a two at the end."""
        bits = self.points.bit_length() - 1
        return (4,) * (bits // 2) + (2,) * (bits % 2)

    @property
    def constant_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Window, roots of one, weights of all bands, cosines and offsets.

        Flat, but the cosines [H, B]; normalisation is in these and in the offsets [H].
        """
        twiddles = sum(2 * (r - 1) * span // r for r, span in self.spans if span > r)
        weights = sum(high - low for low, high in self.bands) + 1
        return (
            (self.window,),
            (twiddles + 2 * (self.points // 2),),
            (weights,),
            (self.coefficients, len(self.bands)),
            (self.coefficients,),
        )

    @property
    def spans(self) -> list[tuple[int, int]]:
        """Each pass: its radix, and the points that it splits into so many parts."""
        found, span = [], self.points
        for radix in self.radices:
            found.append((radix, span))
            span //= radix
        return found


def mfcc_kernel(plan: MfccPlan, target: CpuTarget) -> TvmKernel:
    """The kernel that takes samples [S] and ``plan.constants()`` to features [H, W, 1]."""
    layout = plan.layout
    return TvmKernel(
        name="mfcc",
        function=function_text(layout, target.vector_lanes),
        input_shapes=((layout.samples,),),
        constant_shapes=layout.constant_shapes,
        output_shape=(layout.coefficients, layout.frames, 1),
    )


def mfcc_job(plan: MfccPlan, target: Target) -> KernelJob:
    """The features as a job for any runner; InputError where they are not made on the device."""
    if not isinstance(target, CpuTarget):
        raise InputError("features are computed by a processor, this target is a GPU")
    kernel = mfcc_kernel(plan, target)
    (schedule,) = points(kernel, target)
    return KernelJob(kernel, schedule, target)


def _support(row: Array) -> tuple[int, int]:
    """Where a band begins and ends."""
    (places,) = np.nonzero(row)
    return (int(places[0]), int(places[-1]) + 1) if len(places) else (0, 0)


def _twiddles(layout: MfccLayout) -> npt.NDArray[np.float64]:
    """For each pass but the last, place by place, cosine and sine of 1, 2, ... times its angle."""
    roots = []
    for radix, span in layout.spans:
        if span > radix:
            place, part = np.meshgrid(np.arange(span // radix), np.arange(1, radix), indexing="ij")
            roots.append(_roots(place * part, span))
    return np.concatenate([*roots, np.empty(0)])


def _unpacking(layout: MfccLayout) -> npt.NDArray[np.float64]:
    """For frequencies 1 to N / 4, cosine and sine of their angle."""
    return _roots(np.arange(1, layout.points // 2 + 1), layout.window)


def _roots(turns: npt.NDArray[np.int64], whole: int) -> npt.NDArray[np.float64]:
    angles = 2 * math.pi * turns / whole
    return np.stack([np.cos(angles), np.sin(angles)], axis=-1).ravel()
