"""Tables of timings as people have them, and one line for everything that is wrong with one."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmodel.calibration.timings import read_timings
from costmodel.errors import InputError


def resolve(text, folder):
    """A network is a number here; ``n1`` and ``1`` are the same."""
    del folder
    number = text.removeprefix("n")
    if not number.isdigit():
        raise InputError(f"unknown network '{text}'")
    return f"n{number}", int(number)


def table(rows, header="network,latency_ms"):
    return "\n".join([header, *rows]) + "\n"


GOOD = [f"n{i},{i + 1}.5" for i in range(20)]


@pytest.fixture
def read(tmp_path):
    def call(content, on_progress=lambda *_: None):
        path = tmp_path / "t.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_timings(path, resolve, on_progress)

    return call


def test_networks_come_in_order_with_their_times(read):
    found = read(table(GOOD))
    assert [t.name for t in found] == [f"n{i}" for i in range(20)]
    assert [t.network for t in found] == list(range(20))
    assert [t.latency_ms for t in found] == [i + 1.5 for i in range(20)]
    assert {t.repeats for t in found} == {1}


@pytest.mark.parametrize("column", ["network", "architecture", "file", "Network", " file "])
def test_the_column_of_networks_has_three_names(read, column):
    assert len(read(table(GOOD, f"{column},latency_ms"))) == 20


def test_columns_may_stand_anywhere_and_others_are_left_alone(read):
    rows = [f"{i}.5,note,n{i}" for i in range(1, 20)]
    found = read(table(rows, "latency_ms,comment,network"))
    assert found[0].latency_ms == 1.5


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: b"\xef\xbb\xbf" + text.encode(),
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.replace("\n", "\n\n"),
        lambda text: text.rstrip("\n"),
        lambda text: text.replace(",", " , "),
        lambda text: text.replace("n3,", '"n3",'),
    ],
    ids=["byte order mark", "CR LF", "blank lines", "no last newline", "spaces", "quotes"],
)
def test_what_spreadsheets_and_people_write_is_read_alike(read, spoil):
    assert read(spoil(table(GOOD))) == read(table(GOOD))


def test_repeats_of_a_network_give_their_median(read):
    rows = [*(f"{row},1" for row in GOOD), "n0,1.7,2", "0,100,3"]
    found = read(table(rows, "network,latency_ms,repeat"))
    assert (found[0].latency_ms, found[0].repeats) == (1.7, 3)
    assert found[1].repeats == 1


@given(st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=9), st.randoms())
def test_the_order_of_repeats_changes_nothing(tmp_path_factory, times, shuffle):
    path = tmp_path_factory.mktemp("repeats") / "t.csv"
    rows = [f"n99,{time!r}" for time in times]
    found = []
    for _ in range(2):
        path.write_text(table([*GOOD, *rows]))
        found.append(read_timings(path, resolve)[-1])
        shuffle.shuffle(rows)
    assert found[0] == found[1]
    assert min(times) <= found[0].latency_ms <= max(times)
    assert found[0].repeats == len(times)


def test_progress_counts_networks_once(read):
    told = []
    read(table([*GOOD, *GOOD]), lambda done, total: told.append((done, total)))
    assert told == [(i, 20) for i in range(1, 21)]


def swapped(place, row):
    return table([*GOOD[:place], row, *GOOD[place + 1 :]])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (swapped(2, "n2,"), r"line 4, column 'latency_ms': it is empty; write milliseconds"),
        (swapped(2, "n2,fast"), r"line 4, column 'latency_ms': 'fast' is not a number; write"),
        (swapped(2, "n2,3 ms"), r"line 4, column 'latency_ms': '3 ms' is not a number; write"),
        (swapped(2, 'n2,"3,5"'), r"line 4, column 'latency_ms': '3,5' is not a number; write"),
        (swapped(5, "n5,0"), r"line 7, column 'latency_ms': 0 is no time above zero; correct"),
        (swapped(5, "n5,-1"), r"line 7, column 'latency_ms': -1 is no time above zero; correct"),
        (swapped(5, "n5,nan"), r"line 7, column 'latency_ms': nan is no time above zero"),
        (swapped(5, "n5,inf"), r"line 7, column 'latency_ms': inf is no time above zero"),
        (swapped(0, "who,3"), r"line 2, column 'network': unknown network 'who'"),
        (swapped(0, ",3"), r"line 2, column 'network': it is empty; say which network"),
        (swapped(0, "3x3,40 3x3,30,3"), r"line 2: 4 columns where the first line names 2; put a "),
        (swapped(0, "n0"), r"line 2: 1 columns where the first line names 2"),
        (swapped(0, '"n0,3'), r"line \d+: not comma-separated values \(.*\); save the table as CS"),
        ("", r"is empty; its first line names the columns: network,latency_ms"),
        ("\n \n", r"is empty; its first line names the columns: network,latency_ms"),
        (table(GOOD, "model,latency_ms"), r"line 1: there is no column 'network' among model, lat"),
        (table(GOOD, "network,ms"), r"line 1: there is no column 'latency_ms' among network, ms"),
        (table(GOOD, "network,file"), r"line 1: there is no column 'latency_ms'"),
        (
            table([f"a,{row}" for row in GOOD], "file,network,latency_ms"),
            r"line 1: columns 'network' and 'file' both name the network; keep one",
        ),
        (
            table([f"{row},1" for row in GOOD], "network,latency_ms,latency_ms"),
            r"line 1: there are two columns 'latency_ms'; keep one",
        ),
        (
            table([f"{row},x" for row in GOOD], "network,latency_ms,repeat"),
            r"line 2, column 'repeat': 'x' is not a whole number; number repeats 1, 2, 3",
        ),
        (table(GOOD).replace(",", ";"), r"line 1: columns are separated by semicolons; separate"),
        (table(GOOD).replace(",", "\t"), r"line 1: columns are separated by tabs; separate them"),
        (table(GOOD).encode("utf-16"), r"is not text in UTF-8; save it as 'CSV UTF-8'"),
        (b"network,latency_ms\nn\xfc,1\n", r"is not text in UTF-8; save it as 'CSV UTF-8'"),
        (
            table(GOOD[:14] * 2),
            r"has timings of 14 different networks; add some: at least 15 are needed",
        ),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_with_its_place_and_cure(read, content, message):
    with pytest.raises(InputError, match=rf"t\.csv(, | ){message}") as raised:
        read(content)
    assert "\n" not in str(raised.value)


def test_a_file_that_is_not_there_is_said(tmp_path):
    with pytest.raises(InputError, match=r"none\.csv cannot be read: No such file .*; name a CSV"):
        read_timings(tmp_path / "none.csv", resolve)
    with pytest.raises(InputError, match="cannot be read: Is a directory"):
        read_timings(tmp_path, resolve)


@given(st.binary(max_size=300), st.randoms(use_true_random=False))
def test_no_bytes_whatever_make_it_fail_otherwise(tmp_path_factory, junk, chance):
    path = tmp_path_factory.mktemp("junk") / "t.csv"
    good = table(GOOD).encode()
    place = chance.randrange(len(good))
    for content in (junk, good[:place] + junk + good[place:]):
        path.write_bytes(content)
        with suppress(InputError):
            assert len(read_timings(path, resolve)) >= 15
