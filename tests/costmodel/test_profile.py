import json
import os
from datetime import UTC, datetime

import pytest
from drawing import BOARD, make_target
from pydantic import TypeAdapter
from test_target import make_gpu

from costmodel.calibration.card import make_card
from costmodel.errors import InputError
from costmodel.host import host_target
from costmodel.profile import CalibrationFacts, ProfileFile, ProfileStore
from costmodel.protocol import Protocol
from costmodel.target_file import StatedTarget, facts_of

HOST = {**BOARD, "name": "host-cpu", "target": "host", "sources": {}, "protocol": {}}


def facts(target):
    return CalibrationFacts(
        measured_at=datetime(2026, 1, 2, tzinfo=UTC).isoformat(),
        origin="a test",
        space="paper",
        target=target,
        kernels=300,
        minutes=4.5,
        seconds_per_kernel=1e-6,
        seconds_per_byte=1e-11,
        error=make_card([1.0, 1.1], [1.0, 1.0]),
        held_out=[("3x3,4", 1.0, 1.1)],
        failed=[],
        model_sha256="0" * 64,
    )


@pytest.fixture
def roots(tmp_path):
    return tmp_path / "user", tmp_path / "shipped"


@pytest.fixture
def store(roots):
    for content in (BOARD, HOST, {**BOARD, "name": "odroid-xu3-a7"}):
        write(roots[1], content["name"], content)
    return ProfileStore(roots)


def write(root, name, content):
    (root / name).mkdir(parents=True, exist_ok=True)
    text = content if isinstance(content, str) else json.dumps(content)
    (root / name / "profile.json").write_text(text)


def test_profiles_are_found_by_name(store):
    assert store.names() == ("host-cpu", "odroid-xu3-a15", "odroid-xu3-a7")
    profile = store.get("odroid-xu3-a15")
    assert profile.name == "odroid-xu3-a15"
    assert profile.target() == make_target(4)
    assert profile.protocol == Protocol(repeats=5, min_repeat_ms=2)
    assert profile.calibration() is None


def test_a_store_without_folders_has_no_profiles(roots):
    assert ProfileStore(roots).names() == ()
    with pytest.raises(InputError, match="unknown profile 'x'; list them with: ponas profiles"):
        ProfileStore(roots).get("x")


@pytest.mark.parametrize("name", ["odroid", "odroid-xu3", "Odroid-XU3-A15"])
def test_an_unknown_name_is_answered_with_those_like_it(store, name):
    with pytest.raises(InputError, match=rf"unknown profile '{name}'; did you mean odroid-xu3-a"):
        store.get(name)


@pytest.mark.parametrize("name", ["../odroid-xu3-a7", "", ".", "odroid-xu3-a7/profile.json"])
def test_a_name_is_no_path(store, name):
    with pytest.raises(InputError, match="unknown profile"):
        store.get(name)


def test_the_users_own_profile_hides_the_one_that_ships(store, roots):
    write(roots[0], "odroid-xu3-a7", {**BOARD, "name": "odroid-xu3-a7", "description": "mine"})
    assert store.get("odroid-xu3-a7").file.description == "mine"
    assert len(store.names()) == 3


def without(key):
    return {k: v for k, v in BOARD.items() if k != key}


@pytest.mark.parametrize(
    ("content", "field"),
    [
        ("", "file"),
        ("{", "file"),
        ("[]", "file"),
        (without("target"), "target"),
        (without("description"), "description"),
        ({**BOARD, "format": 3}, "format"),
        ({**BOARD, "runner": "pigeon"}, "runner"),
        ({**BOARD, "surprise": 1}, "surprise"),
        ({**BOARD, "name": "Odroid XU3"}, "name"),
        ({**BOARD, "name": "odroid-xu3-a7"}, "name"),
        ({**BOARD, "protocol": {"repeats": "many"}}, "protocol.repeats"),
        ({**BOARD, "target": {**BOARD["target"], "l2_bytes": "big"}}, "target.l2_bytes"),
        ({**BOARD, "target": {**BOARD["target"], "kind": "tpu"}}, "target"),
        ({**BOARD, "target": "hots"}, "target"),
        ({**BOARD, "target": {"kind": "cpu"}}, "target.tvm"),
        ({**BOARD, "sources": "a book"}, "sources"),
        ({**BOARD, "calibration": {"kernels": 3}}, "calibration.measured_at"),
    ],
)
def test_a_corrupt_profile_is_told_by_path_and_field(store, roots, content, field):
    write(roots[1], BOARD["name"], content)
    with pytest.raises(InputError, match=rf"odroid-xu3-a15/profile\.json is corrupt at '{field}'"):
        store.get(BOARD["name"])


