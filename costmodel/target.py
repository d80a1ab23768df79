"""What a device's processor can do: TVM's target and the facts a latency model needs."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any

from costmodel.errors import InputError

FLOAT_BYTES = 4


@dataclass(frozen=True, kw_only=True)
class Target:
    """One kind of core, as used: what TVM compiles for, and what bounds its speed."""

    tvm: tuple[tuple[str, Any], ...]
    """TVM's target as sorted (key, value) pairs; lists as tuples."""
    vector_lanes: int
    """float32 numbers in a vector register."""
    vector_registers: int
    """Vector registers that a program can name."""
    fma_per_cycle: float
    """Vector multiply-adds that a core can start each cycle."""
    fma_latency: float
    """Cycles from a multiply-add to the next that needs its result."""
    loads_per_cycle: float
    """Vector loads that a core can start each cycle."""
    frequency_mhz: float
    """Clock at which the core runs while measured."""
    l1_bytes: int
    """Data cache nearest to a core."""
    l2_bytes: int
    """Second level of cache, as one core sees it."""
    l2_bytes_per_cycle: float
    """Bandwidth from the second level of cache to the first."""
    memory_gb_per_s: float
    """Bandwidth beyond the second level, one core."""
    channel_block: int
    """Activations between kernels are padded to a multiple of this many channels."""
    cores: int = 1
    """Cores (threads) that a kernel may use."""

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if name != "tvm" and not value > 0:
                raise InputError(f"target fact '{name}' must be positive, got {value!r}")
        if self.channel_block % self.vector_lanes:
            raise InputError(
                f"channel_block {self.channel_block} is not a multiple of "
                f"vector_lanes {self.vector_lanes}"
            )

    def padded(self, channels: int) -> int:
        """Channels allocated for ``channels`` of them between two kernels."""
        return -(-channels // self.channel_block) * self.channel_block

    def tvm_dict(self) -> dict[str, Any]:
        """The target in the form that TVM takes."""
        return {key: list(v) if isinstance(v, tuple) else v for key, v in self.tvm}

    @property
    def digest(self) -> str:
        """Short name of everything that decides which code is generated for this target."""
        decisive = (
            self.tvm,
            self.vector_lanes,
            self.vector_registers,
            self.channel_block,
            self.cores,
        )
        return hashlib.sha256(json.dumps(decisive).encode()).hexdigest()[:16]

    @property
    def peak_gflops(self) -> float:
        """2 × lanes × multiply-adds a cycle × frequency × cores."""
        per_cycle = 2 * self.vector_lanes * self.fma_per_cycle * self.cores
        return per_cycle * self.frequency_mhz / 1e3


def freeze_tvm_target(target: dict[str, Any]) -> tuple[tuple[str, Any], ...]:
    """TVM's target dictionary as sorted pairs, so that it can be compared and hashed."""
    return tuple(
        (key, tuple(value) if isinstance(value, list) else value)
        for key, value in sorted(target.items())
    )
