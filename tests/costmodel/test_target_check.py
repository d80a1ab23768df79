import subprocess
import sys

import pytest
from drawing import make_target
from test_target import make_gpu

from costmodel.errors import InputError
from costmodel.host import host_target
from costmodel.target import freeze_tvm_target
from costmodel.target_check import check_facts, check_target, vector_lanes_of

ARM = {"kind": "llvm", "mtriple": "armv7l-linux-gnueabihf", "mcpu": "cortex-a15"}
A64 = {"kind": "llvm", "mtriple": "aarch64-linux-gnu", "mcpu": "cortex-a72"}
X86 = {"kind": "llvm", "mtriple": "x86_64-linux-gnu", "mcpu": "haswell"}


def cpu(tvm, lanes=4, **facts):
    registers = 32 if str(tvm["mtriple"]).startswith("aarch64") else 16
    return make_target(
        lanes, tvm=freeze_tvm_target(tvm), **{"vector_registers": registers, **facts}
    )


@pytest.mark.parametrize(
    "target",
    [
        cpu(ARM),
        cpu({**ARM, "mattr": ["+neon", "+vfp4"], "mfloat-abi": "hard", "num-cores": 1}),
        cpu({**ARM, "mcpu": "cortex-a7", "mattr": ["-slowfpvfmx"]}),
        cpu(A64),
        cpu({**A64, "mcpu": "cortex-a78ae"}),
        cpu(X86),
        cpu(X86, lanes=8),
        cpu({**X86, "mcpu": "x86-64-v4"}, lanes=16, vector_registers=32),
        cpu({**X86, "mcpu": "x86-64", "mattr": ["+avx2", "+fma"]}, lanes=8),
        make_target(16),
        make_gpu(),
        make_gpu({"arch": "sm_90a", "max_threads_per_block": 1024}),
    ],
    ids=lambda target: str(target.tvm_dict()),
)
def test_targets_that_agree_with_the_compiler_pass(target):
    check_target(target)


def test_the_host_agrees_with_its_compiler():
    check_target(host_target())


@pytest.mark.parametrize(
    ("target", "told"),
    [
        (cpu({**A64, "mtriple": "aarch65-linux-gnu"}), "unknown mtriple .*did you mean aarch64"),
        (cpu({**A64, "mtriple": "nonsense"}), "unknown mtriple 'nonsense'; it begins with one of"),
        (cpu({**A64, "mtriple": ""}), "unknown mtriple ''"),
        (cpu({**A64, "mtriple": 7}), "mtriple 7, which is no text"),
        (cpu({**ARM, "mfloat-abi": "firm"}), "unknown mfloat-abi 'firm'; known are hard, soft"),
        (cpu({**ARM, "mattr": ["neon"]}), r"mattr 'neon'; an attribute .* as in \+neon"),
        (cpu({**ARM, "kind": "cuda"}), "kind 'cuda'; this kind of target needs 'llvm'"),
        (cpu({**ARM, "num-cores": 4}), r"'cores' \(1\) is not the num-cores \(4\) of 'tvm'"),
        (cpu(ARM, vector_registers=32), r"'vector_registers' \(32\) cannot be on armv7l.*has 16"),
        (cpu(A64, vector_registers=16), r"'vector_registers' \(16\) cannot be on aarch64.*has 32"),
        (cpu(ARM, lanes=8), r"'vector_lanes' \(8\) cannot be on armv7l-linux-gnueabihf; it has 4"),
        (make_gpu({"arch": "61"}), "arch '61'; a CUDA arch is one like sm_61"),
        (make_gpu({"arch": ["sm_61"]}), "a CUDA arch is one like sm_61"),
        (make_gpu({"kind": "llvm"}), "kind 'llvm'; this kind of target needs 'cuda'"),
        (make_gpu({"max_threads_per_block": 512}), r"'threads_per_block' \(1024\) is not the max_"),
        (make_gpu({"registers_per_block": 2**17}), "'registers_per_multiprocessor' .* is below"),
        (make_gpu({"host": {"kind": "llvm"}}), "'tvm' has an object at 'host'"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_contradictions_are_found_without_a_compiler(target, told):
    with pytest.raises(InputError, match=f"^target fact .*{told}") as raised:
        check_facts(target)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("target", "told"),
    [
        (cpu({**A64, "mcpu": "cortex-a67"}), "unknown mcpu 'cortex-a67'; did you mean cortex-a"),
        (cpu({**ARM, "mcpu": "haswell"}), "unknown mcpu 'haswell'"),
        (cpu({**X86, "mcpu": "cortex-a15"}), "unknown mcpu 'cortex-a15'"),
        (cpu({**ARM, "mattr": ["+neno"]}), r"unknown mattr '\+neno'; did you mean neon"),
        (cpu({**ARM, "mattr": ["-neon"]}), r"'vector_lanes' \(4\) is above the 1 of cortex-a15"),
        (cpu(X86, lanes=16), r"'vector_lanes' \(16\) is above the 8 of haswell"),
        (cpu(X86, vector_registers=32), r"'vector_registers' \(32\) needs AVX-512"),
        (cpu({**A64, "num_cores": 1}), "refused by TVM: .*Unknown config option 'num_cores'"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_llvm_does_not_know_is_refused_with_what_it_does(target, told):
    with pytest.raises(InputError, match=f"^target fact .*{told}") as raised:
        check_target(target)
    assert "\n" not in str(raised.value)


def test_unknown_names_never_reach_llvm(capfd):
    """LLVM writes about what it does not know; asked about a wrong triple it ends the process."""
    for wrong in ({"mcpu": "cortex-a99"}, {"mattr": ["+nonsense"]}, {"mtriple": "riscv-x"}):
        with pytest.raises(InputError):
            check_target(cpu({**A64, **wrong}))
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("tvm", "lanes"),
    [
        (X86, 8),
        ({**X86, "mcpu": "x86-64-v4"}, 16),
        ({**X86, "mcpu": "x86-64"}, 4),
        (ARM, 4),
        (A64, 4),
        ({**A64, "mattr": ["-neon"]}, 1),
    ],
)
def test_lanes_are_those_of_the_core_and_not_of_this_machine(tvm, lanes):
    assert vector_lanes_of(tvm) == lanes


def test_facts_are_checked_without_importing_the_compiler():
    code = "import sys, costmodel.profile, costmodel.target_check; sys.exit('tvm' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
