"""What a person sees of a search: the picture on a terminal, the lines everywhere."""

import io
import itertools
import re

import pytest
from rich.console import Console
from searched_study import OBJECTIVES, STEPS, begun, searched

from search import events
from search.study import Trial
from tools import console, live_search
from tools.front_volume import Box
from tools.live_search import SearchView, told

CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
ARCHITECTURE = "{0}x{0},8 3x3,8"


@pytest.fixture
def study(tmp_path):
    with begun(tmp_path / "a.study") as made:
        yield made


@pytest.fixture
def box(study):
    return Box.of(study, OBJECTIVES[1:])


def picture(view, width=80, height=24):
    shown = Console(width=width, height=height, file=io.StringIO(), record=True, no_color=True)
    shown.print(view)
    return [line.rstrip() for line in shown.export_text().rstrip().splitlines()]


def parameters(number):
    named = {"conv1_kh": number, "conv1_kw": number, "conv1_m": 8}
    return {**named, "conv2_kh": 3, "conv2_kw": 3, "conv2_m": 8}


def trial(number, error, ms, state="finished"):
    values = {"error": error, "latency:host-cpu": ms}
    return Trial(number, 0, parameters(number), state, values, 0, "", "", "here")


def phase(done=0):
    return events.PhaseStarted(0, "architecture", 5, done, ("conv1_kh", "conv1_kw"), {"conv1_m": 8})


def starts(number):
    return events.TrialStarted(number, 0, parameters(number), {"iterations": 40}, False)


def test_it_says_where_the_search_is_and_what_is_trained(study, box):
    view = SearchView(study, box)
    for event in (phase(done=1), starts(1), starts(2), events.TrialProgress(2, "search", 30, 0.5)):
        view(event)
    shown = picture(view)
    assert shown[1] == "phase 0: 1 of 5 candidates, 4 of 6 parameters frozen"
    assert re.search(r"^candidates +0/6", shown[2].replace("━", " "))
    assert re.search(r"^  trial 1 .* 0/40 1x1,8 3x3,8$", shown[3])
    assert re.search(r"^  trial 2 +━+ +30/40 2x2,8 3x3,8$", shown[4])
    assert len(shown) == 5, "there is no front yet"


def test_it_shows_the_front_and_what_it_fills(study, box):
    view = SearchView(study, box)
    view(phase())
    for number, (error, ms) in enumerate([(0.5, 0.1), (0.25, 0.15), (0.9, 0.12)], start=1):
        view(starts(number))
        view(events.TrialFinished(trial(number, error, ms), on_front=True))
    assert box.corner == (1.0, pytest.approx(0.28))
    by_hand = ((0.15 - 0.1) * (1 - 0.5) + (0.28 - 0.15) * (1 - 0.25)) / 0.28
    shown = picture(view)
    assert f"front: 2 trials, hypervolume {by_hand:.4f}" in shown
    assert [line.split() for line in shown[-2:]] == [
        ["2", "25.0%", "0.150", "2x2,8", "3x3,8"],
        ["1", "50.0%", "0.100", "1x1,8", "3x3,8"],
    ]


def test_of_a_long_front_those_are_shown_that_matter_most(study, box):
    places = [(0.02, 0.27), (0.05, 0.2), (0.06, 0.19), (0.3, 0.12), (0.31, 0.119), (0.32, 0.05),
              (0.7, 0.04), (0.9, 0.01)]  # fmt: skip
    members = [trial(number, *place) for number, place in enumerate(places, start=1)]
    view = SearchView(study, box)
    for member in members:
        view(events.TrialFinished(member, on_front=True))
    lost = {
        member.number: box.share(members) - box.share([m for m in members if m is not member])
        for member in members
    }
    most = sorted(lost, key=lost.__getitem__)[-5:]
    rows = picture(view, height=50)[-5:]
    assert [int(row.split()[0]) for row in rows] == sorted(most)
    assert len(picture(view, height=14)) == len(picture(view, height=50)) - 3


