"""Whether training in bfloat16 is faster on a device."""

from __future__ import annotations

from pathlib import Path

CPU_FLAGS = frozenset({"avx512_bf16", "amx_bf16"})
"""What Linux calls instructions that compute with bfloat16. With them a training of kws1 to kws12
had 1.5 to 1.9 times the iterations a second; without, oneDNN converts, and it had fewer."""


def bfloat16_pays(device: str, cpu_info: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether convolutions should train in bfloat16 on a torch device such as ``cpu``.

    Only on CPUs that say so; what it does to a GPU's small convolutions has not been measured.
    """
    if device != "cpu":
        return False
    try:
        text = cpu_info.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    flags = next((line for line in text.splitlines() if line.startswith("flags")), "")
    return bool(CPU_FLAGS & set(flags.split()))
