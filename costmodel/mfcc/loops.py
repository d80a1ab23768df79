"""The loops of `costmodel.mfcc.kernel`, written in TVM.

Frames lie side by side in the lanes of vectors, so that every step of the transform, of the bands
and of the cosines is the same arithmetic on whole vectors, on any processor. The transform is one
of N / 2 complex points, in place, decimated in frequency (Gentleman and Sande, 1966), radix 4;
its results lie in digit-reversed order and are read from there.
"""

# ruff: noqa: ANN401 - TVM has no types
from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import tvm
from tvm import tirx

from costmodel.loopnest import LoopKind
from costmodel.mfcc.arithmetic import butterfly, decibels, power_of, turned_by
from costmodel.schedules.loops_tvm import argument, in_order, module, nest, private, store, when

if TYPE_CHECKING:
    from costmodel.mfcc.kernel import MfccLayout

_TILE = 4
"""Coefficients computed at a time: sums that do not wait for one another."""


@dataclass(frozen=True)
class _Buffers:
    """Arguments and the function's own memory; a lane is a frame."""

    sound: Any
    """Samples with zeros before and after."""
    real: Any
    imaginary: Any
    power: Any
    decibels: Any
    """[groups, bands, lanes]."""
    largest: Any
    """Decibels, of each lane; at last of all of them in the first."""
    totals: Any
    """Sums that are being made, [tile, lanes]."""


def function_text(layout: MfccLayout, lanes: int) -> str:
    """The function as JSON: samples, constants (see `MfccLayout.constant_shapes`), features."""
    return str(tvm.ir.save_json(mfcc_module(layout, lanes)["main"]))


