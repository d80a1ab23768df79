"""NVIDIA's compiler and assembler on TVM's source; the report of ptxas as it stands."""

import importlib.metadata

import pytest
from cuda_drawing import make_gpu
from drawing import make_target
from test_cuda_families import needs_toolkit

from costmodel.cuda import toolkit
from costmodel.cuda.assemble import (
    ARCHITECTURES,
    KernelUsage,
    assemble,
    assemble_source,
    cuda_source,
    parse_report,
)
from costmodel.errors import DeviceError, InputError
from costmodel.kernels import ConvKernel, PoolKernel
from costmodel.schedules.cuda_conv import CudaConvolution
from costmodel.schedules.cuda_pool import CudaWindowPool
from costmodel.schedules.direct import DirectConvolution

CONV = ConvKernel(
    height=10, width=12, channels=8, input_stride=8, filters=20, kernel=(3, 3), stride=(1, 1),
    padding=(1, 1, 1, 1), epilogue=("relu",),
)  # fmt: skip
REPORT = """\
ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function 'main_kernel' for 'sm_61'
ptxas info    : Function properties for main_kernel
    24 bytes stack frame, 20 bytes spill stores, 16 bytes spill loads
ptxas info    : Used 64 registers, used 1 barriers, 1152 bytes smem, 352 bytes cmem[0], 8 bytes cmem[2]
ptxas info    : Compile time = 12.3 ms
ptxas info    : Compiling entry function 'other' for 'sm_61'
ptxas info    : Function properties for other
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 8 registers, 328 bytes cmem[0]
"""  # noqa: E501 - as ptxas writes it


def module_for(target):
    family = CudaConvolution()
    return family.module(CONV, family.points(CONV, target)[0], target)


def test_a_report_is_read_kernel_by_kernel():
    assert parse_report(REPORT) == (
        KernelUsage(
            name="main_kernel", registers=64, spill_store_bytes=20, spill_load_bytes=16,
            stack_bytes=24, shared_bytes=1152, constant_bytes=360,
        ),
        KernelUsage(
            name="other", registers=8, spill_store_bytes=0, spill_load_bytes=0, stack_bytes=0,
            shared_bytes=0, constant_bytes=328,
        ),
    )  # fmt: skip


@pytest.mark.parametrize("report", ["", REPORT.replace("registers", "things")])
def test_a_report_of_another_form_is_an_error(report):
    with pytest.raises(DeviceError, match="cannot read ptxas's report"):
        parse_report(report)


def test_tvms_source_needs_no_header():
    source = cuda_source(module_for(make_gpu()), make_gpu())
    assert "#include" not in source
    assert source.count("__global__") == 2  # declared, then defined
    assert "__syncthreads();" in source


def test_a_module_scheduled_for_a_cpu_is_refused_in_one_line():
    family, cpu = DirectConvolution(), make_target()
    module = family.module(CONV, family.points(CONV, cpu)[0], cpu)
    with pytest.raises(DeviceError, match="TVM cannot write CUDA") as caught:
        cuda_source(module, make_gpu())
    assert "\n" not in str(caught.value)


def test_an_architecture_that_is_none_of_ours_is_refused():
    with pytest.raises(InputError, match=r"'arch' is 'sm_20'; it must be one of sm_53, sm_61"):
        assemble(module_for(make_gpu()), make_gpu("sm_20"))


def test_missing_wheels_are_named_with_the_extra(monkeypatch):
    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "files", missing)
    toolkit.find_toolkit.cache_clear()
    with pytest.raises(InputError, match=r"nvidia-cuda-nvrtc-cu12.*pip install 'ponas\[cuda\]'"):
        toolkit.find_toolkit()
    toolkit.find_toolkit.cache_clear()


@needs_toolkit
@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_every_architecture_gives_machine_code_of_its_own(arch):
    target = make_gpu(arch)
    assembly = assemble(module_for(target), target)
    assert assembly.cubin[:4] == b"\x7fELF"
    number = int(arch.removeprefix("sm_"))
    assert int.from_bytes(assembly.cubin[0x30:0x34], "little") & 0xFF == number  # e_flags
    (usage,) = assembly.kernels
    assert usage.name == "main_kernel"
    assert 16 <= usage.registers <= 255


@needs_toolkit
def test_shared_memory_and_spills_are_those_of_the_source():
    source = """
    extern "C" __global__ void __launch_bounds__(1024) kernel(float* out) {
      __shared__ float shared[300];
      float own[200];
      for (int i = 0; i < 200; ++i) own[i] = out[i * 7];
      for (int i = 0; i < 200; ++i) own[(i * (int)out[3]) % 200] += own[i];
      shared[threadIdx.x % 300] = own[(int)out[5]];
      __syncthreads();
      out[threadIdx.x] = shared[(threadIdx.x * 7) % 300];
    }"""
    (usage,) = assemble_source(source, "sm_61").kernels
    assert usage.shared_bytes == 1200
    assert usage.stack_bytes >= 800  # an array that is indexed by variables has an address
    assert usage.registers <= 64  # 65,536 of a multiprocessor for 1,024 threads


@needs_toolkit
def test_a_pool_of_no_shared_memory_takes_none():
    family, target = CudaWindowPool(), make_gpu("sm_80")
    kernel = PoolKernel(
        height=8, width=8, channels=4, input_stride=4, function="max", window=(2, 2), stride=(2, 2)
    )
    module = family.module(kernel, family.points(kernel, target)[0], target)
    assert assemble(module, target).kernels[0].shared_bytes == 0


@needs_toolkit
@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("this is no program", r"NVRTC cannot compile with --gpu-architecture=compute_61: .*error"),
        (
            'extern "C" __global__ void k(float* o) { __shared__ float s[99999]; '
            "s[threadIdx.x] = o[0]; __syncthreads(); o[1] = s[threadIdx.x + 1]; }",
            r"ptxas cannot assemble for sm_61: .*too much shared data",
        ),
    ],
)
def test_what_the_compilers_refuse_is_an_error_of_one_line(source, complaint):
    with pytest.raises(DeviceError, match=complaint) as caught:
        assemble_source(source, "sm_61")
    assert "\n" not in str(caught.value)
