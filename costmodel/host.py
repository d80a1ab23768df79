"""The target of the machine that we run on, read off the machine."""

from __future__ import annotations

import platform
from functools import cache
from pathlib import Path
from typing import Any

import psutil

from costmodel.errors import DeviceError
from costmodel.target import FLOAT_BYTES, CpuTarget, freeze_tvm_target

ASSUMED_FREQUENCY_MHZ = 3000.0
"""Where the system does not tell; only the uncalibrated estimate depends on it."""
ASSUMED_MEMORY_GB_PER_S = 10.0
"""One core's share on ordinary machines; only the uncalibrated estimate depends on it."""
ASSUMED_CACHES = {1: 32 * 1024, 2: 512 * 1024}
"""Sizes where the system does not tell."""
FMA_PER_CYCLE, FMA_LATENCY, LOADS_PER_CYCLE, ISSUE_WIDTH = 2.0, 4.0, 2.0, 4.0
"""Of the x86-64 and big AArch64 cores of the last ten years (vendors' optimisation guides)."""
# A second cache fills the first by one vector a cycle at best on the same cores.
_SYSTEM_CACHES = Path("/sys/devices/system/cpu/cpu0/cache")


@cache
def host_target(cores: int = 1) -> CpuTarget:
    """The CPU here as LLVM knows it, with caches and clock as the system states them."""
    codegen = _llvm()
    cpu, triple = codegen.llvm_get_system_cpu(), codegen.llvm_get_system_triple()
    tvm_target = {"kind": "llvm", "mcpu": cpu, "mtriple": triple, "num-cores": cores}
    lanes = _vector_bits(tvm_target) // (8 * FLOAT_BYTES)
    wide = triple.startswith(("aarch64", "arm64")) or lanes >= 16
    caches = {**ASSUMED_CACHES, **_read_caches(_SYSTEM_CACHES)}
    return CpuTarget(
        tvm=freeze_tvm_target(tvm_target),
        vector_lanes=lanes,
        vector_registers=32 if wide else 16,
        fma_per_cycle=FMA_PER_CYCLE,
        fma_latency=FMA_LATENCY,
        loads_per_cycle=LOADS_PER_CYCLE,
        issue_width=ISSUE_WIDTH,
        out_of_order=True,
        frequency_mhz=_frequency_mhz(),
        l1_bytes=caches[1],
        l2_bytes=caches[2],
        l2_bytes_per_cycle=lanes * FLOAT_BYTES,
        memory_gb_per_s=ASSUMED_MEMORY_GB_PER_S,
        filter_block=lanes if lanes >= 8 else 2 * lanes,
        cores=cores,
    )


def _llvm() -> Any:  # noqa: ANN401 - TVM has no types
    """TVM's door to LLVM; DeviceError where there is no compiler."""
    cure = "install the pinned wheel: pip install apache-tvm==0.27.0.post1"
    try:
        import tvm
        from tvm.target import codegen
    except ImportError as error:
        raise DeviceError(f"no compiler: TVM cannot be imported ({error}); {cure}") from error
    if not tvm.runtime.enabled("llvm"):
        raise DeviceError(f"no compiler: this TVM was built without LLVM; {cure}")
    return codegen


def processor_name() -> str:
    """The processor's name as Linux tells it, else as Python does."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())


def _vector_bits(tvm_target: dict[str, object]) -> int:
    import tvm
    from tvm.target import codegen

    return int(codegen.llvm_get_vector_width(tvm.target.Target(tvm_target)))


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
