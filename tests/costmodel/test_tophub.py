import json
import math
from pathlib import Path

import pytest
from cuda_drawing import make_gpu
from drawing import make_target

from costmodel.errors import InputError
from costmodel.loopnest import LoopKind, Memory
from costmodel.schedules.spatial_pack import SpatialPackConvolution
from costmodel.tir import read
from costmodel.tophub.records import PROFILES, read_records

ARM, GPU = make_target(lanes=4, cores=2), make_gpu()
SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "tophub_conv.jsonl"
"""Data handed in beside the checkout; what needs it is left out where it is not."""
with_records = pytest.mark.skipif(not SHARED.is_file(), reason=f"no {SHARED}")


def row(board, op, schedule, **changes):
    """A 3x3 layer of 8 channels and 16 filters on a map of 12x10 as the file has it."""
    depthwise = op == "depthwise_conv2d"
    given = {
        "board": board, "target": "", "op": op, "in_channels": 8, "in_height": 12, "in_width": 10,
        "out_channels": 8 if depthwise else 16, "kernel": [3, 3], "stride": [1, 1],
        "padding": [1, 1, 1, 1], "groups": 8 if depthwise else 1, "out_height": 12,
        "out_width": 10, "macs": 9 * 120 * 8 * (1 if depthwise else 16), "schedule": schedule,
        "seconds": 1e-3,
    }  # fmt: skip
    return {**given, **changes}


def unroll(steps):
    return {"auto_unroll_max_step": ["ot", steps], "unroll_explicit": ["ot", 1]}


ARM_DIRECT = row("rk3399", "direct_conv2d", {
    "tile_co": ["sp", [2, 8]], "tile_oh": ["sp", [6, 2]], "tile_ow": ["sp", [2, 5]],
    "reorder_0": ["re", [0, 1, 2, 3, 4, 5, 6, 9, 7, 8]],
    "ann_reduce": ["an", ["none", "unroll"]], "ann_spatial": ["an", ["unroll", "unroll", "vec"]],
})  # fmt: skip
ARM_WINOGRAD = row("pynq", "winograd_conv2d", {
    "tile_p": ["sp", [3, 3]], "tile_k": ["sp", [8, 4]], "tile_c": ["sp", [4, 4]],
    "ann_reduce": ["an", ["unroll"]], "ann_spatial": ["an", ["vec", "unroll"]],
}, in_channels=16, out_channels=32, macs=9 * 120 * 16 * 32)  # fmt: skip
ARM_DEPTHWISE = row("bcm2837", "depthwise_conv2d", {
    "tile_c": ["sp", [2, 4]], "tile_h": ["sp", [4, 3]], "tile_w": ["sp", [5, 2]],
    "ann": ["an", ["unroll", "none", "vec"]],
})  # fmt: skip
CUDA_DIRECT = row("1080ti", "direct_conv2d", {
    "tile_f": ["sp", [2, 2, 2, 2]], "tile_y": ["sp", [3, 1, 2, 2]], "tile_x": ["sp", [1, 1, 10, 1]],
    "tile_rc": ["sp", [4, 2]], "tile_ry": ["sp", [1, 3]], "tile_rx": ["sp", [3, 1]], **unroll(512),
})  # fmt: skip
CUDA_WINOGRAD = row("tx2", "winograd_conv2d", {
    "tile_b": ["sp", [16, 1, 1, 1]], "tile_y": ["sp", [2, 2, 2, 2]],
    "tile_x": ["sp", [2, 1, 5, 3]], "tile_rc": ["sp", [2, 4]], **unroll(128),
})  # fmt: skip
CUDA_DEPTHWISE = row("jetson-nano", "depthwise_conv2d", {
    "tile_f": ["sp", [4, 2, 1, 1]], "tile_y": ["sp", [3, 1, 2, 2]], "tile_x": ["sp", [1, 2, 5, 1]],
    **unroll(0),
})  # fmt: skip
ROWS = (ARM_DIRECT, ARM_WINOGRAD, ARM_DEPTHWISE, CUDA_DIRECT, CUDA_WINOGRAD, CUDA_DEPTHWISE)
every_row = pytest.mark.parametrize("given", ROWS, ids=lambda r: f"{r['board']}-{r['op']}")


