"""Compiles one small kernel for each shipped profile; prints {name: {instruction: count}}.

A program of its own: a target that LLVM cannot stand ends the process, not the tests.
"""

import json
import re
import sys
from collections import Counter
from pathlib import Path

import tvm
from tvm import te
from tvm.s_tir import Schedule

from costmodel.profile import ProfileStore
from costmodel.target import CpuTarget
from costmodel.target_check import check_target

SHIPPED = Path(__file__).parents[2] / "hw_profiles"
INSTRUCTION = re.compile(r"^\s+([a-z][a-z0-9.]*)\s+(.*)", re.MULTILINE)


def product(columns):
    """A row times a matrix: c[i] = sum over k of a[k] b[k, i]."""
    row, matrix = te.placeholder((64,), name="a"), te.placeholder((64, columns), name="b")
    k = te.reduce_axis((0, 64), name="k")
    out = te.compute((columns,), lambda i: te.sum(row[k] * matrix[k, i], axis=k), name="c")
    function = te.create_prim_func([row, matrix, out]).with_attr("global_symbol", "main")
    schedule = Schedule(function)
    return schedule, schedule.get_sblock("c")


def cpu_instructions(target):
    """Mnemonics with the vector's width: four vectors of accumulators in registers."""
    schedule, block = product(4 * target.vector_lanes)
    column, k = schedule.get_loops(block)
    outer, lane = schedule.split(column, [None, target.vector_lanes])
    schedule.reorder(k, outer, lane)
    schedule.vectorize(lane)
    schedule.unroll(outer)
    schedule.decompose_reduction(block, k)
    module = tvm.compile(schedule.mod, target=tvm.target.Target(target.tvm_dict())).mod
    found = Counter()
    for name, operands in INSTRUCTION.findall(module.inspect_source("asm")):
        width = re.search(r"\b(zmm|ymm|xmm|q)[0-9]+|\.4s", operands)
        found[f"{name} {(width[1] or '4s') if width else ''}".strip()] += 1
    return dict(found)


def gpu_instructions(target):
    """`__global__` once for each kernel in the CUDA source."""
    schedule, block = product(256)
    column, _ = schedule.get_loops(block)
    blocks, threads = schedule.split(column, [None, 64])
    schedule.bind(blocks, "blockIdx.x")
    schedule.bind(threads, "threadIdx.x")
    whole = tvm.target.Target(target.tvm_dict(), host={"kind": "llvm"})
    module = tvm.compile(schedule.mod, target=whole).mod
    source = module.imports[0].inspect_source("cuda")
    return {"__global__": len(re.findall(r"^extern .*__global__ void .*\{$", source, re.MULTILINE))}


def main():
    store = ProfileStore([SHIPPED])
    found = {}
    for name in store.names():
        target = store.get(name).target()
        check_target(target)
        of = cpu_instructions if isinstance(target, CpuTarget) else gpu_instructions
        found[name] = of(target)
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
