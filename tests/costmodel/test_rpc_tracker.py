"""The runner `rpc` through a real tracker with two boards; trackers that are none of the kind."""

import json
import signal
import socket
import struct
import threading
import time

import pytest
from rpc_server import RECOVERING_SERVER, TRACKER, KeptPool, Served, eventually
from runner_contract import FAST, kernel_jobs, measure

from costmodel.errors import DeviceError, InputError
from costmodel.runners import rpc_session, rpc_tracker
from costmodel.runners.object_pool import ObjectPool
from costmodel.runners.rpc import TrackedRunner
from costmodel.runners.rpc_address import Address, parse_address
from costmodel.runners.rpc_tracker import Farm, Tracker, give_back


@pytest.fixture(scope="module")
def farm(tmp_path_factory):
    """A tracker and two boards of one key, which it knows."""
    folder = tmp_path_factory.mktemp("farm")
    tracker = Served(folder, TRACKER)
    words = ("--tracker", tracker.address, "--key", "board")
    served = [tracker, *(Served(folder, RECOVERING_SERVER, *words) for _ in range(2))]
    try:
        for each in served:
            each.await_start()
        assert eventually(lambda: tracker_of(tracker).boards() == {"board": addresses(served)}, 60)
        yield served
    finally:
        for each in served:
            each.stop()


def tracker_of(served):
    return Tracker(parse_address(served.address, "--tracker"))


def addresses(farm):
    return sorted(Address("127.0.0.1", server.port) for server in farm[1:])


@pytest.fixture
def tracker(farm):
    return tracker_of(farm[0])


@pytest.fixture(scope="module")
def pool():
    pool = KeptPool(1)
    yield pool
    ObjectPool.close(pool)


@pytest.fixture(scope="module")
def warm(farm, target, pool):
    with TrackedRunner(target, farm[0].address, "board", pool=pool, reach_s=30) as runner:
        yield runner


def test_all_boards_measure_at_the_same_time_each_under_its_own_name(warm, farm, target):
    assert [lane.name for lane in warm._lanes] == [str(a) for a in addresses(farm)]
    outcomes = measure(warm, kernel_jobs(target, 4))
    assert [outcome.error for outcome in outcomes.values()] == [None] * 4
    for server in farm[1:]:
        assert "load_module" in server.log


def test_each_lane_speaks_to_its_own_board_whichever_the_tracker_gives_first(warm, farm, target):
    jobs = kernel_jobs(target, 2)
    for lane in reversed(warm._lanes):
        assert lane.build(jobs) == {}
        assert next(lane.time([jobs[0].key], FAST)).error is None
    for lane, server in zip(warm._lanes, sorted(farm[1:], key=lambda s: s.port), strict=True):
        before = server.log.count("finish serving")
        lane.forget()
        assert eventually(lambda s=server, n=before: s.log.count("finish serving") == n + 1)


def test_a_board_that_freezes_costs_the_other_ones_nothing(warm, farm, target, monkeypatch):
    monkeypatch.setattr(rpc_session, "GRACE_SECONDS", 0.5)
    monkeypatch.setattr(rpc_session, "CONNECT_SECONDS", 1.0)
    for lane in warm._lanes:
        monkeypatch.setattr(lane, "_kernel_timeout_s", 1.0)
        monkeypatch.setattr(lane, "_reach_s", 1.0)
    second = next(server for server in farm if server.address == warm._lanes[1].name)
    jobs, outcomes = kernel_jobs(target, 4), []
    second.signal(signal.SIGSTOP)
    try:
        with pytest.raises(DeviceError, match=rf"{second.address}.*\(for 1 s now\)"):
            warm.measure(jobs, FAST, outcomes.append)
    finally:
        second.signal(signal.SIGCONT)
    assert [(o.key, o.error) for o in outcomes] == [(job.key, None) for job in jobs[::2]]
    monkeypatch.undo()
    assert [o.error for o in measure(warm, jobs).values()] == [None] * 4


def test_what_the_boards_say_of_themselves_can_be_read(warm):
    assert list(warm.files(["/proc/cpuinfo"])) == ["/proc/cpuinfo"]
    for lane in warm._lanes:
        lane.forget()


def test_no_free_board_ends_within_its_time(tracker, farm):
    grants = [tracker.request("board", time.monotonic() + 20) for _ in range(2)]
    assert sorted(grant.address for grant in grants) == addresses(farm)
    begin = time.monotonic()
    assert tracker.request("board", begin + 0.3) is None
    wanted = addresses(farm)[0]
    with pytest.raises(DeviceError, match=r"is not free at the tracker .*query_rpc_tracker"):
        Farm(tracker, "board", addresses(farm)).grant(wanted, begin + 0.6)
    assert time.monotonic() - begin < 10
    for grant in grants:
        give_back(grant)
    again = [tracker.request("board", time.monotonic() + 20) for _ in range(2)]
    for grant in again:
        give_back(grant)
    assert sorted(grant.address for grant in again) == addresses(farm)


