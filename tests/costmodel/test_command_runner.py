"""The runner `command`: natively, under emulators, and templates that cannot be right."""

import json
import shlex
import stat
import time
from dataclasses import replace

import psutil
import pytest
from boards import board_target, emulator_of
from drawing import small_network
from handmade import normal
from reference import largest_relative_error, torch_output
from runner_contract import FAST, RunnerContract, kernel_jobs, measure, network_job

from costmodel.crossbuild.link import StaticProgram
from costmodel.crossbuild.messages import TimeSettings
from costmodel.crossbuild.platforms import platform_of
from costmodel.crossbuild.run import check
from costmodel.errors import DeviceError, InputError
from costmodel.program import constants
from costmodel.protocol import Protocol
from costmodel.runners.command import CommandRunner, CommandTransport
from costmodel.runners.object_pool import ObjectPool

ONE_RUN = Protocol(
    repeats=1, min_repeat_ms=0, warm_up_ms=0, rounds=1, max_rounds=1, sentinel_every=0
)


@pytest.fixture(scope="module")
def warm(target):
    """One runner whose compilers have imported TVM; a test that needs its own makes it."""
    with CommandRunner(target, "{program} {args}", pool=ObjectPool(1)) as runner:
        yield runner


@pytest.fixture
def runner(warm):
    warm._has_built = False
    return warm


class TestCommandRunner(RunnerContract):
    pass


@pytest.fixture(scope="module", params=["cortex-a15", "cortex-a53"])
def emulated(request):
    """A runner of an emulated board, and the board's target."""
    target = board_target(request.param)
    command = f"{shlex.join(emulator_of(target))} {{program}} {{args}}"
    with CommandRunner(target, command, pool=ObjectPool(1)) as runner:
        yield runner, target


def test_an_emulated_board_times_kernels_and_networks(emulated):
    runner, target = emulated
    for outcome in measure(runner, [*kernel_jobs(target, 2), network_job(target)]).values():
        assert outcome.error is None
        assert outcome.seconds > 0


def test_what_is_timed_on_an_emulated_board_computes_what_torch_does(emulated):
    runner, target = emulated
    network, job = small_network(), network_job(target)
    weights, x = network.random_weights(0), normal(*network.input_shape)
    (lane,) = runner._lanes
    assert lane.build([job]) == {}
    signature = lane._program.objects[job.key].signature
    program = StaticProgram(lane._program.path, platform_of(target), (signature,))
    workspace = normal(*signature.shapes[-2])
    given = [x, *constants(job.program, network, weights), workspace]
    (found,) = check(program, [(signature.name, given)], emulator=emulator_of(target))
    truth = torch_output(network, weights, x)
    assert largest_relative_error(found.ravel()[: truth.size], truth) < 1e-5


def test_a_simulator_is_asked_for_one_warm_up_and_one_run(emulated):
    runner, target = emulated
    (job,) = kernel_jobs(target, 1)
    (outcome,) = measure(runner, [job], ONE_RUN).values()
    assert [len(samples) for samples in outcome.rounds] == [1]
    (lane,) = runner._lanes
    assert lane.build([job]) == {}
    lane._ready()
    name = lane._program.objects[job.key].signature.name
    words = TimeSettings.of(ONE_RUN, target.cores).arguments([name])
    status, (line,) = lane._transport.start(words).finish(60)
    said = json.loads(line)
    assert (status, said["runs"], said["warm_up_runs"]) == (0, [1], 1)


def test_a_program_for_another_machine_is_no_kernels_fault():
    foreign = board_target("cortex-a53")
    emulator_of(foreign)
    command = f"{shlex.join(emulator_of(board_target('cortex-a15')))} {{program}} {{args}}"
    with CommandRunner(foreign, command, pool=ObjectPool(1), reach_s=1000) as runner:
        with pytest.raises(DeviceError, match="cannot run the program for aarch64: ") as raised:
            runner.files(["/proc/version"])
        assert len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("command", "push", "line"),
    [
        ("qemu-arm {args}", None, r"--command: \{program\} is missing"),
        ("{program}", None, r"--command: \{args\} is missing"),
        ("", None, r"\{program\} is missing"),
        ("{program} {program} {args}", None, r"\{program\} occurs more than once"),
        (
            "env {programm} {args}",
            None,
            r"unknown placeholder \{programm\}; known: \{program\} and",
        ),
        ("env {program} {args} {}", None, r"unknown placeholder \{\}"),
        ("env '{program} {args}", None, "--command: no closing quotation"),
        ("no-such-command {program} {args}", None, "there is no command 'no-such-command' on this"),
        ("env {program} {args}", "cp {args} x", r"--push: unknown placeholder \{args\}"),
        ("env {program} {args}", "cp x", r"--push: \{program\} is missing"),
        (
            "env {program} {args}",
            "no-such-cp {program}",
            "--push: there is no command 'no-such-cp'",
        ),
        (
            "env /tmp/{program} {args}",
            None,
            r"has to be put there: --push 'COMMAND \{program\} /tmp",
        ),
    ],
)
def test_a_template_that_cannot_be_right_is_one_line(command, push, line):
    with pytest.raises(InputError, match=line) as raised:
        CommandTransport(command, push)
    assert len(str(raised.value).splitlines()) == 1