@pytest.fixture
def records_of(tmp_path):
    def read_rows(*rows):
        path = tmp_path / "records.jsonl"
        path.write_text("".join(json.dumps(r) + "\n" for r in rows))
        return list(read_records(path))

    return read_rows


def nest_of(record):
    return record.describe(GPU if record.on_gpu else ARM)


def inner_product(loops, kinds):
    return math.prod(loop.extent for loop in loops if loop.kind in kinds)


@every_row
def test_a_row_becomes_a_kernel_and_its_time(records_of, given):
    (record,) = records_of(given)
    assert (record.board, record.op, record.seconds, record.line) == (
        given["board"], given["op"], 1e-3, 1,
    )  # fmt: skip
    assert record.kernel.output_size == (12, 10)
    assert record.kernel.flops == 2 * record.macs == 2 * given["macs"]
    assert record.kernel.is_depthwise == (given["op"] == "depthwise_conv2d")
    assert record.profile == PROFILES[given["board"]]


@every_row
def test_every_store_of_the_output_happens_once(records_of, given):
    (record,) = records_of(given)
    last = nest_of(record).statements[-1]
    rows, columns = record.kernel.output_size
    outputs = rows * columns * record.kernel.filters
    assert last.store.buffer == "out"
    assert last.iterations == outputs or (last.guarded and last.iterations > outputs)


