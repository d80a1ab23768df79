import os
from types import SimpleNamespace

import pytest
from tvm.target import codegen

from costmodel import host
from costmodel.host import SOURCES, host_target, usable_cores
from costmodel.target_check import check_target
from costmodel.target_file import facts_of


def test_the_host_is_what_llvm_says_it_is():
    target = host_target()
    assert dict(target.tvm)["mcpu"] == codegen.llvm_get_system_cpu()
    assert target.cores == 1
    assert target.vector_lanes in {4, 8, 16}
    assert target.channel_block in {8, 16}
    assert 100 < target.frequency_mhz < 10_000
    assert target.l1_bytes <= target.l2_bytes


def test_asked_twice_it_is_the_same_and_other_cores_are_another():
    assert host_target() == host_target()
    assert host_target(2).digest != host_target().digest
    assert host_target(2).cores == 2


@pytest.mark.parametrize(
    ("core", "lanes", "registers", "fma_per_cycle"),
    [
        ("skylake-avx512", 16, 32, 2),
        ("znver4", 8, 32, 2),  # does 512 bits in two halves: its vectors are the halves
        ("haswell", 8, 16, 2),
        ("znver1", 8, 16, 1),  # does 256 bits in two halves
        ("nehalem", 4, 16, 2),
    ],
)
def test_a_host_is_its_core_whatever_machine_compiles(
    monkeypatch, core, lanes, registers, fma_per_cycle
):
    system = SimpleNamespace(
        llvm_get_system_cpu=lambda: core, llvm_get_system_triple=lambda: "x86_64-linux-gnu"
    )
    monkeypatch.setattr(host, "llvm", lambda: system)
    target = host_target.__wrapped__()
    check_target(target)
    found = target.vector_lanes, target.vector_registers, target.fma_per_cycle
    assert found == (lanes, registers, fma_per_cycle)


def test_each_fact_of_the_host_has_a_source():
    assert SOURCES.keys() == set(facts_of(host_target()))


def test_usable_cores_are_those_that_we_are_bound_to(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 2, 5}, raising=False)
    assert usable_cores() == 3


def index(folder, number, **files):
    place = folder / f"index{number}"
    place.mkdir(parents=True)
    for name, text in files.items():
        (place / name).write_text(f"{text}\n")


def test_data_caches_are_read_and_instruction_caches_are_not(tmp_path):
    index(tmp_path, 0, type="Data", level=1, size="48K")
    index(tmp_path, 1, type="Instruction", level=1, size="32K")
    index(tmp_path, 2, type="Unified", level=2, size="1024K")
    assert host._read_caches(tmp_path) == {1: 48 * 1024, 2: 1024 * 1024}


@pytest.mark.parametrize(
    "files", [{}, {"type": "Data"}, {"type": "Data", "level": "x", "size": "1K"}]
)
def test_what_the_system_does_not_tell_is_left_out(tmp_path, files):
    index(tmp_path, 0, **files)
    assert host._read_caches(tmp_path) == {}


def test_a_clock_that_is_not_told_is_assumed(monkeypatch):
    monkeypatch.setattr(host.psutil, "cpu_freq", lambda: None)
    assert host._frequency_mhz() == host.ASSUMED_FREQUENCY_MHZ