@pytest.fixture
def program(tmp_path):
    """A script that says its name and its words, one a line; `remove` is what the real one does."""
    path = tmp_path / "here" / "the program"
    path.parent.mkdir()
    path.write_text(
        '#!/bin/sh\nif [ "$1" = remove ]; then rm -f "$0"; exit; fi\nprintf "%s\\n" "$0" "$@"\n'
    )
    path.chmod(0o755)
    return path


def said(transport, words):
    status, lines = transport.start(words).finish(20)
    assert status == 0
    return lines


WORDS = ["files", "/sys/*/x?[a-b]", "a'b", "$(id)", "`id`", ";exit", "~", "a\\b", "x|y"]


def test_no_shell_reads_what_is_started(program):
    transport = CommandTransport("env 'A=b c' {program} {args}")
    transport.place(program)
    assert said(transport, WORDS) == [str(program), *WORDS]


def test_arguments_may_be_part_of_a_word(program):
    transport = CommandTransport("env {program} '--append={args}'")
    transport.place(program)
    assert said(transport, ["time", "--kernel", "k"])[1:] == ["--append=time --kernel k"]


def test_a_pushed_program_is_run_where_it_was_put_and_removed_in_the_end(program, tmp_path):
    device = tmp_path / "device"
    device.mkdir()
    transport = CommandTransport(f"env {device}/{{program}} {{args}}", f"cp {{program}} {device}/")
    transport.place(program)
    there = device / program.name
    assert said(transport, ["a", "b"]) == [str(there), "a", "b"]
    there.unlink()
    transport.place(program)
    assert there.exists()
    transport.remove()
    transport.remove()
    assert list(device.iterdir()) == []
    assert program.exists()


def test_what_a_killed_run_has_left_is_replaced(program, tmp_path):
    device = tmp_path / "device"
    device.mkdir()
    (device / program.name).write_text("#!/bin/sh\nrm $0\n")
    (device / program.name).chmod(0o500)
    transport = CommandTransport(f"env {device}/{{program}} {{args}}", f"cp {{program}} {device}/")
    transport.place(program)
    assert said(transport, ["a"])[1:] == ["a"]


def test_a_push_that_fails_or_hangs_is_an_error(program, tmp_path, monkeypatch):
    transport = CommandTransport("env /none/{program} {args}", "cp {program} /none/there")
    with pytest.raises(DeviceError, match="cp: cannot create regular file"):
        transport.place(program)
    monkeypatch.setattr("costmodel.runners.command._PUSH_SECONDS", 0.2)
    slow = tmp_path / "slow"
    slow.write_text("#!/bin/sh\nsleep 1000\n")
    slow.chmod(stat.S_IRWXU)
    hanging = CommandTransport("env /none/{program} {args}", f"{slow} {{program}}")
    with pytest.raises(DeviceError, match=r"has not put the program in 0\.2 s"):
        hanging.place(program)


def fake_adb(folder):
    """`adb` for a device that is this machine: joins words and hands them to its shell."""
    adb = folder / "adb"
    adb.write_text(
        '#!/bin/sh\n[ "$1" = -s ] && shift 2\n'
        'case $1 in push) cp "$2" "$3";; shell) shift; sh -c "$*";; esac\n'
    )
    adb.chmod(0o755)


def test_adb_needs_not_be_told_how_to_push(target, tmp_path, monkeypatch):
    fake_adb(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    device = tmp_path / "device"
    device.mkdir()
    command = f"adb -s 0123 shell {device}/{{program}} {{args}}"
    with CommandRunner(target, command, pool=ObjectPool(1)) as runner:
        jobs = kernel_jobs(target, 2)
        assert all(o.error is None for o in measure(runner, jobs, replace(FAST)).values())
        assert [path.name for path in device.iterdir()] == ["ponas-kernels"]
        assert "Linux" in runner.files(["/proc/versio?"])["/proc/version"]
    assert list(device.iterdir()) == []


def test_ending_a_command_ends_what_it_has_started(program, tmp_path):
    program.write_text(f"#!/bin/sh\nsleep 1000 & echo $! >{tmp_path}/pid; wait\n")
    transport = CommandTransport("env {program} {args}")
    transport.place(program)
    started = transport.start([])
    until = time.monotonic() + 20
    while not (tmp_path / "pid").exists() and time.monotonic() < until:
        time.sleep(0.01)
    transport.halt(started)
    assert started.ended
    number = int((tmp_path / "pid").read_text())
    while runs(number) and time.monotonic() < until:
        time.sleep(0.01)
    assert not runs(number)


def runs(number):
    try:
        return psutil.Process(number).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