def test_a_board_that_is_not_ours_is_given_back(tracker, farm):
    first, second = addresses(farm)
    for wanted in (second, first, first, second):
        grant = Farm(tracker, "board", [wanted]).grant(wanted, time.monotonic() + 30)
        assert grant.address == wanted
        give_back(grant)


def test_two_lanes_hand_each_other_what_the_tracker_gave_them(tracker, farm):
    ours, found = Farm(tracker, "board", addresses(farm)), {}

    def take(board):
        found[board] = ours.grant(board, time.monotonic() + 30)

    threads = [threading.Thread(target=take, args=(board,)) for board in addresses(farm)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {board: grant.address for board, grant in found.items()} == {
        board: board for board in addresses(farm)
    }
    for grant in found.values():
        give_back(grant)


def test_a_key_that_no_board_has_is_named_with_those_there_are(tracker, farm, target, pool):
    with pytest.raises(DeviceError, match=r"has no board 'phone', it has: board; start one with: "):
        TrackedRunner(target, farm[0].address, "phone", pool=pool)
    with pytest.raises(DeviceError, match="has 2 boards 'board', not 3"):
        TrackedRunner(target, farm[0].address, "board", boards=3, pool=pool)
    with pytest.raises(InputError, match="boards: at least 1"):
        TrackedRunner(target, farm[0].address, "board", boards=0, pool=pool)
    assert tracker.boards() == {"board": addresses(farm)}


def test_as_many_boards_as_asked_for_are_used(farm, target, pool):
    with TrackedRunner(target, farm[0].address, "board", boards=1, pool=pool) as runner:
        assert [lane.name for lane in runner._lanes] == [str(addresses(farm)[0])]


def test_a_board_that_has_left_is_named_with_the_cure(tracker):
    ours = Farm(tracker, "board", [Address("10.0.0.1", 9090)])
    line = r"10\.0\.0\.1:9090 has left the tracker .*rpc_server --tracker \S+ --key board"
    with pytest.raises(DeviceError, match=line):
        ours.grant(Address("10.0.0.1", 9090), time.monotonic() + 0.5)


class Impostor:
    """Listens, and answers every connection with these bytes; None: says nothing."""

    def __init__(self, answer):
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = Address("127.0.0.1", self._socket.getsockname()[1])
        self._held = []
        threading.Thread(target=self._serve, args=(answer,), daemon=True).start()

    def _serve(self, answer):
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self._held.append(connection)
            if answer is not None:
                connection.recv(4096)
                connection.sendall(answer)
                connection.close()

    def close(self):
        self._socket.close()


MAGIC = struct.pack("<i", rpc_tracker._MAGIC)


def said(value):
    text = json.dumps(value).encode()
    return MAGIC + struct.pack("<i", len(text)) + text


@pytest.mark.parametrize(
    "answer",
    [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", MAGIC, MAGIC + b"\xff" * 8,
     said([0, 1]), said([1, {}]),
     said([0, {"server_info": [{"key": "server:x", "addr": [None]}]}]), said("x"),
     MAGIC + struct.pack("<i", 3) + b"\xff{]"],
)  # fmt: skip
def test_what_does_not_speak_as_a_tracker_is_none(answer):
    impostor = Impostor(answer)
    with pytest.raises(DeviceError, match="does not answer as a TVM RPC tracker does"):
        Tracker(impostor.address).boards()
    impostor.close()


def test_a_tracker_that_is_silent_or_away_is_a_line(monkeypatch):
    monkeypatch.setattr(rpc_tracker, "_ANSWER_SECONDS", 0.3)
    impostor = Impostor(None)
    with pytest.raises(DeviceError, match=r"does not answer; start it again: python"):
        Tracker(impostor.address).boards()
    with pytest.raises(DeviceError, match=r"does not answer; start it again: python"):
        Tracker(impostor.address).request("board", time.monotonic() + 0.2)
    impostor.close()
    with pytest.raises(DeviceError, match=r"cannot be reached: connection refused; it is started"):
        Tracker(Address("127.0.0.1", 1)).boards()


@pytest.mark.parametrize(
    ("text", "address"),
    [("board:9090", Address("board", 9090)), ("[fe80::1%eth0]:1", Address("fe80::1%eth0", 1)),
     ("10.0.0.1:65535", Address("10.0.0.1", 65535))],
)  # fmt: skip
def test_an_address_is_written_as_it_is_read(text, address):
    assert parse_address(text, "--rpc") == address
    assert str(address) == text
