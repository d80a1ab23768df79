"""Processes that stand for programs on a device."""

import sys
import time

import pytest

from costmodel.runners.transport import Started, TransportError


def python(code):
    return Started([sys.executable, "-S", "-E", "-c", code])


def soon():
    return time.monotonic() + 30


def test_lines_come_as_they_are_said():
    started = python(
        "import time; print('one', flush=True); time.sleep(0.2); print(' two \\r\\n\\n')"
    )
    (one, first), (two, second) = started.line(soon()), started.line(soon())
    assert (one, two) == ("one", "two")
    assert second > first
    assert started.line(soon()) is None
    assert started.line(soon()) is None
    assert started.wait(30) == 0
    started.kill()


def read_all(started, until):
    while started.line(until):
        pass


def test_silence_ends_at_its_time_and_so_does_chatter():
    silent, chattering = (
        python("import time; time.sleep(1000)"),
        python("import time\nwhile 1: print('tralala', flush=True); time.sleep(0.01)"),
    )
    for started in (silent, chattering):
        until = time.monotonic() + 0.3
        with pytest.raises(TimeoutError):
            read_all(started, until)
        assert time.monotonic() >= until
        assert not started.ended
        started.kill()
        assert started.ended


def test_answers_are_told_from_noise():
    started = python("print('hello'); print('there'); print('{1'); print('bye')")
    line, came, noise = started.answer(soon())
    assert (line, noise) == ("{1", "there")
    assert came <= time.monotonic()
    assert started.answer(soon())[::2] == (None, "bye")
    started.kill()


def test_a_flood_is_no_answer():
    started = python("while 1: print('tralala')")
    assert started.answer(soon())[::2] == (None, "tralala")
    started.kill()


@pytest.mark.parametrize(
    ("code", "status", "reason"),
    [
        ("", 0, "it ended with status 0"),
        ("import sys; sys.exit(3)", 3, "it ended with status 3"),
        ("import sys; sys.exit('one\\ntwo')", 1, "two"),
        ("import sys; sys.exit('ponas error: no\\nKilled')", 1, "no"),
        ("import os; os.kill(os.getpid(), 11)", -11, "it crashed (SIGSEGV)"),
        ("import sys; sys.exit(128 + 9)", 137, "it crashed (SIGKILL)"),
        ("import sys; sys.exit(255)", 255, "it ended with status 255"),
        ("import sys; sys.stderr.write('x' * 100_000 + '\\nend'); sys.exit(1)", 1, "end"),
    ],
)
def test_the_end_has_a_reason(code, status, reason):
    started = python(code)
    assert started.finish(30) == (status, [])
    assert started.reason == reason


def test_what_does_not_end_in_time_is_killed():
    started = python("import time; print(1, flush=True); time.sleep(1000)")
    assert started.line(soon())[0] == "1"
    assert started.finish(0.1) == (None, [])
    assert started.ended


def test_what_does_not_exist_cannot_be_started(tmp_path):
    (tmp_path / "file").write_bytes(b"\x7fELF")
    (tmp_path / "file").chmod(0o755)
    for words, why in (
        ([str(tmp_path / "none")], "No such file"),
        ([str(tmp_path / "file")], "Exec"),
    ):
        with pytest.raises(TransportError, match=f"cannot start .*: {why}") as raised:
            Started(words)
        assert raised.value.lasting


def test_input_is_empty_or_kept_open():
    code = "import sys; print(len(sys.stdin.read()))"
    assert python(code).finish(30) == (0, ["0"])
    kept = Started([sys.executable, "-S", "-E", "-c", code], keep_input=True)
    with pytest.raises(TimeoutError):
        kept.line(time.monotonic() + 0.3)
    kept.end_input()
    assert kept.finish(30) == (0, ["0"])
