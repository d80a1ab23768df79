"""Runs kernels of a schedule family here, and holds their descriptions to TVM's own loops."""

import numpy as np
import tvm
from drawing import make_target
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from costmodel.host import host_target
from costmodel.lowering import compile_module
from costmodel.schedules.family import MAXIMUM_POINTS, Schedule
from costmodel.tir import read

slow = [HealthCheck.too_slow]
described = settings(deadline=None, max_examples=60, suppress_health_check=slow)
executed = settings(deadline=None, max_examples=25, suppress_health_check=slow)


@st.composite
def hosts(draw):
    """This machine's code, with the tiles of cores of up to its lanes, for one thread or two."""
    host = host_target(draw(st.integers(1, 2)))
    lanes = [lanes for lanes in (4, 8, 16) if lanes <= host.vector_lanes]
    return make_target(draw(st.sampled_from(lanes)), host.cores, host.tvm)


def sample(draw, family, kernel, target, most=2):
    """Some points of the family, all of them checked to be sound."""
    found = family.points(kernel, target)
    assert 1 <= len(found) <= MAXIMUM_POINTS
    assert len(set(found)) == len(found)
    assert {point.family for point in found} == {family.name}
    assert all(Schedule.parse(str(point)) == point for point in found)
    return sorted(draw(st.sets(st.sampled_from(found), min_size=1, max_size=most)))


def assert_described(family, kernel, schedule, target):
    """The description is what TVM makes of the module, and arguments are as declared."""
    module = family.module(kernel, schedule, target)
    assert read(module) == family.describe(kernel, schedule, target)
    declared = tuple(
        tuple(int(extent) for extent in buffer.shape) for buffer in module["main"].params
    )
    assert declared == family.shapes(kernel, schedule, target)


def run(family, kernel, schedule, target, values, constants=()):
    """Output for ``values``, each placed in its allocated shape with NaN around it."""
    shapes = family.shapes(kernel, schedule, target)
    arguments = []
    for value, shape in zip(values, shapes[: kernel.inputs], strict=True):
        allocated = np.full(shape, np.nan, np.float32)
        allocated[tuple(slice(extent) for extent in value.shape)] = value
        arguments.append(allocated)
    packed = family.pack(kernel, schedule, target, constants)
    assert tuple(array.shape for array in packed) == shapes[kernel.inputs : -1]
    arguments += [*packed, np.full(shapes[-1], np.nan, np.float32)]
    tensors = [tvm.runtime.tensor(np.ascontiguousarray(array)) for array in arguments]
    compile_module(family.module(kernel, schedule, target), target)["main"](*tensors)
    return tensors[-1].numpy()
