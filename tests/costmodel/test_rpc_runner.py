"""The runner `rpc` with one server of TVM's own on this machine's loopback, healthy and not."""

import hashlib
import importlib.metadata
import signal
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
from boards import board_target
from cuda_drawing import make_gpu
from drawing import small_network
from handmade import normal
from reference import largest_relative_error, torch_output
from rpc_server import RECOVERING_SERVER, SERVER, KeptPool, Served, eventually
from runner_contract import FAST, RunnerContract, kernel_jobs, network_job

from costmodel.crossbuild.platforms import platform_of
from costmodel.crossbuild.toolchain import Toolchain
from costmodel.errors import DeviceError, InputError
from costmodel.program import constants
from costmodel.runners import rpc_lane, rpc_session, rpc_worker
from costmodel.runners.object_pool import ObjectPool
from costmodel.runners.rpc import RpcRunner, _Server
from costmodel.runners.rpc_address import parse_address
from costmodel.runners.rpc_lane import _Built
from costmodel.runners.rpc_remote import check_times
from costmodel.runners.tvm_version import tvm_version


@pytest.fixture(scope="module")
def pool():
    pool = KeptPool(1)
    yield pool
    ObjectPool.close(pool)


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    """TVM's server, and ours that recovers; both start at the same time."""
    folder = tmp_path_factory.mktemp("rpc")
    servers = [Served(folder, SERVER), Served(folder, RECOVERING_SERVER, "--key", "k")]
    yield [server.await_start() for server in servers]
    for server in servers:
        server.stop()


@pytest.fixture(scope="module")
def warm(target, servers, pool):
    """One runner whose processes have imported TVM; a test that needs its own makes it."""
    with RpcRunner(target, servers[0].address, pool=pool) as runner:
        yield runner


@pytest.fixture
def runner(warm):
    warm._has_built = False
    return warm


class TestRpcRunner(RunnerContract):
    pass


@pytest.fixture
def lane(runner, target):
    """With `JOBS` jobs, of which a test may spoil some."""
    (lane,) = runner._lanes
    assert lane.build(jobs_of(target)) == {}
    yield lane
    lane.forget()


JOBS = 3


def jobs_of(target):
    return kernel_jobs(target, JOBS)


def errors(lane, target, protocol=FAST):
    answers = list(lane.time([job.key for job in jobs_of(target)], protocol))
    assert [answer.key for answer in answers] == [job.key for job in jobs_of(target)]
    for answer in answers:
        assert len(answer.samples) == (0 if answer.error else protocol.samples)
    return [answer.error for answer in answers]


_SPOILED = """#include "program.h"
int __tvm_ffi_{name}(void *self, Any *arguments, int32_t count, Any *result) {{
  const Any *last = &arguments[count - 1];
  Tensor *output = (Tensor *)((char *)last->value.tensor + (last->type_index == 70 ? 24 : 0));
  (void)self, (void)result, (void)output;
  {body}
  return 0;
}}
"""
FAULTS = {
    "crash": "*(volatile int *)0 = 1;",
    "hang": "for (volatile int i = 1; i;) {}",
    "garbage": '((float *)output->data)[0] = __builtin_nanf("");',
}


def spoil(lane, key, fault, folder):
    """Puts a function that misbehaves into the place of a built job."""
    built = lane._built[key]
    source, library = folder / f"{fault}.c", folder / f"{fault}.so"
    source.write_text(_SPOILED.format(name=built.call.name, body=FAULTS[fault]))
    platform = platform_of(board_target("x86-64"))
    Toolchain().cc(platform, ["-shared", "-nostdlib", str(source), "-o", str(library)])
    lane._built[key] = _Built(replace(built.call, library=library), built.objects)


def test_what_is_timed_computes_what_torch_does(lane, target):
    network, job = small_network(), network_job(target)
    weights, x = network.random_weights(0), normal(*network.input_shape)
    assert lane.build([job]) == {}
    workspace = normal(*lane._built[job.key].call.shapes[-2])
    found = lane.run(job.key, [x, *constants(job.program, network, weights), workspace])
    truth = torch_output(network, weights, x)
    assert largest_relative_error(found.ravel()[: truth.size], truth) < 1e-5
    with pytest.raises(InputError, match="this job takes"):
        lane.run(job.key, [x])


