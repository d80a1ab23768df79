"""The doctor: what would spoil the figures, and the command that mends it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from costmodel.doctor.facts import CORES, DeviceFacts
from costmodel.doctor.finding import Found
from costmodel.protocol import Protocol
from costmodel.target import CpuTarget, Target

FREQUENCY_SHARE = 0.03
"""Share that a processor's frequency may differ from the profile's by."""
HOT_C = 80.0
"""Most boards throttle from 80 to 95 °C."""
BUSY_LOAD = 0.5
"""Load of an idle device, at most."""
LEAST_MEMORY_MB = 128.0
"""The largest kernels and their program take some tens of megabytes."""
_SLOW_CLOCKS = ("hpet", "acpi_pm", "jiffies", "refined-jiffies", "pit")
_FIXED = ("performance", "userspace")

Level = Literal["fine", "doubtful", "spoils"]

Finding = Found[Level]


def examine(
    facts: DeviceFacts, target: Target, protocol: Protocol, *, shared: bool
) -> tuple[Finding, ...]:
    """Everything looked at, in the order in which it should be mended.

    ``shared``: a machine that does other work too, which no one can keep still (the host's own
    profile); its governor and frequency are then worth a doubt only.
    """
    if not isinstance(target, CpuTarget):
        return (*_memory(facts), *_load(facts))
    cpus = (protocol.cpus or facts.processors)[: target.cores]
    worst: Level = "doubtful" if shared else "spoils"
    return (
        *_processors(facts, cpus, target),
        *_core_types(facts, cpus, target),
        *_governor(facts, cpus, protocol, worst),
        *_frequency(facts, cpus, target, worst),
        *_temperature(facts, protocol),
        *_load(facts),
        *_memory(facts),
        *_clock(facts),
    )


def _processors(facts: DeviceFacts, cpus: Sequence[int], target: CpuTarget) -> Iterator[Finding]:
    if not facts.processors:
        yield Finding("doubtful", "processors", "the device does not say which are online")
        return
    missing = sorted(set(cpus) - set(facts.processors))
    online = _listed(facts.processors)
    if missing:
        yield Finding(
            "spoils", "processors", f"cpu {_listed(missing)} is not online; online: {online}",
            f"echo 1 | sudo tee /sys/devices/system/cpu/cpu{missing[0]}/online, or give --cpus",
        )  # fmt: skip
    elif len(cpus) < target.cores:
        yield Finding(
            "spoils", "processors",
            f"kernels use {target.cores} cores, timed on {_listed(cpus)} of {online}",
            "name as many processors with --cpus, or give fewer --threads",
        )  # fmt: skip
    else:
        yield Finding("fine", "processors", f"{online} online, timed on {_listed(cpus)}")


def _core_types(facts: DeviceFacts, cpus: Sequence[int], target: CpuTarget) -> Iterator[Finding]:
    wanted = str(target.tvm_dict().get("mcpu", ""))
    if wanted not in CORES.values() or not facts.cores:
        if facts.model:
            yield Finding("fine", "core", facts.model)
        return
    others = {cpu: facts.cores[cpu] for cpu in cpus if facts.cores.get(cpu, wanted) != wanted}
    if not others:
        yield Finding("fine", "core", wanted)
        return
    right = [cpu for cpu, core in sorted(facts.cores.items()) if core == wanted]
    found = ", ".join(sorted(set(others.values())))
    yield Finding(
        "spoils", "core",
        f"cpu {_listed(sorted(others))} is a {found}, the profile is of a {wanted}",
        f"--cpus {_listed(right[: target.cores])}" if right
        else "take the profile of this core; list them with: ponas profiles",
    )  # fmt: skip


def _governor(
    facts: DeviceFacts, cpus: Sequence[int], protocol: Protocol, worst: Level
) -> Iterator[Finding]:
    for cpu in cpus:
        governor = facts.governors.get(cpu)
        if governor is None:
            continue
        path = f"/sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_governor"
        fixed = facts.lowest_mhz.get(cpu) == facts.highest_mhz.get(cpu, -1)
        wanted = protocol.governor or "performance"
        if protocol.governor and governor != protocol.governor:
            text = f"cpu {cpu} has '{governor}', the protocol wants '{wanted}'"
        elif not protocol.governor and governor not in _FIXED and not fixed:
            text = f"cpu {cpu} has '{governor}', which changes the frequency while kernels run"
        else:
            continue
        yield Finding(worst, "governor", text, f"echo {wanted} | sudo tee {path}")
        return
    shown = sorted({facts.governors[cpu] for cpu in cpus if cpu in facts.governors})
    if shown:
        yield Finding("fine", "governor", ", ".join(shown))
    else:
        yield Finding("doubtful", "governor", "the device does not tell it (a virtual machine?)")


def _frequency(
    facts: DeviceFacts, cpus: Sequence[int], target: CpuTarget, worst: Level
) -> Iterator[Finding]:
    for cpu in cpus:
        highest = facts.highest_mhz.get(cpu)
        if highest is None:
            continue
        if abs(highest / target.frequency_mhz - 1) <= FREQUENCY_SHARE:
            continue
        path = f"/sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_max_freq"
        yield Finding(
            worst, "frequency",
            f"cpu {cpu} may run at {highest:g} MHz, the profile speaks of {target.frequency_mhz:g}",
            f"echo {target.frequency_mhz * 1000:.0f} | sudo tee {path}",
        )  # fmt: skip
        return
    shown = sorted({facts.highest_mhz[cpu] for cpu in cpus if cpu in facts.highest_mhz})
    if shown:
        yield Finding("fine", "frequency", ", ".join(f"{mhz:g} MHz" for mhz in shown))


def _temperature(facts: DeviceFacts, protocol: Protocol) -> Iterator[Finding]:
    if facts.celsius is None:
        if protocol.max_temperature_c is not None:
            yield Finding(
                "spoils", "temperature", "the protocol has a limit, the device no thermometer",
                "--max-temperature-c none",
            )  # fmt: skip
        return
    limit = protocol.max_temperature_c or HOT_C
    if facts.celsius > limit:
        yield Finding(
            "spoils", "temperature", f"{facts.celsius:.0f} °C, above {limit:.0f}",
            "let it cool down, give it a fan, or lower its highest frequency",
        )  # fmt: skip
    else:
        yield Finding("fine", "temperature", f"{facts.celsius:.0f} °C")


def _load(facts: DeviceFacts) -> Iterator[Finding]:
    if facts.load is None:
        return
    if facts.load > BUSY_LOAD:
        yield Finding(
            "doubtful", "load", f"{facts.load:.2f} processes run or wait", "see which with: top",
        )  # fmt: skip
    else:
        yield Finding("fine", "load", f"{facts.load:.2f}")


def _memory(facts: DeviceFacts) -> Iterator[Finding]:
    if facts.available_mb is None:
        return
    if facts.available_mb < LEAST_MEMORY_MB:
        yield Finding(
            "spoils", "memory", f"only {facts.available_mb:.0f} MB are available",
            "end what else runs there; see it with: top",
        )  # fmt: skip
    else:
        yield Finding("fine", "memory", f"{facts.available_mb:.0f} MB available")


def _clock(facts: DeviceFacts) -> Iterator[Finding]:
    if facts.clock in _SLOW_CLOCKS:
        level: Level = "spoils" if "jiffies" in facts.clock else "doubtful"
        yield Finding(
            level, "clock", f"its source is {facts.clock}, which is coarse or slow to read",
            "see the others: /sys/devices/system/clocksource/clocksource0/available_clocksource",
        )  # fmt: skip
    elif facts.clock:
        yield Finding("fine", "clock", facts.clock)


def _listed(numbers: Sequence[int]) -> str:
    """``0-3,6``, as /sys writes it."""
    parts: list[list[int]] = []
    for number in sorted(numbers):
        if parts and number == parts[-1][-1] + 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    return ",".join(f"{p[0]}-{p[-1]}" if len(p) > 1 else str(p[0]) for p in parts)
