"""What a Linux device says of itself in /proc and /sys."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from costmodel.runners.rounds import hottest

_CPU = "/sys/devices/system/cpu"
_GOVERNOR, _LOWEST, _HIGHEST = "scaling_governor", "scaling_min_freq", "scaling_max_freq"
PATTERNS = (
    "/proc/cpuinfo",
    "/proc/loadavg",
    "/proc/meminfo",
    "/proc/version",
    f"{_CPU}/online",
    f"{_CPU}/cpu[0-9]*/cpufreq/{_GOVERNOR}",
    f"{_CPU}/cpu[0-9]*/cpufreq/{_LOWEST}",
    f"{_CPU}/cpu[0-9]*/cpufreq/{_HIGHEST}",
    "/sys/class/thermal/thermal_zone*/temp",
    "/sys/devices/system/clocksource/clocksource0/current_clocksource",
)
"""Files that are read: for `Runner.files`."""

_ARM = 0x41
"""Implementer of ARM's own cores, in /proc/cpuinfo."""
CORES: Mapping[int, str] = MappingProxyType(
    {
        0xC07: "cortex-a7", 0xC08: "cortex-a8", 0xC09: "cortex-a9", 0xC0D: "cortex-a12",
        0xC0E: "cortex-a17", 0xC0F: "cortex-a15", 0xD03: "cortex-a53", 0xD04: "cortex-a35",
        0xD05: "cortex-a55", 0xD07: "cortex-a57", 0xD08: "cortex-a72", 0xD09: "cortex-a73",
        0xD0A: "cortex-a75", 0xD0B: "cortex-a76", 0xD0C: "neoverse-n1", 0xD0D: "cortex-a77",
        0xD41: "cortex-a78", 0xD42: "cortex-a78ae",
    }
)  # fmt: skip
"""Part numbers of ARM's cores (main ID register; as in Linux' arch/arm64/include/asm/cputype.h and
arch/arm/include/asm/cputype.h), by the names that LLVM gives them."""


@dataclass(frozen=True, kw_only=True)
class DeviceFacts:
    """A Linux device at one moment. What it does not tell is empty or None."""

    kernel: str
    """Of the operating system."""
    processors: tuple[int, ...]
    """Those that are online."""
    cores: Mapping[int, str]
    """Processor -> LLVM's name of its core, for ARM's cores."""
    model: str
    """What the device calls its processor."""
    governors: Mapping[int, str]
    """Processor -> frequency governor."""
    lowest_mhz: Mapping[int, float]
    """Processor -> lowest frequency that the governor may choose."""
    highest_mhz: Mapping[int, float]
    """Processor -> highest frequency that the governor may choose."""
    load: float | None
    """Processes that ran or waited, mean of the last minute."""
    available_mb: float | None
    """Memory that is free or can be freed."""
    celsius: float | None
    """Of the hottest thermal zone."""
    clock: str
    """Source of the system's clock."""


def read_facts(files: Mapping[str, str]) -> DeviceFacts:
    """The facts in the text of `PATTERNS`' files, by path."""
    cpuinfo = files.get("/proc/cpuinfo", "")
    cores = dict(_cores(cpuinfo))
    online = _ranges(files.get(f"{_CPU}/online", "")) or tuple(_numbers(cpuinfo))
    zones = {path: text for path, text in files.items() if "/thermal_zone" in path}
    return DeviceFacts(
        kernel=" ".join(files.get("/proc/version", "").split()[:3]),
        processors=online,
        cores=cores,
        model=_first(r"^(?:model name|Hardware|Model)\s*:\s*(.+)$", cpuinfo),
        governors={cpu: text.strip() for cpu, text in _of_cpus(files, _GOVERNOR).items()},
        lowest_mhz=_megahertz(_of_cpus(files, _LOWEST)),
        highest_mhz=_megahertz(_of_cpus(files, _HIGHEST)),
        load=_number(files.get("/proc/loadavg", "").split()[:1]),
        available_mb=_available_mb(files.get("/proc/meminfo", "")),
        celsius=hottest(zones),
        clock=files.get(
            "/sys/devices/system/clocksource/clocksource0/current_clocksource", ""
        ).strip(),
    )


def _cores(cpuinfo: str) -> list[tuple[int, str]]:
    """Processor and core of each block that names both; older kernels name the core once."""
    found = []
    implementer = part = None
    numbers = []
    for line in cpuinfo.splitlines():
        name, _, value = (word.strip() for word in line.partition(":"))
        if name == "processor" and value.isdigit():
            numbers.append(int(value))
        elif name == "CPU implementer":
            implementer = _integer(value)
        elif name == "CPU part":
            part = _integer(value)
            known = CORES.get(part, "") if implementer == _ARM and part is not None else ""
            if known:
                found += [(number, known) for number in numbers]
            numbers = []
    return found


def _numbers(cpuinfo: str) -> list[int]:
    return [int(text) for text in re.findall(r"^processor\s*:\s*(\d+)\s*$", cpuinfo, re.MULTILINE)]


def _ranges(text: str) -> tuple[int, ...]:
    """``0-3,6`` as numbers; none where it is not like that."""
    numbers: list[int] = []
    for part in filter(None, text.strip().split(",")):
        match = re.fullmatch(r"(\d+)(?:-(\d+))?", part)
        if match is None:
            return ()
        numbers += range(int(match[1]), int(match[2] or match[1]) + 1)
    return tuple(numbers)


def _of_cpus(files: Mapping[str, str], name: str) -> dict[int, str]:
    pattern = re.compile(rf"{_CPU}/cpu(\d+)/cpufreq/{name}")
    matches = ((pattern.fullmatch(path), text) for path, text in files.items())
    return {int(match[1]): text for match, text in matches if match}


def _megahertz(kilohertz: Mapping[int, str]) -> dict[int, float]:
    numbers = {cpu: _number([text.strip()]) for cpu, text in kilohertz.items()}
    return {cpu: number / 1e3 for cpu, number in numbers.items() if number is not None}


def _available_mb(meminfo: str) -> float | None:
    """``MemAvailable``; before Linux 3.14 what is free or cached."""
    kilobytes = {
        name: float(value)
        for name, value in re.findall(r"^(\w+):\s*(\d+) kB\s*$", meminfo, re.MULTILINE)
    }
    if "MemAvailable" in kilobytes:
        return kilobytes["MemAvailable"] / 1024
    if "MemFree" in kilobytes:
        return (kilobytes["MemFree"] + kilobytes.get("Cached", 0)) / 1024
    return None


def _first(pattern: str, text: str) -> str:
    match = re.search(pattern, text, re.MULTILINE)
    return match[1].strip() if match else ""


def _number(words: list[str]) -> float | None:
    try:
        return float(words[0])
    except (IndexError, ValueError):
        return None


def _integer(text: str) -> int | None:
    try:
        return int(text, 0)
    except ValueError:
        return None
