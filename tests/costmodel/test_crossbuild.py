import json
import struct
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
import tvm
from boards import BOARDS, ONE_OF_EACH_PLATFORM, board_target, emulator_of, run_under_qemu
from drawing import conv_kernels, make_target, small_network
from handmade import matmul, mirrored_sum, normal, primfunc
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from reference import largest_relative_error, torch_output
from tvm import te

from costmodel.crossbuild import toolchain
from costmodel.crossbuild.link import build
from costmodel.crossbuild.platforms import platform_of
from costmodel.crossbuild.run import check, run
from costmodel.crossbuild.toolchain import Toolchain
from costmodel.errors import DeviceError, InputError
from costmodel.lowering import lower
from costmodel.partition import partition
from costmodel.program import Program, assemble, constants
from costmodel.schedules.registry import family_of, points
from costmodel.target import freeze_tvm_target

without_shrinking = settings(  # each example is compiled
    deadline=None, max_examples=4, suppress_health_check=[HealthCheck.too_slow],
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)  # fmt: skip


@pytest.mark.parametrize("processor", BOARDS)
def test_every_processor_computes_what_numpy_does(processor):
    a, b, x = normal(7, 33), normal(33, 20), normal(101, 64)
    outputs = run_under_qemu(
        [matmul(), mirrored_sum(101, parallel=True), mirrored_sum(101, parallel=False)],
        board_target(processor, cores=2),
        [[a, b], [x], [x]],
    )
    expected = [a @ b, (2 * x + 1) + x[::-1], (2 * x + 1) + x[::-1]]
    for found, truth in zip(outputs, expected, strict=True):
        assert largest_relative_error(found, truth) < 1e-5


def test_more_threads_than_rows_leave_none_out():
    x = normal(3, 64)
    target = board_target("cortex-a15", cores=8)
    (found,) = run_under_qemu([mirrored_sum(3, parallel=True)], target, [[x]])
    np.testing.assert_allclose(found, (2 * x + 1) + x[::-1], rtol=1e-6)


@pytest.mark.parametrize("processor", ["cortex-a9", "cortex-a76"])
def test_a_triple_of_four_parts_is_as_good_as_one_of_three(processor):
    target = board_target(processor, cores=2)
    triple = dict(target.tvm)["mtriple"].replace("-linux", "-unknown-linux")
    longer = replace(target, tvm=freeze_tvm_target({**target.tvm_dict(), "mtriple": triple}))
    x = normal(9, 64)
    (found,) = run_under_qemu([mirrored_sum(9, parallel=True)], longer, [[x]])
    np.testing.assert_allclose(found, (2 * x + 1) + x[::-1], rtol=1e-6)


