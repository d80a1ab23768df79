"""The doctor: what a device says of itself, and what would spoil its figures."""

from dataclasses import replace
from pathlib import Path

import pytest

import hw_profiles
from costmodel.doctor.examine import examine
from costmodel.doctor.facts import PATTERNS, read_facts
from costmodel.profile import ProfileStore
from costmodel.protocol import Protocol
from costmodel.runners.local import LocalRunner

STORE = ProfileStore([Path(hw_profiles.__path__[0])])
A15 = STORE.get("odroid-xu3-a15")
CPU = "/sys/devices/system/cpu"


def cpuinfo(parts):
    """/proc/cpuinfo of an armv7 kernel: one block a processor."""
    blocks = [
        f"processor\t: {number}\nmodel name\t: ARMv7 Processor rev 3 (v7l)\n"
        f"CPU implementer\t: 0x41\nCPU architecture: 7\nCPU part\t: {part:#x}\n"
        for number, part in enumerate(parts)
    ]
    return "\n".join([*blocks, "Hardware\t: ODROID-XU4\n"])


def odroid(**changes):
    """What an ODroid XU4 with Linux 5.4 says, made ready for measuring."""
    files = {
        "/proc/cpuinfo": cpuinfo([0xC07] * 4 + [0xC0F] * 4),
        "/proc/loadavg": "0.08 0.03 0.05 1/188 1404\n",
        "/proc/meminfo": "MemTotal: 2041344 kB\nMemAvailable:    1720320 kB\n",
        "/proc/version": "Linux version 5.4.58-211 (root@server) (gcc 5.4.0) #1 SMP\n",
        f"{CPU}/online": "0-7\n",
        "/sys/class/thermal/thermal_zone0/temp": "46000\n",
        "/sys/class/thermal/thermal_zone1/temp": "51000\n",
        "/sys/devices/system/clocksource/clocksource0/current_clocksource": "mct-frc\n",
    }
    for cpu in range(8):
        files[f"{CPU}/cpu{cpu}/cpufreq/scaling_governor"] = "performance\n"
        files[f"{CPU}/cpu{cpu}/cpufreq/scaling_min_freq"] = "200000\n"
        files[f"{CPU}/cpu{cpu}/cpufreq/scaling_max_freq"] = "1400000\n"
    return {path: text for path, text in {**files, **changes}.items() if text is not None}


def look(files, *, protocol=A15.protocol, target=None, shared=False):
    findings = examine(read_facts(files), target or A15.target(), protocol, shared=shared)
    return {finding.topic: finding for finding in findings}


def test_every_file_that_is_read_is_asked_for():
    from fnmatch import fnmatch

    assert all(any(fnmatch(path, pattern) for pattern in PATTERNS) for path in odroid())


def test_an_odroid_tells_its_two_clusters():
    facts = read_facts(odroid())
    assert facts.processors == tuple(range(8))
    assert set(facts.cores.values()) == {"cortex-a7", "cortex-a15"}
    assert [facts.cores[cpu] for cpu in (0, 4)] == ["cortex-a7", "cortex-a15"]
    assert facts.highest_mhz[4] == 1400
    assert facts.celsius == 51
    assert facts.available_mb == 1680
    assert facts.kernel == "Linux version 5.4.58-211"
    assert facts.clock == "mct-frc"


def test_an_old_kernel_names_the_core_once_for_all_processors():
    text = (
        "Processor\t: ARMv7 Processor rev 3 (v7l)\nprocessor\t: 0\n\nprocessor\t: 1\n\n"
        "CPU implementer\t: 0x41\nCPU part\t: 0xc09\n\nHardware\t: Xilinx Zynq\n"
    )
    facts = read_facts({"/proc/cpuinfo": text})
    assert dict(facts.cores) == {0: "cortex-a9", 1: "cortex-a9"}
    assert facts.processors == (0, 1)


@pytest.mark.parametrize("text", ["", "\0\0", "processor: x\nCPU part : zz", "CPU part\t: 0xc07"])
def test_garbage_is_no_fact(text):
    facts = read_facts(dict.fromkeys(odroid(), text))
    assert not facts.cores
    assert facts.celsius is None
    assert facts.load is None


def test_a_board_made_ready_is_fine_in_everything():
    assert {finding.level for finding in look(odroid()).values()} == {"fine"}


def spoilt(topic, found):
    assert found[topic].level == "spoils"
    return found[topic]


def test_the_wrong_cluster_spoils_and_the_cure_names_the_right_one():
    finding = spoilt("core", look(odroid(), protocol=Protocol()))
    assert "cpu 0 is a cortex-a7, the profile is of a cortex-a15" in finding.text
    assert finding.cure == "--cpus 4"