def test_several_threads_compute_the_same(lane):
    outputs = []
    for cores in (1, 2):
        (job,) = kernel_jobs(board_target("x86-64", cores), 1)
        assert lane.build([job]) == {}
        call = lane._built[job.key].call
        assert call.threads == cores
        outputs.append(lane.run(job.key, [normal(*shape) for shape in call.shapes[:-1]]))
        (answer,) = lane.time([job.key], replace(FAST, cpus=(0, 1), flush_kb=64))
        assert answer.error is None
    np.testing.assert_allclose(*outputs, rtol=1e-6)


def test_a_processor_that_is_not_there_is_no_kernels_fault(lane, target):
    with pytest.raises(DeviceError, match=r"it has no processor 1000 for us \(protocol: cpus\)"):
        errors(lane, target, replace(FAST, cpus=(1000,)))
    assert errors(lane, target, replace(FAST, cpus=(0,))) == [None] * JOBS


def test_an_output_that_is_not_finite_costs_one_job(lane, target, tmp_path):
    spoil(lane, jobs_of(target)[1].key, "garbage", tmp_path)
    assert errors(lane, target) == [None, "its output is not finite", None]


def test_a_kernel_that_hangs_costs_one_job(lane, target, tmp_path, monkeypatch):
    monkeypatch.setattr(lane, "_kernel_timeout_s", 1.0)
    spoil(lane, jobs_of(target)[1].key, "hang", tmp_path)
    found = errors(lane, target)
    assert found[1].startswith("it gave no answer in")
    assert [found[0], found[2]] == [None, None]


def test_a_session_is_begun_again_before_its_time_is_over(lane, target, servers):
    lane._session.end()
    before = servers[0].log.count("start serving")
    for _ in range(3):
        assert errors(lane, target) == [None] * JOBS
        lane._session._ends = time.monotonic() + 1
    assert servers[0].log.count("start serving") == before + 3


def test_a_session_that_is_over_leaves_the_board_to_others(lane, target, servers):
    assert errors(lane, target) == [None] * JOBS
    lane.forget()
    assert eventually(lambda: servers[0].session() is None)


def test_a_kernel_that_crashes_costs_one_job_where_the_server_is_started_again(
    lane, servers, target, tmp_path, monkeypatch
):
    move(lane, servers[1].address, "k", monkeypatch)
    spoil(lane, jobs_of(target)[1].key, "crash", tmp_path)
    found = errors(lane, target)
    assert found[1].startswith("the board was lost 2 times while it ran this kernel")
    assert [found[0], found[2]] == [None, None]
    # One crash is the board's: the job that it disturbed is timed again.
    answers = lane.time([jobs_of(target)[0].key] * 2, replace(FAST, min_repeat_ms=300))
    assert next(answers).error is None
    threading.Timer(0.1, lambda: servers[1].session().kill()).start()
    assert next(answers).error is None
    assert servers[1].log.count("exited unsuccessfully") == 3


def move(lane, address, key, monkeypatch):
    """Has the lane talk to another server; its process would take seconds to start."""
    lane._session.end()
    monkeypatch.setattr(lane, "_board", _Server(parse_address(address, "--rpc"), key))
    monkeypatch.setattr(lane, "_has_worked", lane._has_worked)


def test_a_server_with_another_key_says_so(lane, servers, monkeypatch):
    move(lane, servers[1].address, "other", monkeypatch)
    lane._has_worked = False
    with pytest.raises(DeviceError, match=r"begins no session.*key"):
        lane.files(["/proc/version"])


def test_where_nothing_listens_the_cure_is_said(lane, monkeypatch):
    move(lane, "127.0.0.1:1", "", monkeypatch)
    lane._has_worked = False
    with pytest.raises(DeviceError, match=r"connection refused.*tvm\.exec\.rpc_server --port 1"):
        lane.files(["/proc/version"])


def test_a_server_tells_its_tvm(lane):
    assert tvm_version(lane.files) == importlib.metadata.version("apache-tvm")


def test_another_tvm_is_named_with_ours(lane, monkeypatch):
    lane._session.end()
    monkeypatch.setattr(rpc_lane.importlib.metadata, "version", lambda _: "0.99.0")
    with pytest.raises(
        DeviceError, match=r"has TVM 0\.27\S*, this machine 0\.99\.0; install there: pip install"
    ):
        lane.files(["/proc/version"])


@pytest.mark.parametrize(
    ("address", "key"),
    [("board", ""), ("board:0", ""), ("a b:9090", ""), ("-x:9090", ""), (":9090", ""),
     ("fe80::1:90", ""), ("board:99999", ""), ("board:9090\n", ""), ("board:9090", "a b")],
)  # fmt: skip
def test_what_cannot_be_an_address_is_a_line(target, address, key):
    with pytest.raises(InputError, match=r"is no (host:port, as in|device key: at most)"):
        RpcRunner(target, address, key=key)


