"""What a device's processor can do: TVM's target and the facts a latency model needs."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass, replace
from typing import Any

from costmodel.errors import InputError

FLOAT_BYTES = 4
ARMV7_OPTION = "-arm-assume-misaligned-load-store:bool=1"
"""Without it LLVM 22 merges stores into ``stm`` and overwrites a register that it still needs: 4 of
101 changes of layout came out wrong on an emulated Cortex-A15, none with it."""


@dataclass(frozen=True, kw_only=True)
class Target(ABC):
    """What every processor states, whatever its kind."""

    tvm: tuple[tuple[str, Any], ...]
    """TVM's target as sorted (key, value) pairs; lists as tuples."""
    frequency_mhz: float
    """Clock while measured."""
    l2_bytes: int
    """Second level of cache: as one core of a CPU sees it; shared by all of a GPU."""
    memory_gb_per_s: float
    """Bandwidth beyond the second level: of one core of a CPU; of all of a GPU."""

    def __post_init__(self) -> None:
        """Raises InputError where facts contradict each other."""
        for name, value in asdict(self).items():
            if isinstance(value, int | float) and not isinstance(value, bool) and not value > 0:
                raise InputError(f"target fact '{name}' must be positive, got {value!r}")

    @property
    @abstractmethod
    def channel_block(self) -> int:
        """Activations between kernels are padded to a multiple of this many channels."""

    @property
    @abstractmethod
    def peak_gflops(self) -> float:
        """Multiply-adds count two; all cores together."""

    @property
    @abstractmethod
    def _decisive(self) -> tuple[Any, ...]:
        """The facts that decide which code is generated."""

    def padded(self, channels: int) -> int:
        """Channels allocated for ``channels`` of them between two kernels."""
        return -(-channels // self.channel_block) * self.channel_block

    def stated_tvm(self) -> dict[str, Any]:
        """TVM's target as the profile states it; see `tvm_dict` for what TVM is given."""
        return {key: list(v) if isinstance(v, tuple) else v for key, v in self.tvm}

    def tvm_dict(self) -> dict[str, Any]:
        """The target in the form that TVM takes."""
        given = self.stated_tvm()
        if str(given.get("mtriple", "")).startswith("arm"):
            given["cl-opt"] = [*given.get("cl-opt", []), ARMV7_OPTION]
        return given

    @property
    def digest(self) -> str:
        """Short name of everything that decides which code is generated for this target."""
        return hashlib.sha256(json.dumps([self.tvm, *self._decisive]).encode()).hexdigest()[:16]


@dataclass(frozen=True, kw_only=True)
class CpuTarget(Target):
    """One kind of CPU core, as used. Values lie as [H, W, C padded to `channel_block`]."""

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
    issue_width: float
    """Instructions that a core can start each cycle."""
    out_of_order: bool
    """Whether a core runs ahead of an instruction that waits."""
    l1_bytes: int
    """Data cache nearest to a core."""
    l2_bytes_per_cycle: float
    """Bandwidth from the second level of cache to the first."""
    filter_block: int
    """Filters are padded to a multiple of this many, a multiple of the lanes."""
    cores: int = 1
    """Cores (threads) that a kernel may use."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.filter_block % self.vector_lanes:
            raise InputError(
                f"target fact 'filter_block' ({self.filter_block}) is not a multiple of "
                f"'vector_lanes' ({self.vector_lanes})"
            )
        if self.l2_bytes < self.l1_bytes:
            raise InputError(
                f"target fact 'l2_bytes' ({self.l2_bytes}) is below 'l1_bytes' ({self.l1_bytes})"
            )
        if self.fma_per_cycle > self.issue_width:
            raise InputError(
                f"target fact 'fma_per_cycle' ({self.fma_per_cycle:g}) is above 'issue_width' "
                f"({self.issue_width:g})"
            )

    @property
    def channel_block(self) -> int:
        return self.filter_block

    @property
    def peak_gflops(self) -> float:
        per_cycle = 2 * self.vector_lanes * self.fma_per_cycle * self.cores
        return per_cycle * self.frequency_mhz / 1e3

    def with_cores(self, cores: int) -> CpuTarget:
        """The same core, so many of them; InputError below one."""
        tvm = dict(self.tvm)
        if "num-cores" in tvm:
            tvm["num-cores"] = cores
        return replace(self, cores=cores, tvm=tuple(sorted(tvm.items())))

    @property
    def _decisive(self) -> tuple[Any, ...]:
        return self.vector_lanes, self.vector_registers, self.filter_block, self.cores


@dataclass(frozen=True, kw_only=True)
class GpuTarget(Target):
    """A CUDA GPU. Values lie as [C, H, W], without padding."""

    multiprocessors: int
    """Streaming multiprocessors (SMs)."""
    fma_per_multiprocessor: int
    """float32 multiply-adds that an SM can start each cycle (its CUDA cores)."""
    warp_size: int = 32
    """Threads that run in step."""
    threads_per_block: int = 1024
    """Threads that a block may have."""
    threads_per_multiprocessor: int
    """Threads that an SM can hold."""
    blocks_per_multiprocessor: int
    """Blocks that an SM can hold."""
    registers_per_multiprocessor: int = 65536
    """32-bit registers of an SM."""
    registers_per_thread: int = 255
    """32-bit registers that a thread can name."""
    shared_bytes_per_multiprocessor: int
    """Shared memory of an SM."""
    shared_bytes_per_block: int = 49152
    """Shared memory that a block may have without asking for more."""
    launch_seconds: float
    """What starting a kernel takes, at least."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for smaller, larger in (
            ("threads_per_block", "threads_per_multiprocessor"),
            ("shared_bytes_per_block", "shared_bytes_per_multiprocessor"),
            ("warp_size", "threads_per_block"),
        ):
            if getattr(self, smaller) > getattr(self, larger):
                raise InputError(
                    f"target fact '{smaller}' ({getattr(self, smaller)}) is above '{larger}' "
                    f"({getattr(self, larger)})"
                )

    @property
    def channel_block(self) -> int:
        return 1

    @property
    def peak_gflops(self) -> float:
        return 2e-3 * self.fma_per_multiprocessor * self.multiprocessors * self.frequency_mhz

    @property
    def _decisive(self) -> tuple[Any, ...]:
        return self.threads_per_block, self.shared_bytes_per_block, self.warp_size


def freeze_tvm_target(target: dict[str, Any]) -> tuple[tuple[str, Any], ...]:
    """TVM's target dictionary as sorted pairs, so that it can be compared and hashed."""
    return tuple(
        (key, tuple(value) if isinstance(value, list) else value)
        for key, value in sorted(target.items())
    )