@every_row
def test_the_hot_statement_is_the_multiply_adds(records_of, given):
    (record,) = records_of(given)
    hot = nest_of(record).hot
    tile = {"pynq": 4, "tx2": 2}.get(record.board)
    tiles = 0 if tile is None else -(-12 // tile) * -(-10 // tile)
    transformed = (
        0
        if tile is None
        else (tile + 2) ** 2 * tiles * record.kernel.channels * record.kernel.filters
    )
    assert hot.flops == 2
    assert hot.iterations == (transformed if tile else record.macs)


@every_row
def test_a_buffer_is_written_before_it_is_read(records_of, given):
    (record,) = records_of(given)
    given_from_outside = {"x", "w", "b", "u"}
    written = set(given_from_outside)
    for statement in nest_of(record).statements:
        assert {load.buffer for load in statement.loads} <= written
        written.add(statement.store.buffer)
    assert "out" in written


@every_row
def test_loops_and_accesses_agree(records_of, given):
    (record,) = records_of(given)
    for statement in nest_of(record).statements:
        for access in (statement.store, *statement.loads):
            assert len(access.strides) == len(statement.loops)
            assert access.private_depth is None or access.private_depth <= len(statement.loops)


def test_an_arm_direct_record_is_a_point_of_spatial_pack_and_its_module(records_of):
    (record,) = records_of(ARM_DIRECT)
    assert str(record.schedule) == (
        "spatial-pack tile_co=8 tile_oh=2 tile_ow=5 ann_reduce=1 ann_spatial=112 reorder=1 packed=1"
    )
    module = SpatialPackConvolution().module(record.kernel, record.schedule, ARM)
    assert read(module) == record.describe(ARM)


def test_only_arm_direct_records_are_points_of_spatial_pack(records_of):
    schedules = [record.schedule for record in records_of(*ROWS)]
    assert [schedule is not None for schedule in schedules] == [True] + [False] * 5


def test_winograd_on_arm_multiplies_36_matrices_a_block_of_filters_at_a_time(records_of):
    (record,) = records_of(ARM_WINOGRAD)
    *_, gemm = (s for s in record.describe(ARM).statements if s.store.buffer == "m")
    # blocks of filters, 36 places, tiles, channels in four parts, tiles of a block, its filters
    assert [loop.extent for loop in gemm.loops] == [8, 6, 6, 3, 4, 4, 3, 4]
    assert gemm.loops[0].kind is LoopKind.PARALLEL
    assert [loop.kind for loop in gemm.loops[-3:]] == [
        LoopKind.UNROLLED, LoopKind.UNROLLED, LoopKind.VECTORIZED,
    ]  # fmt: skip
    loads = {load.buffer: load.strides for load in gemm.loads}
    assert loads["u"] == (16 * 4, 6 * 32 * 16, 32 * 16, 0, 4 * 4, 4, 0, 1)
    assert loads["v"] == (0, 6 * 9 * 16, 9 * 16, 16 * 3, 4 * 3, 3, 1, 0)
    assert gemm.store.private_depth == 1


def test_winograd_tiles_over_the_edge_are_stored_under_a_condition(records_of):
    (record,) = records_of(ARM_WINOGRAD)
    assert record.describe(ARM).statements[-1].guarded  # ten columns are not tiles of four
    (record,) = records_of(CUDA_WINOGRAD)
    assert record.describe(GPU).statements[-1].guarded == (16 * 30 % 128 > 0)


def test_depthwise_on_arm_packs_a_strip_of_rows_and_sums_in_memory(records_of):
    (record,) = records_of(ARM_DEPTHWISE)
    weights, strip, _, sums, _ = record.describe(ARM).statements
    assert [loop.extent for loop in weights.loops] == [2, 3, 3, 4]
    assert [loop.extent for loop in strip.loops] == [2, 4, 3 + 2, 10 + 2, 4]
    assert [loop.extent for loop in sums.loops] == [2, 4, 5, 3, 3, 3, 2, 4]
    assert sums.store.private_depth == 0
    assert sums.store.strides == (480, 120, 8, 0, 0, 40, 4, 1)


def test_depthwise_on_cuda_goes_through_shared_memory_and_registers(records_of):
    (record,) = records_of(CUDA_DEPTHWISE)
    statements = record.describe(GPU).statements
    memories = [s.store.memory for s in statements]
    shared, local = Memory.SHARED, Memory.LOCAL
    assert memories == [shared, shared, local, local, local, local, Memory.GLOBAL]
    hot = record.describe(GPU).hot
    assert inner_product(hot.loops, {LoopKind.BLOCK}) == 4 * 3
    assert inner_product(hot.loops, {LoopKind.THREAD}) == 2 * 5
    assert inner_product(hot.loops, {LoopKind.UNROLLED}) == 2 * 2  # virtual threads alone


def test_auto_unrolling_writes_loops_out_from_the_innermost_while_they_fit(records_of):
    schedule = {**CUDA_WINOGRAD["schedule"], **unroll(50)}
    (record,) = records_of({**CUDA_WINOGRAD, "schedule": schedule})
    hot = record.describe(GPU).hot
    # four channels around two rows by three columns, for two virtual threads: 48 stores of 50
    assert inner_product(hot.loops, {LoopKind.UNROLLED}) == 48
    schedule = {**CUDA_WINOGRAD["schedule"], **unroll(47)}
    (record,) = records_of({**CUDA_WINOGRAD, "schedule": schedule})
    assert inner_product(record.describe(GPU).hot.loops, {LoopKind.UNROLLED}) == 12


def test_slices_of_a_cuda_record_split_the_kernel_under_swapped_names(records_of):
    wide = row("tx2", "direct_conv2d", CUDA_DIRECT["schedule"] | {"tile_rx": ["sp", [1, 1]]},
               kernel=[1, 3], padding=[0, 1, 0, 1], macs=3 * 120 * 8 * 16)  # fmt: skip
    (record,) = records_of(wide)
    assert record.describe(GPU).hot.total_flops == record.kernel.flops
    swapped = CUDA_DIRECT["schedule"] | {"tile_ry": ["sp", [1, 1]]}
    with pytest.raises(InputError, match="'tile_rx' must split 1 into 2"):
        records_of({**wide, "schedule": swapped})


def test_the_first_part_of_a_split_may_be_what_is_left(records_of):
    schedule = ARM_DIRECT["schedule"] | {"tile_co": ["sp", [-1, 8]]}
    (record,) = records_of({**ARM_DIRECT, "schedule": schedule})
    assert record.knobs["tile_co"] == (2, 8)


def without(name):
    return {key: value for key, value in ARM_DIRECT.items() if key != name}


def with_knob(given, **knobs):
    return {**given, "schedule": {**given["schedule"], **knobs}}


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (without("seconds"), "'seconds' is missing"),
        (without("schedule"), "'schedule' is missing"),
        ({**ARM_DIRECT, "board": "pi"}, "unknown board 'pi'; there are bcm2837"),
        ({**ARM_DIRECT, "op": "pool"}, "unknown op 'pool'; there are direct_conv2d"),
        ({**ARM_DIRECT, "seconds": 0}, "'seconds' must be positive"),
        ({**ARM_DIRECT, "seconds": "soon"}, "could not convert"),
        ({**ARM_DIRECT, "seconds": float("inf")}, "'seconds' must be positive"),
        ({**ARM_DIRECT, "macs": 7}, "'macs' is 7, the layer has 138240"),
        ({**ARM_DIRECT, "groups": 0}, "'groups' must be positive"),
        ({**ARM_DIRECT, "groups": 3}, "'groups' is 3, which does not divide"),
        ({**ARM_DIRECT, "stride": [0, 1]}, "'stride' must be positive"),
        ({**ARM_DIRECT, "kernel": [3]}, "not enough values"),
        ({**ARM_DIRECT, "in_height": 1, "padding": [0, 0, 0, 0]}, "does not fit"),
        ({**ARM_DIRECT, "out_width": 9}, "the output is stated as"),
        (["a"], "not an object"),
        ({**ARM_DIRECT, "schedule": ["sp"]}, "'schedule' must be an object"),
        (with_knob(ARM_DIRECT, tile_co=["sp", [3, 8]]), "'tile_co' must split 16 into 2"),
        (with_knob(ARM_DIRECT, tile_co=["sp", [0, 0]]), "'tile_co' must split 16 into 2"),
        (with_knob(ARM_DIRECT, tile_co=["sp", [-1, 0]]), "'tile_co' must split 16 into 2"),
        (with_knob(ARM_DIRECT, tile_co=["xx", [2, 8]]), "'tile_co' is of the unknown kind 'xx'"),
        (with_knob(ARM_DIRECT, tile_co=["sp", []]), "'tile_co' must split 16 into 2"),
        (with_knob(ARM_DIRECT, ann_reduce=["an", ["none"]]), "'ann_reduce' must give 2"),
        (with_knob(ARM_DIRECT, ann_reduce=["an", ["vec", "none"]]), "'ann_reduce' must give 2"),
        (with_knob(ARM_DIRECT, reorder_0=["re", [1, 0]]), "'reorder_0' is"),
        ({**ARM_WINOGRAD, "stride": [2, 2], "out_height": 6, "out_width": 5, "macs": 138240},
         "'winograd_conv2d' is of 3x3 kernels with stride 1"),
        (with_knob(ARM_DEPTHWISE, ann=["an", ["a", "b", "c"]]), "'ann' must give 3 of none"),
        (with_knob(CUDA_WINOGRAD, tile_b=["sp", [5, 1, 1, 1]]), "'tile_b' must multiply to"),
        (with_knob(CUDA_DIRECT, tile_f=["sp", [2, 8]]), "'tile_f' must split 16 into 4"),
        (with_knob(CUDA_DIRECT, unroll_explicit=["sp", [1]]), "'unroll_explicit' must be one"),
    ],
)  # fmt: skip
def test_a_bad_row_is_refused_by_its_line(records_of, bad, message):
    with pytest.raises(InputError, match=f"line 2: .*{message}"):
        records_of(ARM_DIRECT, bad)


