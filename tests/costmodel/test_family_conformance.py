"""What `ScheduleFamily` promises, asked of every family; a new one is a line in FAMILIES."""

import numpy as np
import pytest
from cuda_drawing import make_gpu
from drawing import (
    any_pool_kernels,
    channels_kernels,
    conv_kernels,
    depthwise_kernels,
    elementwise_kernels,
    grouped_kernels,
    layout_kernels,
    make_target,
    pool_kernels,
    softmax_kernels,
    targets,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from costmodel.errors import InputError
from costmodel.lowering import lower
from costmodel.partition import Step
from costmodel.program import Program
from costmodel.schedules.family import MAXIMUM_POINTS, Schedule
from costmodel.schedules.registry import DIRECT, POOL, describe, families_of
from costmodel.tir import read

FAMILIES = [
    pytest.param(DIRECT, conv_kernels(), id="direct"),
    pytest.param(POOL, pool_kernels(), id="pool"),
]
TARGET = make_target()
every_family = pytest.mark.parametrize(("family", "kernels"), FAMILIES)
quick = settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.too_slow])
through_tvm = settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.too_slow])


@every_family
@quick
@given(data=st.data(), target=targets)
def test_there_are_1_to_64_distinct_points(family, kernels, data, target):
    found = family.points(data.draw(kernels), target)
    assert 1 <= len(found) <= MAXIMUM_POINTS
    assert len(set(found)) == len(found)
    assert {schedule.family for schedule in found} == {family.name}


@every_family
@quick
@given(data=st.data(), target=targets)
def test_a_point_can_be_written_down(family, kernels, data, target):
    for schedule in family.points(data.draw(kernels), target):
        assert Schedule.parse(str(schedule)) == schedule


@every_family
@quick
@given(data=st.data(), target=targets)
def test_the_hot_statement_does_all_the_useful_arithmetic(family, kernels, data, target):
    kernel = data.draw(kernels)
    for schedule in family.points(kernel, target):
        assert family.describe(kernel, schedule, target).hot.total_flops >= kernel.flops


@every_family
@quick
@given(data=st.data(), target=targets)
def test_accesses_stay_inside_their_buffers(family, kernels, data, target):
    """Strides are never negative here, so the last iteration touches the last element."""
    kernel = data.draw(kernels)
    for schedule in family.points(kernel, target):
        x, *constants, out = (
            int(np.prod(shape)) for shape in family.shapes(kernel, schedule, target)
        )
        sizes = dict(zip(("x", "w", "b"), (x, *constants), strict=False)) | {"out": out}
        for statement in family.describe(kernel, schedule, target).statements:
            if statement.guarded or statement.store.buffer == "pad":
                continue  # conditions cut these off; the reader cannot see by how much
            for access in (statement.store, *statement.loads):
                assert min(access.strides, default=0) >= 0
                if access.buffer in sizes:
                    steps = zip(statement.loops, access.strides, strict=True)
                    last = sum((loop.extent - 1) * stride for loop, stride in steps)
                    assert last < sizes[access.buffer]


@every_family
@quick
@given(data=st.data(), target=targets)
def test_memory_of_a_kernel_holds_its_arguments_and_little_more(family, kernels, data, target):
    kernel = data.draw(kernels)
    for schedule in family.points(kernel, target)[:4]:
        shape = (kernel.height, kernel.width, kernel.input_stride)
        program = Program((Step(kernel, ("input",), "out", ("out",)),), (schedule,), shape, target)
        arguments = 4 * sum(
            int(np.prod(shape)) for shape in family.shapes(kernel, schedule, target)
        )
        copy = 4 * (kernel.height + 8) * (kernel.width * 2 + 40) * kernel.input_stride
        assert arguments <= program.peak_memory_bytes() <= arguments + copy


@every_family
@through_tvm
@given(data=st.data(), target=targets)
def test_the_description_is_what_tvm_makes_of_it(family, kernels, data, target):
    kernel = data.draw(kernels)
    schedules = family.points(kernel, target)
    sample = data.draw(st.sets(st.sampled_from(schedules), min_size=1, max_size=3))
    for schedule in sorted(sample):
        module = family.module(kernel, schedule, target)
        assert read(module) == family.describe(kernel, schedule, target)
        declared = tuple(
            tuple(int(extent) for extent in buffer.shape) for buffer in module["main"].params
        )
        assert declared == family.shapes(kernel, schedule, target)


@every_family
@settings(deadline=None, max_examples=4)
@given(data=st.data(), target=targets)
def test_lowering_twice_gives_the_same_code(family, kernels, data, target):
    kernel = data.draw(kernels)
    schedules = family.points(kernel, target)
    first, last = (lower(kernel, schedules[i], target) for i in (0, -1))
    assert lower(kernel, schedules[0], target).digest == first.digest
    assert first.nest == describe(kernel, schedules[0], target)
    assert (first.digest == last.digest) == (len(schedules) == 1)
    assert len(first.digest) == 16


@every_family
@settings(deadline=None, max_examples=5)
@given(data=st.data())
def test_the_registry_knows_the_family_of_its_kernels(family, kernels, data):
    kernel = data.draw(kernels)
    assert family.handles(kernel, TARGET)
    assert family in families_of(kernel, TARGET)


@every_family
@settings(deadline=None, max_examples=5)
@given(data=st.data())
def test_a_cpus_family_handles_nothing_on_a_gpu(family, kernels, data):
    assert not family.handles(data.draw(kernels), make_gpu())


@settings(deadline=None, max_examples=100)
@given(
    st.one_of(conv_kernels(), any_pool_kernels(), depthwise_kernels(), grouped_kernels(),
              elementwise_kernels(), channels_kernels(), layout_kernels(), softmax_kernels()),
    st.one_of(targets, st.just(make_gpu())),
)  # fmt: skip
def test_every_kernel_has_a_family_and_all_that_are_asked_handle_it(kernel, target):
    found = families_of(kernel, target)
    assert found
    assert all(family.handles(kernel, target) for family in found)


@pytest.mark.parametrize(
    "text", ["", "direct vectors", "direct vectors=x", "direct =", "direct a=1=2"]
)
def test_a_text_that_is_no_schedule_is_refused_with_an_example(text):
    with pytest.raises(InputError, match="is not a schedule; one looks like 'direct vectors=2"):
        Schedule.parse(text)


def test_a_schedule_gives_its_parameters_by_name():
    schedule = Schedule.parse("direct vectors=2 columns=8")
    assert (schedule["vectors"], schedule["columns"]) == (2, 8)
