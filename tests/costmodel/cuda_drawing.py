"""GPUs and kernels that the tests of CUDA schedules draw from."""

from hypothesis import strategies as st

from costmodel.kernels import (
    ConvKernel,
    ElementwiseKernel,
    Operand,
    PooledDenseKernel,
    PoolKernel,
    SoftmaxKernel,
)
from costmodel.target import GpuTarget, freeze_tvm_target

GPUS = {
    "sm_53": (1, 128), "sm_61": (28, 128), "sm_62": (2, 128), "sm_70": (80, 64), "sm_75": (40, 64),
    "sm_80": (108, 64), "sm_86": (68, 128), "sm_89": (128, 128), "sm_90": (132, 128),
}  # fmt: skip
"""Architecture -> multiprocessors and multiply-adds a cycle of each, of one GPU of its kind."""


def make_gpu(arch="sm_61", **facts):
    tvm = {
        "kind": "cuda", "arch": arch, "max_threads_per_block": 1024,
        "max_shared_memory_per_block": 49152, "thread_warp_size": 32, "registers_per_block": 65536,
    }  # fmt: skip
    multiprocessors, fma = GPUS.get(arch, (28, 128))
    given = {
        "frequency_mhz": 1500.0,
        "l2_bytes": 2 * 1024 * 1024,
        "memory_gb_per_s": 400.0,
        "multiprocessors": multiprocessors,
        "fma_per_multiprocessor": fma,
        "threads_per_multiprocessor": 2048,
        "blocks_per_multiprocessor": 32,
        "shared_bytes_per_multiprocessor": 65536,
        "launch_seconds": 2e-6,
    }
    return GpuTarget(tvm=freeze_tvm_target(tvm), **{**given, **facts})


gpus = st.builds(make_gpu, st.sampled_from(sorted(GPUS)))
EPILOGUES = [
    (), ("relu",), ("add", "relu6"), ("hard_swish",), ("sigmoid", "multiply"),
    ("hard_sigmoid", "multiply", "add"),
]  # fmt: skip
epilogues = st.sampled_from(EPILOGUES)


def same(window, dilation=1):
    """Zeros before and after that keep an extent at stride one."""
    total = (window - 1) * dilation
    return total // 2, total - total // 2


@st.composite
def conv_kernels(draw, extent=12, channels=20, depthwise=False, groups=True):
    size = draw(st.tuples(*[st.integers(1, extent)] * 2))
    kernel = draw(st.tuples(*[st.integers(1, 5)] * 2))
    dilation = draw(st.sampled_from([(1, 1), (1, 1), (2, 1), (1, 2)]))
    group = draw(st.sampled_from([1, 1, 2, 3])) if groups else 1
    c = group * draw(st.integers(1, channels))
    m = group * draw(st.integers(1, channels))
    if depthwise:
        group = c = m = draw(st.integers(2, 2 * channels))
    (top, bottom), (left, right) = (same(k, d) for k, d in zip(kernel, dilation, strict=True))
    return ConvKernel(
        height=size[0], width=size[1], channels=c, input_stride=c, filters=m, kernel=kernel,
        stride=draw(st.tuples(*[st.integers(1, 2)] * 2)), padding=(top, left, bottom, right),
        dilation=dilation, groups=group, epilogue=draw(epilogues),
    )  # fmt: skip


def dense(channels, filters, epilogue=()):
    return ConvKernel(
        height=1, width=1, channels=channels, input_stride=channels, filters=filters,
        kernel=(1, 1), stride=(1, 1), padding=(0, 0, 0, 0), epilogue=epilogue,
    )  # fmt: skip


@st.composite
def dense_kernels(draw):
    return dense(draw(st.integers(1, 300)), draw(st.integers(1, 70)), draw(epilogues))


functions = st.sampled_from(["average", "max"])


def global_pool(size, channels, function="average"):
    return PoolKernel(
        height=size[0], width=size[1], channels=channels, input_stride=channels,
        function=function, window=size,
    )  # fmt: skip


@st.composite
def global_pools(draw):
    size = draw(st.tuples(*[st.integers(1, 20)] * 2))
    return global_pool(size, draw(st.integers(1, 40)), draw(functions))


@st.composite
def pooled_dense_kernels(draw):
    """Heads: of one number up to what takes a block several turns, of one output and of many."""
    channels, extent = draw(st.sampled_from([(1, 12), (40, 12), (400, 5)]))
    channels = draw(st.integers(1, channels))
    size = draw(st.tuples(*[st.integers(1, extent)] * 2))
    softmax = draw(st.booleans())
    units = draw(st.integers(1, 16) if softmax else st.one_of(st.integers(1, 40), st.just(300)))
    return PooledDenseKernel(
        pool=global_pool(size, channels, draw(functions)),
        dense=dense(channels, units, draw(epilogues)),
        softmax=softmax,
    )


@st.composite
def window_pools(draw):
    size = draw(st.tuples(*[st.integers(3, 14)] * 2))
    window = draw(st.tuples(*[st.integers(1, 3)] * 2))
    top, left = (draw(st.integers(0, w // 2)) for w in window)
    c = draw(st.integers(1, 12))
    return PoolKernel(
        height=size[0], width=size[1], channels=c, input_stride=c, function=draw(functions),
        window=window, stride=draw(st.tuples(*[st.integers(1, 2)] * 2)),
        padding=(top, left, top, left), count_padding=draw(st.booleans()),
    )  # fmt: skip


@st.composite
def elementwise_kernels(draw):
    operations = draw(
        st.sampled_from(
            [("affine", "relu"), ("add",), ("multiply", "relu6"), ("affine", "add", "affine"),
             ("hard_swish",)]
        )
    )  # fmt: skip
    c = draw(st.integers(1, 20))
    others = sum(name in ("add", "multiply") for name in operations)
    return ElementwiseKernel(
        height=draw(st.integers(1, 12)), width=draw(st.integers(1, 12)), channels=c,
        operands=(Operand(stride=c), *(
            Operand(stride=c, is_vector=draw(st.booleans())) for _ in range(others)
        )),
        operations=operations,
    )  # fmt: skip


@st.composite
def planar_softmaxes(draw):
    c = draw(st.integers(1, 150))
    return SoftmaxKernel(
        height=draw(st.integers(1, 6)), width=draw(st.integers(1, 6)), channels=c, input_stride=c,
    )  # fmt: skip
