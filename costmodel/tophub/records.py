"""TopHub's records: latencies of tuned TVM convolutions on boards, each with its schedule.

One JSON object a line: ``board``, ``op``, the layer (``in_channels``, ``in_height``, ``in_width``,
``out_channels``, ``kernel`` [kh, kw], ``stride`` [sh, sw], ``padding`` [top, left, bottom, right],
``groups``, ``out_height``, ``out_width``, ``macs``), ``schedule`` and ``seconds``. ``schedule``
maps a knob to [kind, value]: ``sp`` a split (extents, outer to inner), ``an`` annotations of loops,
``re`` an order of loops, ``ot`` one of several values. float32, batch of one.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, cast, get_args

from costmodel.errors import InputError
from costmodel.kernels import ConvKernel
from costmodel.loopnest import LoopNest
from costmodel.schedules.family import Schedule
from costmodel.schedules.spatial_pack import SpatialPackConvolution, schedule_of
from costmodel.target import Target
from costmodel.tophub import arm, cuda

Op = Literal["direct_conv2d", "winograd_conv2d", "depthwise_conv2d"]
Knob = int | tuple[int, ...] | tuple[str, ...]

ARM_PROFILES: Mapping[str, str] = MappingProxyType(
    {
        "bcm2837": "raspberry-pi-3b",
        "rk3399": "rk3399-a72",
        "kirin970": "kirin970-a73",
        "pynq": "pynq-z1-a9",
    }
)
"""Board as TopHub calls it -> profile of the cores that ran the kernels: all of the big ones, which
TVM's thread pool takes."""
CUDA_PROFILES: Mapping[str, str] = MappingProxyType(
    {"1080ti": "gtx-1080ti", "tx2": "jetson-tx2", "jetson-nano": "jetson-nano"}
)
"""The same for GPUs."""
PROFILES: Mapping[str, str] = MappingProxyType({**ARM_PROFILES, **CUDA_PROFILES})

_SPATIAL_PACK = SpatialPackConvolution()
_ANNOTATIONS: Mapping[str, Mapping[str, int]] = MappingProxyType(
    {
        "winograd_conv2d": {"ann_reduce": 1, "ann_spatial": 2},
        "depthwise_conv2d": {"ann": 3},
    }
)
"""op -> loops that each of its annotations speaks of; on ARM, where no family has the op."""
_OPTIONS = ("auto_unroll_max_step", "unroll_explicit")
WINOGRAD_PLACES = (16, 36)
"""Products of matrices of F(2x2, 3x3) and F(4x4, 3x3), the two that CUDA's schedule has."""


@dataclass(frozen=True)
class Record:
    """One kernel as it was tuned and timed on one board."""

    board: str
    op: Op
    kernel: ConvKernel
    """Without bias and epilogue in what was timed; pixels have no channels to spare."""
    knobs: Mapping[str, Knob]
    """Knob -> extents (outer to inner), annotations, order or number; see the module."""
    seconds: float
    macs: int
    """kh kw (C / groups) M OH OW, whatever the algorithm."""
    line: int
    """Of the file, counted from one."""

    @property
    def on_gpu(self) -> bool:
        """Whether the board is a GPU."""
        return self.board in CUDA_PROFILES

    @property
    def profile(self) -> str:
        """Name of the board's profile."""
        return PROFILES[self.board]

    @property
    def schedule(self) -> Schedule | None:
        """The schedule as a point of `SpatialPackConvolution`; None but for direct ones on ARM."""
        if self.on_gpu or self.op != "direct_conv2d":
            return None
        return schedule_of(self.knobs)

    def describe(self, target: Target) -> LoopNest:
        """The loops of the recorded schedule on ``target``, a CPU or a GPU as the board is."""
        if self.on_gpu:
            return cuda.DESCRIPTIONS[self.op](self.kernel, self.knobs, target)
        if (schedule := self.schedule) is not None:
            return _SPATIAL_PACK.describe(self.kernel, schedule, target)
        return arm.DESCRIPTIONS[self.op](self.kernel, self.knobs)


