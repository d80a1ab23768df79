"""Which parameter settings a front agrees on: step 5 of the paper's Algorithm 1, beyond chance."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from search.space import Parameter, Space, Value

LEVEL = 0.05
"""Probability that a phase freezes anything at all where every setting on its front is drawn
blindly; the customary one."""

NEGLIGIBLE = 1e-12
"""Share of a probability that may be left out of its sum."""


@dataclass(frozen=True)
class Freeze:
    """A parameter, the most common of its settings on the front, and how clear that was."""

    parameter: str
    value: Value
    count: int
    """Members of the front with this setting."""
    front: int
    """Members of the front."""
    runner_up: int
    """Members with the next most common setting; 0 where all agree."""
    chance: float | None = None
    """Probability of such a margin where settings are drawn blindly; None where not looked at."""

    @property
    def share(self) -> float:
        """Share of the front with this setting, in (0, 1]."""
        return self.count / self.front

    @property
    def margin(self) -> float:
        """Share of the front by which it won over the next most common setting, in [0, 1]."""
        return (self.count - self.runner_up) / self.front


@dataclass(frozen=True, kw_only=True)
class Judged(Freeze):
    """A parameter that was looked at when a phase ended."""

    frozen: bool
    reason: str
    """Why it was frozen or not, for people."""


def judge(
    space: Space, front: Sequence[Mapping[str, Value]], *, at_most: int | None, always: bool
) -> tuple[Judged, ...]:
    """Says of every free parameter whether it is to be frozen; the most agreed on come first.

    Their order is that of share, then margin, then the space. A parameter is frozen when its
    margin is beyond `chance_of_margin`, with Holm's correction over those that are free, at
    `LEVEL`; so is one with a single setting, of which nothing is left to be found.

    Args:
        space: Its free parameters are judged.
        front: The candidates on the front; an empty one freezes nothing and gives ().
        at_most: Parameters to be frozen; None for every one that is clear.
        always: Whether the most agreed on is frozen in any case, as the paper does. Source:
            Anderson et al., Performance-Oriented Neural Architecture Search (2019), Algorithm 1,
            step 5: "the most commonly observed setting".

    """
    if not front:
        return ()
    found = [most_common(parameter, front) for parameter in space.free]
    found.sort(key=lambda choice: (-choice.share, -choice.margin))
    clear = _clear(space, found)
    judged: list[Judged] = []
    left = len(found) if at_most is None else at_most
    for choice in found:
        is_clear, is_asked = choice.parameter in clear, always and not judged
        frozen = left > 0 and (is_clear or is_asked)
        left -= frozen
        single = space.parameter(choice.parameter).count == 1
        told = _reason(choice, is_clear, len(found), frozen=frozen)
        reason = "its only setting" if single else told
        judged.append(Judged(**vars(choice), frozen=frozen, reason=reason))
    return tuple(judged)


def most_common(parameter: Parameter, front: Sequence[Mapping[str, Value]]) -> Freeze:
    """The most common setting of one parameter; of equally common ones the first in the space."""
    counts = Counter(parameter.index(candidate[parameter.name]) for candidate in front)
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    index, count = ordered[0]
    runner_up = ordered[1][1] if len(ordered) > 1 else 0
    chance = chance_of_margin(len(front), parameter.count, count - runner_up)
    return Freeze(parameter.name, parameter.at(index), count, len(front), runner_up, chance)


@lru_cache(maxsize=4096)
def chance_of_margin(members: int, settings: int, margin: int) -> float:
    """Probability that the most common setting is ``margin`` members or more before the next.

    Where each of the ``members`` draws one of the ``settings`` blindly. Exact but for rounding:
    the sum, over how many members c have the winner, of the winner's share times the chance that
    no other setting has more than c - margin. The counts of the others are independent Poisson
    numbers on the condition that they add up (their joint law is the multinomial one), so the
    law of their sum is a convolution, and nothing in it cancels.
    """
    if margin <= 0 or settings == 1:
        return 1.0
    fewest = max(margin, -(-(members + (settings - 1) * margin) // settings))
    counts = np.arange(fewest, members + 1)
    logs = _log_factorials(members)
    ways = logs[members] - logs[counts] - logs[members - counts]
    blind = -counts * math.log(settings) + (members - counts) * math.log1p(-1 / settings)
    winners = settings * np.exp(ways + blind)
    total = 0.0
    for count, winner, left in zip(counts, winners, np.cumsum(winners[::-1])[::-1], strict=True):
        if left <= NEGLIGIBLE * total:
            break
        others = _chance_of_at_most(int(members - count), settings - 1, int(count - margin))
        total += float(winner) * others
    return min(1.0, total)


def _chance_of_at_most(members: int, settings: int, most: int) -> float:
    """Probability that none of the settings, drawn blindly, is had by more than ``most``."""
    if members <= most:
        return 1.0
    # Any rate would do; with this one the numbers stay far from those too small for a float.
    one = _poisson(most, members / settings)
    together = _poisson(members, members)[members]
    return float(_power(one, settings, members + 1)[members] / together)


def _poisson(most: int, rate: float) -> NDArray[np.float64]:
    """The law of a Poisson number, from 0 to ``most``."""
    counts = np.arange(most + 1)
    found: NDArray[np.float64] = np.exp(counts * math.log(rate) - rate - _log_factorials(most))
    return found


def _log_factorials(most: int) -> NDArray[np.float64]:
    return np.cumsum(np.log(np.maximum(1, np.arange(most + 1))))


def _power(base: NDArray[np.float64], exponent: int, length: int) -> NDArray[np.float64]:
    """The first ``length`` coefficients of a polynomial's power, by repeated squaring."""
    result = np.ones(1)
    while exponent:
        if exponent % 2:
            result = np.convolve(result, base)[:length]
        base = np.convolve(base, base)[:length]
        exponent //= 2
    return np.pad(result, (0, length - len(result)))


def _clear(space: Space, found: Sequence[Freeze]) -> set[str]:
    """The parameters whose margin is beyond chance. Source: Holm, Scand. J. Statist. 6 (1979)."""
    clear = {each.parameter for each in found if space.parameter(each.parameter).count == 1}
    tested = sorted(
        (each for each in found if each.parameter not in clear), key=lambda each: each.chance or 0.0
    )
    for place, each in enumerate(tested):
        if (each.chance or 0.0) > LEVEL / (len(tested) - place):
            break
        clear.add(each.parameter)
    return clear


def _reason(choice: Freeze, is_clear: bool, looked_at: int, *, frozen: bool) -> str:
    next_one = f", next {choice.runner_up}" if choice.runner_up else ""
    agreed = f"{choice.count} of {choice.front} on the front{next_one}"
    cases = f"in {_percent(choice.chance or 0.0)} % of cases"
    if not is_clear:
        each = f" for each of the {looked_at} parameters" if looked_at > 1 else ""
        told = f"{agreed}: not beyond chance, which alone would do that {cases}{each}"
        return f"{told}; frozen all the same, as asked" if frozen else told
    told = f"{agreed}: chance alone would do that {cases}"
    return told if frozen else f"{told}; not frozen: enough are in this phase"


def _percent(chance: float) -> str:
    percent = 100 * chance
    if percent < 0.001:
        return "less than 0.001"
    return f"{percent:.0f}" if percent >= 10 else f"{percent:.2g}"