def test_a_line_that_is_no_json_is_refused_by_its_number(tmp_path):
    path = tmp_path / "records.jsonl"
    path.write_text(f"{json.dumps(ARM_DIRECT)}\n\n{{nonsense\n")
    with pytest.raises(InputError, match="line 3: not JSON"):
        list(read_records(path))


def test_a_file_that_is_not_there_is_an_error_with_its_name(tmp_path):
    with pytest.raises(InputError, match=r"absent\.jsonl cannot be read: No such file"):
        list(read_records(tmp_path / "absent.jsonl"))


def test_a_binary_file_is_refused(tmp_path):
    path = tmp_path / "records.jsonl"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="cannot be read: it is not UTF-8"):
        list(read_records(path))


@with_records
def test_all_records_are_read_and_described():
    records = list(read_records(SHARED))
    assert len(records) == 1122
    assert {record.board for record in records} == set(PROFILES)
    for record in records:
        nest = nest_of(record)
        assert nest.hot.flops == 2
        if record.op != "winograd_conv2d":
            assert record.macs <= nest.hot.iterations <= 1.2 * record.macs


@with_records
def test_recorded_arm_schedules_of_small_layers_are_what_tvm_makes_of_them():
    direct = [r for r in read_records(SHARED) if r.schedule and r.macs < 12e6]
    distinct = {record.schedule: record for record in direct}
    family = SpatialPackConvolution()
    for record in list(distinct.values())[::9]:
        module = family.module(record.kernel, record.schedule, ARM)
        assert read(module) == record.describe(ARM)
