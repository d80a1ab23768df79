"""Kernels and a network on boards that run TVM's RPC server, against torch, by hand.

python tests/costmodel/check_rpc_board.py (--rpc HOST:PORT | --tracker HOST:PORT --key KEY)
    [--processor cortex-a72] [--kernels N] [--cores N]

For each of four schedule families N random kernels under their first point, and the network of the
paper's seed: all are timed once, then run once on known numbers on every board. Prints one line of
JSON: boards, jobs, errors, the largest error over the output's peak; ends with 1 where one is too
large. Without a board: ``python -m tools.emulated_board FOLDER --port N``.
"""

import argparse
import json
import sys
import time

import numpy as np
from board_drawing import drawn
from board_errors import TOLERANCE
from boards import BOARDS, board_target
from drawing import to_network
from handmade import normal
from kernel_results import (
    arguments_of,
    computed,
    constants_of,
    relative_error,
    torch_result,
    values_of,
)
from reference import largest_relative_error, torch_output
from runner_contract import FAST, measure

from costmodel.partition import partition
from costmodel.program import Program, constants
from costmodel.runners.contract import KernelJob, NetworkJob
from costmodel.runners.rpc import RpcRunner, TrackedRunner
from costmodel.schedules.registry import DEPTHWISE, DIRECT, ELEMENTWISE, POOL, points
from kws.architecture import SEED

FAMILIES = (DIRECT, DEPTHWISE, POOL, ELEMENTWISE)


def kernel_cases(target, count):
    """Jobs, and for each what it is given and what should come out."""
    for family in FAMILIES:
        for kernel in drawn(family, target, count, 0):
            schedule = family.points(kernel, target)[0]
            generator = np.random.default_rng(0)
            values, weights = (of(kernel, generator) for of in (values_of, constants_of))
            given = arguments_of(family, kernel, schedule, target, values, weights)
            yield KernelJob(kernel, schedule, target), given, torch_result(kernel, values, weights)


def network_case(target):
    network = to_network(SEED)
    weights, x = network.random_weights(0), normal(*network.input_shape)
    steps = partition(network, target)
    schedules = tuple(points(step.kernel, target)[0] for step in steps)
    program = Program(steps, schedules, network.input_shape, target)
    workspace = normal(max(program.arena().elements, 1))
    given = [x, *constants(program, network, weights), workspace]
    return NetworkJob("the seed", program), given, torch_output(network, weights, x)


def errors_of(lane, cases, network):
    """The relative error of each case on one board."""
    assert lane.build([job for job, _, _ in [*cases, network]]) == {}
    found = [
        relative_error(computed(job.kernel, lane.run(job.key, given)), truth)
        for job, given, truth in cases
    ]
    job, given, truth = network
    output = lane.run(job.key, given).ravel()[: truth.size]
    lane.forget()
    return [*found, largest_relative_error(output, truth)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rpc", help="HOST:PORT of a server")
    parser.add_argument("--tracker", help="HOST:PORT of a tracker")
    parser.add_argument("--key", help="of the boards at the tracker")
    parser.add_argument("--processor", choices=BOARDS, default="cortex-a72")
    parser.add_argument("--cores", type=int, default=1)
    parser.add_argument("--kernels", type=int, default=1, help="of each family")
    chosen = parser.parse_args()
    target = board_target(chosen.processor, chosen.cores)
    opened = (
        TrackedRunner(target, chosen.tracker, chosen.key)
        if chosen.tracker
        else RpcRunner(target, chosen.rpc or "127.0.0.1:9090")
    )
    begin = time.monotonic()
    with opened as runner:
        cases, network = list(kernel_cases(target, chosen.kernels)), network_case(target)
        outcomes = measure(runner, [job for job, _, _ in [*cases, network]], FAST)
        failed = {o.key: o.error for o in outcomes.values() if o.error}
        errors = [error for lane in runner._lanes for error in errors_of(lane, cases, network)]
        boards = [lane.name for lane in runner._lanes]
    print(
        json.dumps(
            {
                "boards": boards,
                "jobs": len(outcomes),
                "failed": failed,
                "largest_error": float(f"{max(errors):.2g}"),
                "errors": [float(f"{error:.2g}") for error in errors],
                "seconds": round(time.monotonic() - begin),
            }
        )
    )
    return int(bool(failed) or max(errors) > TOLERANCE)


if __name__ == "__main__":
    sys.exit(main())
