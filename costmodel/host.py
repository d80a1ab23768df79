"""The target of the machine that we run on, read off the machine."""

from __future__ import annotations

import os
import platform
from functools import cache
from pathlib import Path

import psutil

from costmodel.target import FLOAT_BYTES, CpuTarget, freeze_tvm_target
from costmodel.target_check import llvm, vector_lanes_of

ASSUMED_FREQUENCY_MHZ = 3000.0
"""Where the system does not tell; only the uncalibrated estimate depends on it."""
ASSUMED_MEMORY_GB_PER_S = 10.0
"""One core's share on ordinary machines; only the uncalibrated estimate depends on it."""
ASSUMED_CACHES = {1: 32 * 1024, 2: 512 * 1024}
"""Sizes where the system does not tell."""
FMA_PER_CYCLE, FMA_LATENCY, LOADS_PER_CYCLE, ISSUE_WIDTH = 2.0, 4.0, 2.0, 4.0
"""Of the x86-64 and big AArch64 cores of the last ten years (vendors' optimisation guides)."""
DATAPATH_LANES = {"znver1": 4, "znver4": 8}
"""Cores that do one vector instruction in two halves (AMD's optimisation guides of families 17h
and 19h): a loop of multiply-adds on a znver4 reached 117 GFLOP/s, one of 16 lanes a cycle.

With AVX-512's 32 registers to hold the sums, vectors of the datapath's own width are as fast there
and fit more numbers of filters without padding: five models of Table II, each kernel under its
fastest schedule, were 1.02 to 1.23 times as fast on a znver4 in eight lanes as in sixteen."""
_FILTER_BLOCK = 8
"""Filters of a block at least: two vectors of four lanes share one broadcast input."""
_SYSTEM_CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
_CORE = (
    "assumed: an x86-64 or big AArch64 core of the last ten years, halved where LLVM's name "
    "of the core is one that does a vector instruction in two halves"
)
SOURCES = {
    "tvm": "LLVM: triple and core of this machine",
    "frequency_mhz": f"the operating system's highest clock; else assumed {ASSUMED_FREQUENCY_MHZ}",
    "l1_bytes": f"the operating system; else assumed {ASSUMED_CACHES[1]}",
    "l2_bytes": f"the operating system; else assumed {ASSUMED_CACHES[2]}",
    "l2_bytes_per_cycle": "assumed: the width of the core's arithmetic once a cycle",
    "memory_gb_per_s": "assumed: one core's share on ordinary machines",
    "vector_lanes": "LLVM: the extensions of this core; of AVX-512 done in two halves, the half",
    "vector_registers": "the instruction set: 32 with AVX-512 and in AArch64, else 16",
    "fma_per_cycle": _CORE,
    "fma_latency": _CORE,
    "loads_per_cycle": _CORE,
    "issue_width": _CORE,
    "out_of_order": _CORE,
    "filter_block": "the schedules: whole vectors, at least eight filters",
    "cores": "the profile: one, or all that this process may use",
}
"""Fact -> where `host_target` has it from."""


@cache
def host_target(cores: int = 1) -> CpuTarget:
    """The CPU here as LLVM knows it, with caches and clock as the system states them."""
    codegen = llvm()
    cpu, triple = str(codegen.llvm_get_system_cpu()), str(codegen.llvm_get_system_triple())
    tvm_target = {"kind": "llvm", "mcpu": cpu, "mtriple": triple, "num-cores": cores}
    lanes = vector_lanes_of(tvm_target)
    datapath = min(lanes, DATAPATH_LANES.get(cpu, lanes))
    many_registers = triple.startswith(("aarch64", "arm64")) or lanes >= 16
    if many_registers:
        lanes = datapath
    caches = {**ASSUMED_CACHES, **_read_caches(_SYSTEM_CACHES)}
    return CpuTarget(
        tvm=freeze_tvm_target(tvm_target),
        vector_lanes=lanes,
        vector_registers=32 if many_registers else 16,
        fma_per_cycle=FMA_PER_CYCLE * datapath / lanes,
        fma_latency=FMA_LATENCY,
        loads_per_cycle=LOADS_PER_CYCLE * datapath / lanes,
        issue_width=ISSUE_WIDTH,
        out_of_order=True,
        frequency_mhz=_frequency_mhz(),
        l1_bytes=caches[1],
        l2_bytes=caches[2],
        l2_bytes_per_cycle=float(datapath * FLOAT_BYTES),
        memory_gb_per_s=ASSUMED_MEMORY_GB_PER_S,
        filter_block=max(lanes, _FILTER_BLOCK),
        cores=cores,
    )


def usable_cores() -> int:
    """Cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def processor_name() -> str:
    """The processor's name as Linux tells it, else as Python does."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())


def _frequency_mhz() -> float:
    frequency = psutil.cpu_freq()
    known = frequency.max or frequency.current if frequency else 0.0
    return float(known) or ASSUMED_FREQUENCY_MHZ


def _read_caches(folder: Path) -> dict[int, int]:
    """Level -> bytes of the data caches of the first core, where Linux tells."""
    sizes: dict[int, int] = {}
    for index in sorted(folder.glob("index*")):
        try:
            kind = (index / "type").read_text().strip()
            level = int((index / "level").read_text())
            text = (index / "size").read_text().strip()
        except (OSError, ValueError):
            continue
        if kind in {"Data", "Unified"} and text.endswith("K"):
            sizes[level] = int(text[:-1]) * 1024
    return sizes