def read_records(path: Path) -> Iterator[Record]:
    """The records of a file, in its order.

    Raises InputError where the file cannot be read or a line is no record (naming the line).
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise InputError(f"TopHub's records {path} cannot be read: {reason}") from None
    for line, row in enumerate(text.splitlines(), start=1):
        if row.strip():
            try:
                yield _record(json.loads(row), line)
            except json.JSONDecodeError as error:
                raise InputError(f"{path}, line {line}: not JSON ({error.msg})") from None
            except KeyError as error:
                raise InputError(f"{path}, line {line}: {error} is missing") from None
            except (TypeError, ValueError, InputError) as error:
                raise InputError(f"{path}, line {line}: {error}") from None


def _record(row: Any, line: int) -> Record:  # noqa: ANN401 - JSON
    if not isinstance(row, dict):
        raise TypeError("not an object of fields")
    board = _one_of(PROFILES, "board", row["board"])
    op = cast(Op, _one_of(get_args(Op), "op", row["op"]))
    kernel = _kernel(row)
    if op == "winograd_conv2d" and (kernel.kernel, kernel.stride) != ((3, 3), (1, 1)):
        raise ValueError("'winograd_conv2d' is of 3x3 kernels with stride 1")
    seconds, macs = float(row["seconds"]), int(row["macs"])
    if not 0 < seconds < math.inf:
        raise ValueError(f"'seconds' must be positive, got {seconds:g}")
    if 2 * macs != kernel.flops:
        raise ValueError(f"'macs' is {macs}, the layer has {kernel.flops // 2}")
    if not isinstance(row["schedule"], dict):
        raise TypeError("'schedule' must be an object of knobs")
    knobs = {name: _knob(name, given) for name, given in row["schedule"].items()}
    checked = _cuda_knobs if board in CUDA_PROFILES else _arm_knobs
    known = MappingProxyType(checked(kernel, op, knobs))
    return Record(board, op, kernel, known, seconds, macs, line)


def _one_of(known: Collection[str], name: str, given: object) -> str:
    if not isinstance(given, str) or given not in known:
        raise ValueError(f"unknown {name} {given!r}; there are {', '.join(known)}")
    return given


def _kernel(row: dict[str, Any]) -> ConvKernel:
    kh, kw = map(int, row["kernel"])
    sh, sw = map(int, row["stride"])
    top, left, bottom, right = map(int, row["padding"])
    sizes = {
        name: int(row[name])
        for name in ("in_height", "in_width", "in_channels", "out_channels", "groups")
    }
    for name, size in {**sizes, "kernel": min(kh, kw), "stride": min(sh, sw)}.items():
        if size < 1:
            raise ValueError(f"'{name}' must be positive, got {size}")
    if sizes["in_channels"] % sizes["groups"] or sizes["out_channels"] % sizes["groups"]:
        raise ValueError(f"'groups' is {sizes['groups']}, which does not divide the channels")
    kernel = ConvKernel(
        height=sizes["in_height"],
        width=sizes["in_width"],
        channels=sizes["in_channels"],
        input_stride=sizes["in_channels"],
        filters=sizes["out_channels"],
        kernel=(kh, kw),
        stride=(sh, sw),
        padding=(top, left, bottom, right),
        groups=sizes["groups"],
    )
    stated = (int(row["out_height"]), int(row["out_width"]))
    if kernel.output_size != stated:
        raise ValueError(f"the output is stated as {stated}, the layer gives {kernel.output_size}")
    return kernel


def _knob(name: str, given: Any) -> Knob:  # noqa: ANN401 - JSON
    kind, value = given
    if kind == "ot":
        return int(value)
    if kind in ("sp", "re"):
        return tuple(int(part) for part in value)
    if kind == "an":
        return tuple(str(part) for part in value)
    raise ValueError(f"knob '{name}' is of the unknown kind {kind!r}; there are an, ot, re, sp")


def _arm_knobs(kernel: ConvKernel, op: str, knobs: dict[str, Knob]) -> dict[str, Knob]:
    """The knobs with all that the descriptions rely on checked."""
    rows, columns = kernel.output_size
    if op == "winograd_conv2d":
        tiles = math.prod(arm.winograd_tiles(kernel, arm.WINOGRAD_TILE))
        extents = {"tile_p": tiles, "tile_k": kernel.filters, "tile_c": kernel.channels}
    elif op == "depthwise_conv2d":
        extents = {"tile_c": kernel.channels, "tile_h": rows, "tile_w": columns}
    else:
        extents = {"tile_co": kernel.filters, "tile_oh": rows, "tile_ow": columns}
    checked = knobs | {name: _split(name, knobs[name], 2, n) for name, n in extents.items()}
    if op == "direct_conv2d":
        schedule_of(checked)
    for name, loops in _ANNOTATIONS.get(op, {}).items():
        annotations = _tuple(knobs[name])
        if len(annotations) != loops or not set(annotations) <= set(arm.KINDS):
            allowed = ", ".join(arm.KINDS)
            raise ValueError(f"knob '{name}' must give {loops} of {allowed}, got {annotations}")
    return checked


def _cuda_knobs(kernel: ConvKernel, op: str, knobs: dict[str, Knob]) -> dict[str, Knob]:
    """The same for a GPU."""
    (rows, columns), (kh, kw) = kernel.output_size, kernel.kernel
    planes = {"tile_f": kernel.filters, "tile_y": rows, "tile_x": columns}
    steps: dict[str, int] = {}
    if op == "direct_conv2d":
        # TVM's schedule had two names swapped: its tile_rx splits the kernel's rows.
        steps = {"tile_rc": kernel.group_channels, "tile_rx": kh, "tile_ry": kw}
    elif op == "winograd_conv2d":
        places = math.prod(int(part) for part in _tuple(knobs["tile_b"]))
        if places not in WINOGRAD_PLACES:
            raise ValueError(f"knob 'tile_b' must multiply to 16 or 36, got {places}")
        tiles = math.prod(arm.winograd_tiles(kernel, cuda.winograd_tile(places)))
        planes = {"tile_b": places, "tile_y": kernel.filters, "tile_x": tiles}
        steps = {"tile_rc": kernel.channels}
    for name in _OPTIONS:
        if not isinstance(knobs[name], int):
            raise TypeError(f"knob '{name}' must be one value, got {knobs[name]}")
    return (
        knobs
        | {name: _split(name, knobs[name], 4, extent) for name, extent in planes.items()}
        | {name: _split(name, knobs[name], 2, extent) for name, extent in steps.items()}
    )


def _split(name: str, given: Knob, parts: int, extent: int) -> tuple[int, ...]:
    """Extents, outer to inner; the first may be -1 for what is left."""
    split = tuple(int(part) for part in _tuple(given))
    if split and split[0] == -1 and math.prod(split[1:]) > 0:
        split = (extent // math.prod(split[1:]), *split[1:])
    if len(split) != parts or min(split) < 1 or math.prod(split) != extent:
        raise ValueError(f"knob '{name}' must split {extent} into {parts}, got {given}")
    return split


def _tuple(given: Knob) -> tuple[int, ...] | tuple[str, ...]:
    return given if isinstance(given, tuple) else (given,)
