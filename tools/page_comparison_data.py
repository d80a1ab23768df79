"""What a page shows of a comparison of objectives, as plain data; see `tools.page_data`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tools.page_data import Candidate, Device


@dataclass(frozen=True, kw_only=True)
class ComparedFront:
    """The fronts that one objective led to."""

    name: str
    """What the searches minimised beside the error: ``operations``, ``latency``."""

    candidates: tuple[Candidate, ...]
    """Of the members of all runs those that none of them betters."""

    runs: tuple[tuple[Candidate, ...], ...] = ()
    """The members run by run, in the order of `Comparison.seeds`; empty where there is one run."""

    attained: tuple[tuple[float, float], ...] = ()
    """Steps (ms, share wrong) of what half of the runs attain; see `tools.comparison.attained`."""


@dataclass(frozen=True, kw_only=True)
class Spread:
    """A figure over seeds."""

    median: float
    """Of one value a seed."""

    low: float
    """Where an interval for the median of all seeds begins."""

    high: float
    """Where it ends."""

    coverage: float
    """Probability with which such an interval holds that median; 0 of one seed."""

    n: int
    """Seeds."""


@dataclass(frozen=True, kw_only=True)
class RankCorrelation:
    """How well one number orders networks as measured latency does."""

    of: str
    """What orders them: ``operations``, ``prediction``."""

    spearman: float | None
    """Spearman's coefficient over all networks, in [-1, 1]."""

    kendall: float | None = None
    """Kendall's tau-b over all networks, in [-1, 1]."""

    networks: int
    """How many networks were ordered."""

    narrow_spearman: float | None = None
    """Spearman's coefficient within narrow bands of operations."""

    narrow_kendall: float | None = None
    """Kendall's coefficient over pairs alike in operations."""

    ordered_rightly: float | None = None
    """Share of those pairs that are ordered rightly."""


@dataclass(frozen=True, kw_only=True)
class EqualAccuracy:
    """The fastest network of each front that is at least so accurate."""

    error: float
    """Largest error allowed."""

    latency_ms: tuple[float | None, ...]
    """One a front, the median over the seeds in which all have one; None where there is none."""

    ratio: Spread | None = None
    """How many times as fast the last front's is as the first one's, paired by seed."""

    ratios: tuple[float, ...] = ()
    """The same, seed by seed, of those where both have such a member."""


@dataclass(frozen=True, kw_only=True)
class Hypervolume:
    """The hypervolume of a front in error and measured latency."""

    name: str
    """The front's, or which difference it is."""

    spread: Spread
    """Over seeds."""

    runs: tuple[float, ...]
    """Seed by seed."""


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What the fronts are worth by the error on one set of clips."""

    clips: str
    """Which clips: ``validation clips, after fine-tuning``."""

    verdict: str
    """What is shown, in a sentence."""

    ratio: Spread | None = None
    """How many times as fast, over all levels of error."""

    equal_accuracy: tuple[EqualAccuracy, ...] = ()
    """Latency at equal accuracy, row by row."""

    hypervolumes: tuple[Hypervolume, ...] = ()
    """One a front."""

    gain: Spread | None = None
    """The last front's hypervolume less the first one's, paired by seed."""

    hypervolume_note: str = ""
    """Unit and reference point of the hypervolumes."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two objectives for the same device side by side."""

    device: Device
    """The device that all were measured on."""

    fronts: tuple[ComparedFront, ...]
    """The fronts, at least two."""

    seeds: tuple[int, ...] = ()
    """Seeds of the searches that were compared."""

    judgements: tuple[Judgement, ...] = ()
    """By the error on the validation clips first, then on clips that nothing was chosen by."""

    ranks: tuple[RankCorrelation, ...] = ()
    """What predicts measured latency how well."""

    narrow_note: str = ""
    """What counts as alike in operations, and how many pairs there are."""

    notes: tuple[str, ...] = ()
    """What else is to be known: the data, the budget, members left out."""
