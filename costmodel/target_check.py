"""Whether a target's facts agree with what TVM and LLVM are told, before either is asked.

LLVM ends the process on some names that it does not know and compiles for another core on others,
so no name reaches it here that has not been found in its own lists.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from typing import Any

from costmodel.errors import DeviceError, InputError
from costmodel.target import CpuTarget, GpuTarget, Target

Facts = dict[str, Any]


@dataclass(frozen=True)
class Architecture:
    """What an instruction set fixes for every core that has it."""

    triples: tuple[str, ...]
    """First words of the triples that mean it (LLVM's `Triple::parseArch`)."""
    lanes: tuple[int, ...]
    """float32 numbers that its vector registers can hold."""
    registers: tuple[int, ...]
    """Vector registers that it can have."""


ARCHITECTURES = (
    Architecture(("x86_64", "amd64"), (4, 8, 16), (16, 32)),
    Architecture(("armv7l", "armv7a", "armv7", "armv8l", "arm"), (4,), (16,)),
    Architecture(("aarch64", "arm64"), (4,), (32,)),
)
"""Intel's and Arm's manuals: SSE/AVX/AVX-512 registers; NEON has 16 q registers in AArch32 and 32
v registers in AArch64."""
LANES_OF_FEATURE = {"avx512f": 16, "avx": 8, "sse2": 4, "neon": 4}
"""LLVM's name of an extension -> float32 numbers in its registers, widest first."""
FLOAT_ABIS = ("hard", "soft")
_CUDA_ARCH = re.compile(r"sm_[1-9][0-9]{1,2}[af]?")
_CUDA_LIMITS = {
    "max_threads_per_block": "threads_per_block",
    "max_num_threads": "threads_per_block",
    "max_shared_memory_per_block": "shared_bytes_per_block",
    "thread_warp_size": "warp_size",
}
"""What TVM is told -> the fact that must say the same."""


def check_facts(target: Target) -> None:
    """Checks all that can be known without a compiler; some microseconds.

    Raises InputError, one line that names the fact, where facts and TVM's dictionary contradict
    each other.
    """
    given = target.tvm_dict()
    for key, value in given.items():
        if isinstance(value, dict):
            raise InputError(f"target fact 'tvm' has an object at '{key}'; give texts and numbers")
    if isinstance(target, CpuTarget):
        _check_kind(given, "llvm")
        _check_cpu(target, given)
    if isinstance(target, GpuTarget):
        _check_kind(given, "cuda")
        _check_gpu(target, given)


def check_target(target: Target) -> None:
    """Checks also every name that LLVM is to be given; 40 ms for a new target, then nothing.

    Raises InputError, one line with the names nearest to an unknown one; DeviceError where there
    is no compiler.
    """
    check_facts(target)
    _check_names(target)


@cache
def _check_names(target: Target) -> None:
    codegen = llvm()
    given = target.tvm_dict()
    if isinstance(target, CpuTarget) and given.keys() & {"mcpu", "mtriple", "mattr"}:
        _check_with_llvm(target, given, codegen)
    _check_with_tvm(given)


def llvm() -> Any:  # noqa: ANN401 - TVM has no types
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


def vector_lanes_of(given: Facts) -> int:
    """float32 numbers in a vector register of TVM's target, 1 without vectors.

    The target must be known to LLVM. TVM's own `llvm_get_vector_width` is not used: for a
    Haswell, which has 256 bits, it answers 512 on a machine that has them.
    """
    features = _features(llvm(), given)
    return next((n for name, n in LANES_OF_FEATURE.items() if name in features), 1)


def architecture_of(triple: str) -> Architecture:
    """The instruction set that a triple names; InputError where it is none of ours."""
    word = triple.split("-", maxsplit=1)[0]
    for architecture in ARCHITECTURES:
        if word in architecture.triples:
            return architecture
    known = [word for architecture in ARCHITECTURES for word in architecture.triples]
    raise _unknown("mtriple", triple, word, known, f"it begins with one of {', '.join(known)}")


def _check_kind(given: Facts, kind: str) -> None:
    if given.get("kind") != kind:
        raise InputError(
            f"target fact 'tvm' has kind {given.get('kind')!r}; this kind of target needs '{kind}'"
        )


def _check_cpu(target: CpuTarget, given: Facts) -> None:
    for key in ("mcpu", "mtriple"):
        if not isinstance(given.get(key, ""), str):
            raise InputError(f"target fact 'tvm' has {key} {given[key]!r}, which is no text")
    for attribute in _attributes(given):
        if not isinstance(attribute, str) or attribute[:1] not in {"+", "-"}:
            raise InputError(
                f"target fact 'tvm' has mattr {attribute!r}; an attribute is a text that begins "
                "with + or -, as in +neon"
            )
    if given.get("mfloat-abi", "hard") not in FLOAT_ABIS:
        raise _unknown("mfloat-abi", given["mfloat-abi"], given["mfloat-abi"], FLOAT_ABIS)
    if given.get("num-cores", target.cores) != target.cores:
        raise InputError(
            f"target fact 'cores' ({target.cores}) is not the num-cores ({given['num-cores']}) "
            "of 'tvm'"
        )
    if "mtriple" in given:
        architecture = architecture_of(given["mtriple"])
        for fact, allowed in (
            ("vector_lanes", architecture.lanes),
            ("vector_registers", architecture.registers),
        ):
            if getattr(target, fact) not in allowed:
                raise InputError(
                    f"target fact '{fact}' ({getattr(target, fact)}) cannot be on "
                    f"{given['mtriple']}; it has {' or '.join(map(str, allowed))}"
                )


def _check_gpu(target: GpuTarget, given: Facts) -> None:
    arch = given.get("arch")
    if not isinstance(arch, str) or not _CUDA_ARCH.fullmatch(arch):
        raise InputError(f"target fact 'tvm' has arch {arch!r}; a CUDA arch is one like sm_61")
    for key, fact in _CUDA_LIMITS.items():
        if given.get(key, getattr(target, fact)) != getattr(target, fact):
            raise InputError(
                f"target fact '{fact}' ({getattr(target, fact)}) is not the {key} "
                f"({given[key]}) of 'tvm'"
            )
    if given.get("registers_per_block", 1) > target.registers_per_multiprocessor:
        raise InputError(
            f"target fact 'registers_per_multiprocessor' ({target.registers_per_multiprocessor}) "
            f"is below the registers_per_block ({given['registers_per_block']}) of 'tvm'"
        )


def _check_with_llvm(target: CpuTarget, given: Facts, codegen: Any) -> None:  # noqa: ANN401
    triple = given.get("mtriple") or str(codegen.llvm_get_system_triple())
    architecture_of(triple)
    cpus, attributes = _known(triple)
    cpu = given.get("mcpu")
    if cpu is not None and cpu not in cpus and not codegen.llvm_is_valid_cpu(cpu, triple):
        raise _unknown("mcpu", cpu, cpu, cpus)
    for attribute in _attributes(given):
        if attribute[1:] not in attributes:
            raise _unknown("mattr", attribute, attribute[1:], attributes)
    whole = {"kind": "llvm", "mtriple": triple, **given}
    lanes = vector_lanes_of(whole)
    if target.vector_lanes > lanes:
        raise InputError(
            f"target fact 'vector_lanes' ({target.vector_lanes}) is above the {lanes} of "
            f"{cpu or triple} with mattr {_attributes(given)}"
        )
    if target.vector_registers == 32 and triple.startswith(("x86", "amd")) and lanes < 16:
        raise InputError(
            f"target fact 'vector_registers' (32) needs AVX-512, which {cpu or triple} lacks"
        )


@cache
def _known(triple: str) -> tuple[frozenset[str], frozenset[str]]:
    """Cores that LLVM knows, and the attributes that any of them has; 40 ms."""
    import tvm

    codegen = llvm()
    plain = {"kind": "llvm", "mtriple": triple}
    cpus = frozenset(map(str, codegen.llvm_get_cpu_archlist(tvm.target.Target(plain))))
    attributes = (_features(codegen, {**plain, "mcpu": cpu}) for cpu in cpus)
    return cpus, frozenset().union(*attributes)


def _features(codegen: Any, given: Facts) -> frozenset[str]:  # noqa: ANN401 - TVM has no types
    import tvm

    kept = {k: v for k, v in given.items() if k in {"kind", "mtriple", "mcpu", "mattr"}}
    return frozenset(map(str, codegen.llvm_get_cpu_features(tvm.target.Target(kept))))


def _check_with_tvm(given: Facts) -> None:
    import tvm

    try:
        tvm.target.Target(given)
    except (ValueError, TypeError) as error:
        line = str(error).strip().splitlines()[-1].split(" Target creation from")[0]
        raise InputError(f"target fact 'tvm' is refused by TVM: {line}") from None


def _attributes(given: Facts) -> list[Any]:
    mattr = given.get("mattr", [])
    return mattr if isinstance(mattr, list) else [mattr]


def _unknown(
    key: str, value: object, word: object, known: Collection[str], rule: str = ""
) -> InputError:
    near = difflib.get_close_matches(str(word), sorted(known), n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else rule
    hint = hint or f"known are {', '.join(sorted(known)[:5])}, ..."
    return InputError(f"target fact 'tvm' has unknown {key} '{value}'; {hint}")