def test_fine_tuning_is_counted_and_its_errors_stand_beside(study, box):
    view = SearchView(study, box)
    members = [trial(1, 0.5, 0.1), trial(2, 0.25, 0.15)]
    for member in members:
        view(events.TrialFinished(member, on_front=True))
    view(events.SearchStopped("trials"))
    view(events.FineTuneStarted(members[0], 0, 2))
    view(events.TrialProgress(1, "finetune", 50, 0.1))
    from search.recorder import finetuned_now

    done = finetuned_now(1, {"error": 0.04, "test_error": 0.05}, host="here")
    view(events.FineTuneFinished(done))
    view(events.FineTuneStarted(members[1], 1, 2))
    shown = picture(view)
    assert shown[1] == "fine-tuning the front"
    assert "1/2" in shown[2]
    assert re.search(r"tuning 2 .*0/100 2x2,8 3x3,8$", shown[3])
    assert [line.split()[:3] for line in shown[-2:]] == [
        ["2", "25.0%", "-"],
        ["1", "50.0%", "4.0%"],
    ]


@pytest.mark.parametrize(("width", "height"), [(80, 24), (40, 10), (200, 60)])
@pytest.mark.parametrize("workers", [1, 3, 30])
def test_it_fits_on_the_terminal(study, box, width, height, workers):
    view = SearchView(study, box)
    view(phase())
    for number in range(1, 9):
        view(starts(number))
        view(events.TrialFinished(trial(number, 0.1 * number, 1 / number), on_front=True))
    for number in range(10, 10 + workers):
        view(starts(number))
    shown = picture(view, width, height)
    assert len(shown) < height
    assert all(len(line) <= width for line in shown)


def run_on(monkeypatch, study, box, **terminal):
    """What a search writes on a console, with its control sequences."""
    written = io.StringIO()
    screen = Console(file=written, width=80, height=24, highlight=False, **terminal)
    monkeypatch.setattr(live_search, "ERRORS", screen)
    monkeypatch.setattr(console, "ERRORS", screen)
    with told(study, box) as (tell, _):
        searched(study, tell)
    return written.getvalue()


def test_off_a_terminal_there_is_a_line_a_trial_and_nothing_else(monkeypatch, study, box):
    text = run_on(monkeypatch, study, box, force_terminal=False)
    assert not CONTROL.search(text)
    lines = text.splitlines()
    trials = [line for line in lines if line.startswith("[")]
    assert [line.split()[0] for line in trials] == [f"[{n}/6]" for n in range(1, 7)]
    assert all("error" in line and "ms" in line for line in trials)
    assert "search done: all candidates are trained" in lines
    assert not any(line.startswith(("front: ", "candidates")) for line in lines)


def test_on_a_terminal_every_line_stays_and_the_picture_goes(monkeypatch, study, box):
    ticks = itertools.count()
    monkeypatch.setattr(live_search.time, "monotonic", lambda: float(next(ticks)))
    text = run_on(monkeypatch, study, box, force_terminal=True, no_color=True)
    screen = left_on_screen(text)
    assert [line.split()[0] for line in screen if line.startswith("[")] == [
        f"[{n}/6]" for n in range(1, 7)
    ]
    assert not any(line.startswith(("front:", "candidates", "phase 0:  ")) for line in screen)
    assert f"{10 * STEPS}/{10 * STEPS}" in text, "it was there while something was trained"
    assert text.rstrip().endswith("\x1b[?25h") or "\x1b[?25h" in text, "the cursor is back"
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]m", text), "NO_COLOR has no colours"


def left_on_screen(text):
    """The lines of a terminal that is tall enough, after all that was written."""
    lines, row = [""], 0
    for part in re.split(r"(\x1b\[[0-9;?]*[A-Za-z]|\r|\n)", text):
        if part == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif part == "\x1b[1A":
            row -= 1
        elif part == "\x1b[2K":
            lines[row] = ""
        elif part == "\r" or CONTROL.fullmatch(part):
            continue
        else:
            lines[row] += part
    return lines


def test_a_study_that_goes_on_shows_what_it_has(study, box):
    searched(study, lambda _: None)
    view = SearchView(study, box)
    shown = picture(view)
    assert "6/6" in shown[2]
    assert any(line.startswith("front: ") for line in shown)
    assert any("fine-tuned" in line for line in shown)