def test_a_file_that_is_no_text_is_corrupt_and_no_crash(store, roots):
    (roots[1] / "host-cpu" / "profile.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"is corrupt at 'file'.*delete this file"):
        store.get("host-cpu")


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"filter_block": 6}, "'filter_block' \\(6\\) is not a multiple of 'vector_lanes' \\(4\\)"),
        ({"l2_bytes": 1024}, "'l2_bytes' \\(1024\\) is below 'l1_bytes'"),
        ({"frequency_mhz": 0}, "'frequency_mhz' must be positive"),
        ({"cores": 3}, "'cores' \\(3\\) is not the num-cores \\(1\\)"),
        ({"vector_lane": 4}, "unknown target fact 'vector_lane'; did you mean 'vector_lanes'"),
    ],
)
def test_facts_that_contradict_each_other_are_refused_in_one_line(store, roots, changed, told):
    write(roots[1], BOARD["name"], {**BOARD, "target": {**BOARD["target"], **changed}})
    with pytest.raises(InputError, match=f"odroid-xu3-a15.*at 'target': .*{told}") as raised:
        store.get(BOARD["name"])
    assert "\n" not in str(raised.value)


def test_a_fact_without_a_source_and_a_source_without_a_fact_are_refused(store, roots):
    sources = {k: v for k, v in BOARD["sources"].items() if k != "l1_bytes"}
    write(roots[1], BOARD["name"], {**BOARD, "sources": sources})
    with pytest.raises(InputError, match="do not say where target fact 'l1_bytes' comes from"):
        store.get(BOARD["name"])
    write(roots[1], BOARD["name"], {**BOARD, "sources": {**BOARD["sources"], "l9_bytes": "x"}})
    with pytest.raises(InputError, match="sources name 'l9_bytes', which is no fact"):
        store.get(BOARD["name"])


def test_sources_of_a_host_are_those_of_the_facts_read_off_it(store):
    assert store.get("host-cpu").sources.keys() == set(facts_of(host_target()))
    assert store.get(BOARD["name"]).sources == BOARD["sources"]


def test_all_cores_of_the_host_are_those_that_we_may_use(store, roots):
    write(roots[1], "all", {**HOST, "name": "all", "target": "host-all"})
    assert store.get("all").target() == host_target(len(os.sched_getaffinity(0)))


def test_a_file_of_the_first_format_is_told_how_to_mend_it(store, roots):
    write(roots[0], "host-cpu", {**HOST, "format": 1})
    with pytest.raises(InputError, match=r"host-cpu/profile.json has format 1, .*delete its folder "
        "and calibrate again: ponas calibrate host-cpu"):  # fmt: skip
        store.get("host-cpu")


def test_an_unknown_protocol_setting_is_named_with_its_profile(store, roots):
    write(roots[1], BOARD["name"], {**BOARD, "protocol": {"loops": 3}})
    with pytest.raises(
        InputError, match=r"odroid-xu3-a15/profile.json is corrupt at 'protocol.loops"
    ):
        store.get(BOARD["name"])


def test_saved_is_loaded_and_lies_in_the_users_root(store, roots):
    file = ProfileFile.model_validate({**BOARD, "calibration": facts(make_target(4)).model_dump()})
    store.save(file)
    assert store.get(BOARD["name"]).file == file
    assert json.loads((roots[1] / BOARD["name"] / "profile.json").read_text()) == BOARD
    assert store.folder(BOARD["name"]) == roots[0] / BOARD["name"]


def test_a_save_that_fails_leaves_the_old_profile_whole(store, monkeypatch):
    old = store.save(ProfileFile.model_validate(BOARD)).file
    new = old.model_copy(update={"description": "new"})

    def full(_):
        raise OSError("no space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="no space left"):
        store.save(new)
    monkeypatch.undo()
    assert store.get(BOARD["name"]).file == old
    store.save(new)
    assert store.get(BOARD["name"]).file == new


def test_a_target_is_the_same_after_a_trip_through_json():
    stated = TypeAdapter(StatedTarget)
    for target in (make_target(4, 2), host_target(), make_gpu()):
        again = stated.validate_json(stated.dump_json(target))
        assert again == target
        assert again.digest == target.digest


def calibrated_for(store, target, content=HOST):
    found = facts(target).model_dump()
    return store.save(ProfileFile.model_validate({**content, "calibration": found}))


def test_a_host_is_calibrated_where_it_was_measured(store):
    assert calibrated_for(store, host_target()).calibration().kernels == 300


def test_a_host_calibrated_on_another_machine_counts_as_uncalibrated(store):
    assert calibrated_for(store, make_target(4)).calibration() is None


def test_the_digest_is_of_target_and_calibration(store):
    plain = store.get("host-cpu").digest
    assert store.get("host-cpu").digest == plain
    calibrated = calibrated_for(store, host_target()).digest
    assert calibrated != plain
    assert calibrated_for(store, make_target(4)).digest == plain
    other = facts(host_target()).model_copy(update={"seconds_per_kernel": 2e-6})
    file = ProfileFile.model_validate({**HOST, "calibration": other.model_dump()})
    assert store.save(file).digest not in {plain, calibrated}