def test_a_gpu_is_refused_with_a_line():
    with pytest.raises(InputError, match="GPUs are not measured"):
        RpcRunner(make_gpu(), "board:9090")


def test_a_frozen_server_is_given_up_and_measures_again_when_it_thaws(
    lane, target, servers, monkeypatch
):
    assert errors(lane, target) == [None] * JOBS
    monkeypatch.setattr(lane, "_kernel_timeout_s", 1.0)
    monkeypatch.setattr(lane, "_reach_s", 1.0)
    monkeypatch.setattr(rpc_session, "GRACE_SECONDS", 0.5)
    monkeypatch.setattr(rpc_session, "CONNECT_SECONDS", 1.0)
    lane._session.end()
    answers = lane.time([job.key for job in jobs_of(target)], FAST)
    assert next(answers).error is None
    servers[0].signal(signal.SIGSTOP)
    try:
        with pytest.raises(
            DeviceError, match=r"takes connections but serves none.*\(for 1 s now\)"
        ):
            list(answers)
    finally:
        servers[0].signal(signal.SIGCONT)
    monkeypatch.undo()
    assert errors(lane, target) == [None] * JOBS


def test_a_server_killed_in_the_middle_is_a_failure_of_the_device(
    lane, target, tmp_path, monkeypatch
):
    server = Served(tmp_path, SERVER).await_start()
    move(lane, server.address, "", monkeypatch)
    monkeypatch.setattr(lane, "_reach_s", 1.0)
    outcomes = []
    answers = lane.time([job.key for job in jobs_of(target)], replace(FAST, min_repeat_ms=300))
    outcomes.append(next(answers))
    threading.Timer(0.1, server.stop).start()
    with pytest.raises(DeviceError, match=r"connection refused; TVM's server is started .*1 s now"):
        outcomes += answers
    assert [outcome.error for outcome in outcomes] == [None]


def test_our_own_process_that_dies_is_replaced(lane, target):
    assert errors(lane, target) == [None] * JOBS
    lane._session._child[0].kill()
    assert errors(lane, target) == [None] * JOBS


def test_a_board_of_another_kind_is_asked_whether_it_is_one(runner, servers, pool):
    (lane,) = runner._lanes
    lane.forget()
    with RpcRunner(board_target("cortex-a53"), servers[0].address, pool=pool) as foreign:
        line = r"it cannot load our library: .*; is it aarch64 with TVM 0\.\d+\.\d+\S*\?$"
        with pytest.raises(DeviceError, match=line):
            foreign.files(["/proc/version"])


def test_jobs_for_another_kind_of_device_are_errors_of_their_own(lane, target):
    (gpu,), (arm,) = kernel_jobs(make_gpu(), 1), kernel_jobs(board_target("cortex-a53"), 1)
    good = kernel_jobs(target, 2)[1]
    found = lane.build([gpu, good])
    assert found == {gpu.key: "it is for a GPU, this device is a processor"}
    assert lane.build([arm]) == {arm.key: "it is for aarch64, this device is x86_64"}


def test_what_cannot_be_linked_costs_only_itself(lane, target, monkeypatch):
    lane.forget()
    jobs = jobs_of(target)
    link = rpc_lane.link_shared

    def picky(objects, *rest):
        if any(lane_object(jobs[1]) in path.name for path in objects):
            raise DeviceError("bad object")
        link(objects, *rest)

    monkeypatch.setattr(rpc_lane, "link_shared", picky)
    assert lane.build(jobs) == {jobs[1].key: "bad object"}
    answers = lane.time([jobs[0].key, jobs[2].key], FAST)
    assert [answer.error for answer in answers] == [None, None]


def lane_object(job):
    return hashlib.sha256(job.key.encode()).hexdigest()[:16]


def test_a_missing_package_is_named_with_its_extra():
    failure = rpc_worker._failure(ImportError("No module named 'cloudpickle'"), None)
    assert failure.line == "No module named 'cloudpickle': pip install 'ponas[rpc]'"


@pytest.mark.parametrize(
    ("samples", "line"),
    [((1.0, float("nan")), "no time can be like that"), ((-1.0,), "no time can be like that"),
     ((0.0, 1.0), "set a larger min_repeat_ms"), ((5.0, 5.0), "the board's clock jumped")],
)  # fmt: skip
def test_times_that_cannot_be_are_refused(samples, line):
    with pytest.raises(ValueError, match=line):
        check_times(samples, 1.0)
    check_times((0.5, 0.4), 1.0)
