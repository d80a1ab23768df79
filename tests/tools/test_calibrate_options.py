"""How a device is reached and timed, as the command line says it and the profile keeps it."""

import json

import pytest

from costmodel.profile import ProfileFile
from costmodel.protocol import Protocol
from costmodel.runners.local import LocalRunner
from costmodel.runners.reach import Command, Local, Rpc, Ssh, open_runner
from tools.main import run
from tools.measuring import ProtocolOptions, ReachOptions, with_changes
from tools.places import profile_store

NO_WAY = dict.fromkeys(("ssh", "ssh_config", "command", "push", "rpc", "tracker", "key"))
AS_IN_PROFILE = dict.fromkeys(
    ("repeats", "min_repeat_ms", "warm_up_ms", "rounds", "max_rounds", "agreement", "flush_kb",
     "cpus", "governor", "cool_down_ms", "max_temperature_c", "sentinel_every", "drift")
)  # fmt: skip


def reach(**given):
    return ReachOptions(**{"local": False, **NO_WAY, **given})


def timing(**given):
    return ProtocolOptions(**{"no_sentinel": False, **AS_IN_PROFILE, **given})


@pytest.mark.parametrize(
    ("given", "way"),
    [
        ({}, None),
        ({"local": True}, Local()),
        ({"ssh": "odroid", "ssh_config": "f"}, Ssh(host="odroid", config="f")),
        ({"command": "run {program} {args}"}, Command(command="run {program} {args}")),
        ({"rpc": "pi:9090"}, Rpc(address="pi:9090")),
        ({"tracker": "farm:9190", "key": "pi"}, Rpc(address="farm:9190", key="pi")),
    ],
)
def test_options_say_the_way_to_the_device_and_a_profile_keeps_it(given, way, home):
    del home
    assert reach(**given).reach() == way
    file = with_changes(profile_store().get("odroid-xu3-a15"), reach(**given), timing()).file
    assert ProfileFile.model_validate_json(file.model_dump_json()).runner == way


def test_simulators_need_one_run_of_each_and_no_sentinel():
    protocol = timing(repeats=1, min_repeat_ms=0.0, no_sentinel=True).changed(Protocol())
    assert (protocol.repeats, protocol.min_repeat_ms, protocol.sentinel_every) == (1, 0, 0)
    assert protocol.passes == 1


def test_one_limit_of_rounds_moves_the_other():
    assert timing(rounds=20).changed(Protocol()).max_rounds == 20
    assert timing(max_rounds=1).changed(Protocol()).rounds == 1


def test_a_temperature_limit_can_be_taken_away():
    protocol = Protocol(max_temperature_c=60)
    assert timing(max_temperature_c=float("inf")).changed(protocol).max_temperature_c is None
    assert timing().changed(protocol).max_temperature_c == 60


def test_threads_change_the_cores_that_code_is_made_for(home):
    del home
    profile = profile_store().get("odroid-xu3-a15")
    target = with_changes(profile, reach(), timing(), threads=4).target()
    assert target.cores == target.tvm_dict()["num-cores"] == 4
    assert target.digest != profile.target().digest


def test_this_machine_is_measured_by_the_local_runner():
    with open_runner(Local(), profile_store().get("host-cpu").target()) as runner:
        assert isinstance(runner, LocalRunner)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["calibrate", "odroid-xu3-a15"], "ponas calibrate odroid-xu3-a15 --ssh HOST"),
        (["calibrate", "odroid-xu3-a15", "--ssh", "a", "--rpc", "b:1"], "two ways to the device"),
        (["calibrate", "odroid-xu3-a15", "--tracker", "a:1"], "give it with --key"),
        (
            ["calibrate", "odroid-xu3-a15", "--push", "cp {program} x"],
            "--command, which is missing",
        ),
        (["calibrate", "odroid-xu3-a15", "--ssh", "-oProxyCommand=x"], "is no host"),
        (["calibrate", "odroid-xu3-a15", "--cpus", "big"], "no list of processors"),
        (
            ["calibrate", "odroid-xu3-a15", "--max-temperature-c", "hot"],
            "neither a temperature nor",
        ),
        (["calibrate", "odroid-xu3-a15", "--command", "qemu-arm {programme}"], "{programme}"),
        (
            ["calibrate", "gtx-1080ti", "--ssh", "box"],
            "is measured by a bundle: ponas calibrate PROFILE --bundle FOLDER",
        ),
        (
            ["calibrate", "gtx-1080ti", "--local"],
            "is measured by a bundle: ponas calibrate PROFILE --bundle FOLDER",
        ),
        (["calibrate", "host-cpu", "--threads", "2"], "host-cpu-all"),
        (
            ["calibrate", "host-cpu", "--rounds", "9", "--max-rounds", "3"],
            "--max-rounds 3 is below --rounds 9",
        ),
        (["calibrate", "host-cpu", "--target-error", "0"], "--target-error"),
        (["calibrate", "odroid"], "did you mean odroid-xu3"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_cure(ponas, arguments, says):
    status, out, err = ponas(*arguments)
    assert (status, out) == (2, "")
    assert says in err
    assert err.count("\n") == 1


def test_the_doctor_looks_at_this_machine(ponas_json):
    found = ponas_json("calibrate", "host-cpu", "--check")
    assert {"level", "topic", "text", "cure"} == set(found["findings"][0])
    assert "versions" in {finding["topic"] for finding in found["findings"]}


def test_a_calibration_on_a_device_that_would_spoil_it_is_refused(home, capsys):
    """The profile is of a board's fifth processor, the command runs programs right here."""
    arguments = ["calibrate", "x86-avx2", "--command", "{program} {args}", "--cpus", "4095"]
    assert run([*arguments, "--json"]) == 1
    captured = capsys.readouterr()
    assert "cpu 4095 is not online" in captured.err
    assert "--force" in captured.err
    assert not list(home.glob("profiles/*/*"))
    assert run([*arguments, "--check", "--json"]) == 1
    levels = {f["topic"]: f["level"] for f in json.loads(capsys.readouterr().out)["findings"]}
    assert levels["processors"] == "spoils"
