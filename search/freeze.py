"""Which parameter settings the members of a front agree on: step 5 of the paper's Algorithm 1."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from search.space import Parameter, Space, Value


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

    @property
    def share(self) -> float:
        """Share of the front with this setting, in (0, 1]."""
        return self.count / self.front

    @property
    def margin(self) -> float:
        """Share of the front by which it won over the next most common setting, in [0, 1]."""
        return (self.count - self.runner_up) / self.front


def next_frozen(
    space: Space, front: Sequence[Mapping[str, Value]], how_many: int = 1
) -> tuple[Freeze, ...]:
    """The free parameters on which the front agrees most, ``how_many`` of them at most.

    Ordered by share, then margin, then the order of the space. Source: Anderson et al.,
    Performance-Oriented Neural Architecture Search (2019), Algorithm 1, step 5: "the most
    commonly observed setting". An empty front freezes nothing.
    """
    if not front:
        return ()
    choices = [most_common(parameter, front) for parameter in space.free]
    choices.sort(key=lambda choice: (-choice.share, -choice.margin))
    return tuple(choices[:how_many])


def most_common(parameter: Parameter, front: Sequence[Mapping[str, Value]]) -> Freeze:
    """The most common setting of one parameter; of equally common ones the first in the space."""
    counts = Counter(parameter.index(candidate[parameter.name]) for candidate in front)
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    index, count = ordered[0]
    runner_up = ordered[1][1] if len(ordered) > 1 else 0
    return Freeze(parameter.name, parameter.at(index), count, len(front), runner_up)