def test_a_board_without_such_a_core_needs_another_profile():
    finding = spoilt("core", look(odroid(**{"/proc/cpuinfo": cpuinfo([0xC07] * 8)})))
    assert "ponas profiles" in finding.cure


def test_a_governor_that_changes_the_frequency_spoils_and_is_mended_by_a_command():
    files = odroid(**{f"{CPU}/cpu4/cpufreq/scaling_governor": "ondemand\n"})
    finding = spoilt("governor", look(files))
    assert finding.cure == f"echo performance | sudo tee {CPU}/cpu4/cpufreq/scaling_governor"
    assert look(files, shared=True)["governor"].level == "doubtful"


def test_a_governor_is_no_matter_where_the_frequency_cannot_change():
    files = odroid(
        **{f"{CPU}/cpu4/cpufreq/scaling_governor": "ondemand\n",
           f"{CPU}/cpu4/cpufreq/scaling_min_freq": "1400000\n"}
    )  # fmt: skip
    assert look(files)["governor"].level == "fine"


def test_another_cluster_s_governor_is_no_matter():
    files = odroid(**{f"{CPU}/cpu0/cpufreq/scaling_governor": "ondemand\n"})
    assert look(files)["governor"].level == "fine"


def test_the_governor_that_the_protocol_wants_is_the_one_that_counts():
    finding = spoilt(
        "governor", look(odroid(), protocol=replace(A15.protocol, governor="powersave"))
    )
    assert "wants 'powersave'" in finding.text


def test_another_frequency_than_the_profile_s_spoils():
    files = odroid(**{f"{CPU}/cpu4/cpufreq/scaling_max_freq": "2000000\n"})
    finding = spoilt("frequency", look(files))
    assert "2000 MHz" in finding.text
    assert finding.cure.startswith("echo 1400000 |")


def test_a_processor_that_is_not_online_spoils():
    finding = spoilt("processors", look(odroid(**{f"{CPU}/online": "0-3\n"})))
    assert "cpu 4 is not online; online: 0-3" in finding.text


def test_more_cores_than_processors_spoil():
    target = A15.target().with_cores(4)
    finding = spoilt("processors", look(odroid(), protocol=Protocol(cpus=(4, 5)), target=target))
    assert "4 cores" in finding.text
    assert look(odroid(), target=target)["processors"].level == "fine"


def test_a_hot_board_spoils():
    files = odroid(**{"/sys/class/thermal/thermal_zone1/temp": "91000\n"})
    assert "91 °C, above 80" in spoilt("temperature", look(files)).text


def test_a_limit_without_a_thermometer_spoils():
    files = odroid(**{f"/sys/class/thermal/thermal_zone{zone}/temp": None for zone in (0, 1)})
    assert spoilt("temperature", look(files)).cure == "--max-temperature-c none"


def test_other_work_is_a_doubt_and_little_memory_spoils():
    found = look(odroid(**{"/proc/loadavg": "2.41 1 1 3/188 1\n",
                           "/proc/meminfo": "MemFree: 20480 kB\nCached: 10240 kB\n"}))  # fmt: skip
    assert found["load"].level == "doubtful"
    assert "only 30 MB" in spoilt("memory", found).text


@pytest.mark.parametrize(("clock", "level"), [("jiffies", "spoils"), ("hpet", "doubtful")])
def test_a_coarse_clock_is_told(clock, level):
    path = "/sys/devices/system/clocksource/clocksource0/current_clocksource"
    assert look(odroid(**{path: f"{clock}\n"}))["clock"].level == level


def test_whatever_spoils_has_a_cure():
    worst = odroid(
        **{"/proc/cpuinfo": cpuinfo([0xC07] * 8), "/proc/meminfo": "MemAvailable: 5000 kB\n",
           "/sys/class/thermal/thermal_zone1/temp": "99000\n",
           f"{CPU}/cpu4/cpufreq/scaling_governor": "ondemand\n",
           f"{CPU}/cpu4/cpufreq/scaling_max_freq": "2000000\n"}
    )  # fmt: skip
    spoiling = [finding for finding in look(worst).values() if finding.level == "spoils"]
    assert len(spoiling) == 5
    assert all(finding.cure for finding in spoiling)


def test_a_gpu_is_asked_for_memory_and_load_only():
    gpu = STORE.get("gtx-1080ti")
    found = look(odroid(), target=gpu.target(), protocol=gpu.protocol)
    assert set(found) == {"memory", "load"}


def test_this_machine_can_be_looked_at():
    host = STORE.get("host-cpu")
    with LocalRunner() as runner:
        facts = read_facts(runner.files(PATTERNS))
    assert facts.processors
    assert facts.available_mb > 0
    assert examine(facts, host.target(), host.protocol, shared=True)