@pytest.mark.parametrize("processor", BOARDS)
@without_shrinking
@given(data=st.data())
def test_convolutions_compute_on_every_processor_what_torch_does(processor, data):
    target = board_target(processor, cores=2)
    lowered, inputs, expected = [], [], []
    for _ in range(3):
        kernel = data.draw(conv_kernels(largest_channels=20, largest_extent=20))
        schedule = data.draw(st.sampled_from(points(kernel, target)))
        x = normal(kernel.height, kernel.width, kernel.input_stride)
        weight = normal(kernel.filters, kernel.channels // kernel.groups, *kernel.kernel)
        bias = normal(kernel.filters)
        packed = family_of(schedule).pack(kernel, schedule, target, (weight, bias))
        lowered.append(lower(kernel, schedule, target))
        shapes = family_of(schedule).shapes(kernel, schedule, target)
        inputs.append([x.reshape(shapes[0]), *packed])
        expected.append(convolution(kernel, x, weight, bias))
    outputs = run_under_qemu(lowered, target, inputs)
    for found, truth in zip(outputs, expected, strict=True):
        computed = found.reshape(*truth.shape[:2], -1)[..., : truth.shape[-1]]
        assert largest_relative_error(computed, truth) < 1e-5


def convolution(kernel, x, weight, bias):
    top, left, bottom, right = kernel.padding
    rows = torch.from_numpy(x[..., : kernel.channels]).permute(2, 0, 1)[None]
    padded = F.pad(rows, (left, right, top, bottom))
    value = F.conv2d(
        padded, torch.from_numpy(weight), torch.from_numpy(bias), kernel.stride,
        dilation=kernel.dilation, groups=kernel.groups,
    )  # fmt: skip
    assert kernel.epilogue in {(), ("relu",)}
    value = torch.relu(value) if kernel.epilogue else value
    return value[0].permute(1, 2, 0).numpy()


@pytest.mark.parametrize("processor", ONE_OF_EACH_PLATFORM)
def test_whole_networks_share_a_program(processor, tmp_path):
    """Their kernels have equal names and unequal code."""
    target = board_target(processor)
    emulator = emulator_of(target)
    modules, calls, expected = {}, [], []
    for name, filters in (("small", 7), ("large", 20)):
        network = small_network(filters=filters)
        weights = network.random_weights(filters)
        steps = partition(network, target)
        schedules = tuple(points(step.kernel, target)[0] for step in steps)
        program = Program(steps, schedules, network.input_shape, target)
        x = normal(*network.input_shape)
        workspace = np.zeros(max(program.arena().elements, 1), np.float32)
        modules[name] = assemble(program)
        calls.append((name, [x, *constants(program, network, weights), workspace]))
        expected.append(torch_output(network, weights, x))
    found = check(build(modules, target, tmp_path / "program"), calls, emulator=emulator)
    for output, truth in zip(found, expected, strict=True):
        assert largest_relative_error(output.ravel()[: truth.size], truth) < 1e-5


@pytest.mark.parametrize(
    ("processor", "bits", "machine"),
    [("cortex-a7", 1, 40), ("cortex-a53", 2, 183), ("x86-64", 2, 62)],
)
def test_the_program_is_for_its_machine_and_needs_no_loader(processor, bits, machine, tmp_path):
    emulator_of(board_target(processor))
    built = build({"k": matmul()}, board_target(processor), tmp_path / "deep" / "program")
    elf = built.path.read_bytes()
    assert (elf[:4], elf[4]) == (b"\x7fELF", bits)
    assert struct.unpack_from("<H", elf, 18) == (machine,)
    table, size, count = (
        (*struct.unpack_from("<I", elf, 28), *struct.unpack_from("<HH", elf, 42))
        if bits == 1
        else (*struct.unpack_from("<Q", elf, 32), *struct.unpack_from("<HH", elf, 54))
    )
    kinds = {struct.unpack_from("<I", elf, table + i * size)[0] for i in range(count)}
    assert 1 in kinds  # PT_LOAD
    assert not kinds & {2, 3}  # PT_DYNAMIC, PT_INTERP
    assert len(elf) < 200_000
    assert [p.name for p in built.path.parent.iterdir()] == ["program"]


def test_a_program_lists_its_kernels(tmp_path):
    target = board_target("cortex-a72")
    modules = {"first": matmul(2, 3, 4), "second.2-x": mirrored_sum(5, parallel=False)}
    emulator = emulator_of(target)
    program = build(modules, target, tmp_path / "program")
    said = [
        json.loads(line) for line in run(program.path, ["list"], emulator=emulator).splitlines()
    ]
    assert said == [
        {"kernel": "first", "shapes": [[2, 3], [3, 4], [2, 4]]},
        {"kernel": "second.2-x", "shapes": [[5, 64], [5, 64]]},
    ]


def test_a_kernel_may_be_checked_several_times_in_any_order(tmp_path):
    target = board_target("cortex-a53")
    emulator = emulator_of(target)
    modules = {"m": matmul(), "s": mirrored_sum(4, parallel=False)}
    program = build(modules, target, tmp_path / "program")
    x, a, b = normal(4, 64), normal(7, 33), normal(33, 20)
    calls = [("s", [x]), ("m", [a, b]), ("s", [-x]), ("m", [2 * a, b])]
    found = check(program, calls, emulator=emulator)
    truths = [2 * x + 1 + x[::-1], a @ b, -2 * x + 1 - x[::-1], 2 * a @ b]
    for output, truth in zip(found, truths, strict=True):
        assert largest_relative_error(output, truth) < 1e-5


def test_an_input_that_is_cut_off_is_an_error(tmp_path):
    target = board_target("x86-64")
    emulator = emulator_of(target)
    program = build({"m": matmul(2, 2, 4)}, target, tmp_path / "program")
    given = b"m\n" + bytes(4 * 4 + 30)
    with pytest.raises(DeviceError, match="the input ends within argument 1 of kernel 'm'"):
        run(program.path, ["check"], emulator=emulator, given=given)


def test_files_serve_where_there_are_no_pipes(tmp_path):
    target = board_target("x86-64")
    emulator = emulator_of(target)
    program = build({"m": matmul(1, 2, 4)}, target, tmp_path / "program")
    a, b = normal(1, 2), normal(2, 4)
    (tmp_path / "in").write_bytes(b"m\n" + a.tobytes() + b.tobytes())
    words = ["check", "--input", str(tmp_path / "in"), "--output", str(tmp_path / "out")]
    assert run(program.path, words, emulator=emulator) == b""
    found = np.frombuffer((tmp_path / "out").read_bytes(), np.float32)
    np.testing.assert_allclose(found, (a @ b)[0], rtol=1e-5)


@pytest.mark.parametrize(
    ("triple", "platform"),
    [
        ("armv7l-linux-gnueabihf", "armv7"),
        ("armv7a-unknown-linux-musleabihf", "armv7"),
        ("aarch64-linux-gnu", "aarch64"),
        ("arm64-unknown-linux-gnu", "aarch64"),
        ("arm-linux-gnueabihf", "armv7"),
        ("x86_64-pc-linux-gnu", "x86_64"),
    ],
)
def test_the_triple_says_the_platform(triple, platform):
    target = make_target(4, tvm=freeze_tvm_target({"kind": "llvm", "mtriple": triple}))
    assert platform_of(target).name == platform


@pytest.mark.parametrize(
    "triple", ["armv7l-linux-gnueabi", "arm64-apple-darwin", "riscv64-linux-gnu", "x86_64-windows"]
)
def test_what_no_program_can_be_built_for_is_named(triple):
    target = make_target(4, tvm=freeze_tvm_target({"kind": "llvm", "mtriple": triple}))
    with pytest.raises(InputError, match=f"no static program for the triple '{triple}'"):
        platform_of(target)


def test_without_the_cross_linker_the_extra_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(toolchain.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(DeviceError, match=r"pip install 'ponas\[boards\]'"):
        build({"k": matmul()}, board_target("cortex-a7"), tmp_path / "program")
    assert list(tmp_path.iterdir()) == []


def test_a_failed_link_leaves_the_old_program_and_one_line(tmp_path):
    target = board_target("x86-64")
    emulator_of(target)
    path = tmp_path / "program"
    path.write_text("old")
    source = """
    #include "program.h"
    int gone(void *, Any *, int32_t, Any *);
    const Kernel kernels[] = {{"gone", gone, 0, 0}};
    const int kernel_count = 1;
    """
    with pytest.raises(DeviceError, match=r"zig cannot build for x86_64: .*gone") as raised:
        Toolchain().link([], source, platform_of(target), path)
    assert "\n" not in str(raised.value)
    assert [p.name for p in tmp_path.iterdir()] == ["program"]
    assert path.read_text() == "old"


def test_only_float32_arrays_of_fixed_shape_are_arguments(tmp_path):
    target = board_target("cortex-a7")
    a = te.placeholder((4,), dtype="int32", name="a")
    integers = tvm.IRModule({"main": primfunc(a, te.compute((4,), lambda i: a[i] + 1))})
    with pytest.raises(InputError, match="argument 0 of kernel 'k' is int32, not a float32 array"):
        build({"k": integers}, target, tmp_path / "program")
    n = te.var("n")
    b = te.placeholder((n,), name="b")
    dynamic = tvm.IRModule({"main": primfunc(b, te.compute((n,), lambda i: b[i] + 1.0))})
    with pytest.raises(InputError, match="argument 0 of kernel 'k' has no fixed shape"):
        build({"k": dynamic}, target, tmp_path / "program")
    with pytest.raises(InputError, match="has no function 'main'"):
        build({"k": tvm.IRModule({"other": matmul()["main"]})}, target, tmp_path / "program")
    with pytest.raises(InputError, match="at least one kernel"):
        build({}, target, tmp_path / "program")