def mfcc_module(layout: MfccLayout, lanes: int) -> tvm.IRModule:
    """Module with ``main(samples, window, roots, weights, cosines, offsets, out)``."""
    samples = argument("samples", (layout.samples,))
    names = ("window", "roots", "weights", "cosines", "offsets")
    constants = [
        argument(name, shape) for name, shape in zip(names, layout.constant_shapes, strict=True)
    ]
    window, roots, weights, cosines, offsets = constants
    out = argument("out", (layout.coefficients, layout.frames, 1))
    groups = -(-layout.frames // lanes)
    sizes = {
        "sound": max(layout.samples, (layout.frames - 1) * layout.hop) + layout.window,
        "real": layout.points * lanes,
        "imaginary": layout.points * lanes,
        "power": (layout.points + 1) * lanes,
        "decibels": groups * len(layout.bands) * lanes,
        "largest": lanes,
        "totals": _TILE * lanes,
    }
    registers = ("largest", "totals")
    made = [private(name, size, registers=name in registers) for name, size in sizes.items()]
    b = _Buffers(*(buffer for buffer, _ in made))
    steps = _Steps(layout, lanes, groups, b)

    def group(g: Any) -> Any:
        return in_order(
            steps.frames_in(g, window),
            *steps.transform(roots),
            *steps.powers(roots),
            *steps.bands(g, weights),
        )

    body = in_order(
        *(allocate for _, allocate in made),
        *steps.padded(samples),
        steps.each_lane(lambda lane: store(b.largest, -math.inf, lane)),
        nest([(groups, LoopKind.SERIAL)], group),
        *steps.limited(),
        steps.turned(cosines, offsets, out),
    )
    return module([samples, *constants, out], body)


@dataclass(frozen=True)
class _Steps:
    layout: MfccLayout
    lanes: int
    groups: int
    b: _Buffers

    def each_lane(self, body: Callable[[Any], Any]) -> Any:
        def lanes(lane: Any) -> Any:
            return body(lane)

        return nest([(self.lanes, LoopKind.VECTORIZED)], lanes)

    def padded(self, samples: Any) -> list[Any]:
        """The sound between zeros."""
        length, before = self.b.sound.shape[0], self.layout.points

        def zero(i: Any) -> Any:
            return store(self.b.sound, 0.0, i)

        def after(i: Any) -> Any:
            return store(self.b.sound, 0.0, before + self.layout.samples + i)

        def copy(i: Any) -> Any:
            return store(self.b.sound, samples[i], before + i)

        rest = int(length) - before - self.layout.samples
        serial = LoopKind.SERIAL
        return [
            nest([(before, serial)], zero),
            nest([(self.layout.samples, serial)], copy),
            nest([(rest, serial)], after),
        ]

    def frames_in(self, g: Any, window: Any) -> Any:
        """The windowed frames of a group; the last frame again where it has fewer than lanes."""

        def point(n: Any) -> Any:
            def both(lane: Any) -> Any:
                frame = g * self.lanes + lane
                if self.layout.frames % self.lanes:
                    frame = tirx.min(frame, self.layout.frames - 1)
                place = frame * self.layout.hop + n * 2
                return in_order(
                    store(self.b.real, self.b.sound[place] * window[n * 2],
                          n * self.lanes + lane),
                    store(self.b.imaginary, self.b.sound[place + 1] * window[n * 2 + 1],
                          n * self.lanes + lane),
                )  # fmt: skip

            return self.each_lane(both)

        return nest([(self.layout.points, LoopKind.SERIAL)], point)

    def transform(self, roots: Any) -> list[Any]:
        """All passes, in place."""
        passes, first = [], 0
        for radix, span in self.layout.spans:
            passes.append(self._pass(radix, span, roots, first))
            first += 2 * (radix - 1) * span // radix
        return passes

    def _pass(self, radix: int, span: int, roots: Any, first: int) -> Any:
        """Every ``span`` points into ``radix`` parts; its roots begin at ``first``."""
        part = span // radix

        def butterflies(block: Any, place: Any) -> Any:
            def one(lane: Any) -> Any:
                where = [
                    (block * span + place + i * part) * self.lanes + lane for i in range(radix)
                ]
                read, values = self._named([self.b.real, self.b.imaginary], where)
                made = butterfly([(values[i], values[radix + i]) for i in range(radix)])
                statements = list(read)
                for i, value in enumerate(made):
                    at = first + (place * (radix - 1) + i - 1) * 2
                    turned = turned_by(value, roots[at], roots[at + 1]) if i and part > 1 else value
                    statements += [
                        store(self.b.real, turned[0], where[i]),
                        store(self.b.imaginary, turned[1], where[i]),
                    ]
                return in_order(*statements)

            return self.each_lane(one)

        serial = LoopKind.SERIAL
        return nest([(self.layout.points // span, serial), (part, serial)], butterflies)

    def _named(self, buffers: Sequence[Any], where: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        """Numbers read before anything is written in their place."""
        variables, statements = [], []
        for buffer in buffers:
            for i, place in enumerate(where):
                variable = tirx.Var(f"{buffer.name[0]}{i}", "float32")
                variables.append(variable)
                statements.append(tirx.stmt.Bind(variable, buffer[place]))
        return statements, variables

    def powers(self, roots: Any) -> list[Any]:
        """The power of each frequency of the real frames, two at a time from both ends."""
        points, lanes = self.layout.points, self.lanes
        real, imaginary, power = self.b.real, self.b.imaginary, self.b.power
        first = int(roots.shape[0]) - 2 * (points // 2)

        def ends(lane: Any) -> Any:
            total, difference = real[lane] + imaginary[lane], real[lane] - imaginary[lane]
            return in_order(
                store(power, total * total, lane),
                store(power, difference * difference, points * lanes + lane),
            )

        def pair(before: Any) -> Any:
            low, high = before + 1, points - 1 - before
            places = [self._reversed(low) * lanes, self._reversed(high) * lanes]
            cosine, sine = roots[first + before * 2], roots[first + before * 2 + 1]

            def both(lane: Any) -> Any:
                read, (lr, hr, li, hi) = self._named(
                    [real, imaginary], [place + lane for place in places]
                )
                even = (lr + hr, li - hi)  # twice the spectrum of the even samples
                turned = turned_by((li + hi, hr - lr), cosine, sine)  # of the odd ones
                return in_order(
                    *read,
                    store(power, power_of(even, turned, plus=True), low * lanes + lane),
                    store(power, power_of(even, turned, plus=False), high * lanes + lane),
                )

            return self.each_lane(both)

        return [self.each_lane(ends), nest([(points // 2, LoopKind.SERIAL)], pair)]

    def _reversed(self, frequency: Any) -> Any:
        """Where the transform has left a frequency: its digits in the radices, last one first."""
        place: Any = 0
        for radix, span in self.layout.spans:
            place = place + tirx.floormod(frequency, radix) * (span // radix)
            frequency = tirx.floordiv(frequency, radix)
        return place

    def bands(self, g: Any, weights: Any) -> list[Any]:
        """Decibels of each band, and the largest so far."""
        lanes, count, out, largest = (
            self.lanes,
            len(self.layout.bands),
            self.b.decibels,
            self.b.largest,
        )
        statements, first = [], 0
        for band, (low, high) in enumerate(self.layout.bands):
            at = (g * count + band) * lanes
            statements.append(self._silence(at))
            if high > low:
                k = tirx.Var("k", "int32")
                body = self._add_frequency(at, low + k, weights[first + k])
                statements.append(tirx.For(k, 0, high - low, tirx.ForKind.SERIAL, body))
            first += high - low

        def row(band: Any) -> Any:
            def loudness(lane: Any) -> Any:
                at = (g * count + band) * lanes + lane
                smallest = tirx.const(self.layout.smallest_power, "float32")
                return in_order(
                    store(out, decibels(tirx.max(out[at], smallest)), at),
                    store(largest, tirx.max(largest[lane], out[at]), lane),
                )

            return self.each_lane(loudness)

        return [*statements, nest([(count, LoopKind.SERIAL)], row)]

    def _silence(self, at: Any) -> Any:
        return self.each_lane(lambda lane: store(self.b.decibels, 0.0, at + lane))

    def _add_frequency(self, at: Any, frequency: Any, weight: Any) -> Any:
        out, power = self.b.decibels, self.b.power

        def add(lane: Any) -> Any:
            read = power[frequency * self.lanes + lane]
            return store(out, out[at + lane] + read * weight, at + lane)

        return self.each_lane(add)

    def limited(self) -> list[Any]:
        """Nothing further below the loudest band of any frame than the range."""
        largest = self.b.largest

        def compare(lane: Any) -> Any:
            return store(largest, tirx.max(largest[0], largest[lane]), 0)

        def row(i: Any) -> Any:
            def limit(lane: Any) -> Any:
                at = i * self.lanes + lane
                floor = largest[0] - tirx.const(self.layout.range_db, "float32")
                return store(self.b.decibels, tirx.max(self.b.decibels[at], floor), at)

            return self.each_lane(limit)

        rows = self.groups * len(self.layout.bands)
        return [
            nest([(self.lanes, LoopKind.SERIAL)], compare),
            nest([(rows, LoopKind.SERIAL)], row),
        ]

    def turned(self, cosines: Any, offsets: Any, out: Any) -> Any:
        """Coefficients from decibels, some at a time."""
        lanes, bands, frames = self.lanes, len(self.layout.bands), self.layout.frames
        tile, totals = math.gcd(self.layout.coefficients, _TILE), self.b.totals

        def some(g: Any, block: Any) -> Any:

            def begin(i: Any, lane: Any) -> Any:
                return store(totals, offsets[block * tile + i], i * lanes + lane)

            def add(band: Any, i: Any, lane: Any) -> Any:
                read = self.b.decibels[(g * bands + band) * lanes + lane]
                at = i * lanes + lane
                return store(totals, totals[at] + read * cosines[block * tile + i, band], at)

            def end(i: Any, lane: Any) -> Any:
                frame = g * lanes + lane
                there = [frame < frames] if frames % lanes else []
                value = totals[i * lanes + lane]
                return when(there, store(out, value, block * tile + i, frame, 0))

            inner = [(tile, LoopKind.UNROLLED), (lanes, LoopKind.VECTORIZED)]
            last = LoopKind.SERIAL if frames % lanes else LoopKind.VECTORIZED
            return in_order(
                nest(inner, begin),
                nest([(bands, LoopKind.SERIAL), *inner], add),
                nest([(tile, LoopKind.UNROLLED), (lanes, last)], end),
            )

        blocks = self.layout.coefficients // tile
        return nest([(self.groups, LoopKind.SERIAL), (blocks, LoopKind.SERIAL)], some)
