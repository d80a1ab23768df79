"""A search on a terminal while it runs: where it is, what is trained, the best trade-offs."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from search.events import (
    Event,
    FineTuneFinished,
    FineTuneStarted,
    OnEvent,
    PhaseStarted,
    SearchStopped,
    TrialFailed,
    TrialFinished,
    TrialInfeasible,
    TrialProgress,
    TrialStarted,
    TrialStopped,
)
from search.space import Value
from search.study import Study, Trial, front
from tools.console import ERRORS, say
from tools.front_volume import Box
from tools.job import request_of
from tools.narrate import Narrator, trained
from tools.page_text import count
from tools.recipe import SEARCH_DROP_EVERY, Recipe
from tools.task import ERROR, FLOPS, architecture_of
from tools.time_left import TimeLeft, words

REDRAWN_SECONDS = 0.25
"""At the earliest after the last time; and nothing is redrawn while nothing happens."""
MEMBERS = 5
"""Of the front that are shown, at most."""
_OTHER_LINES = 8
"""Of the picture, beside the front's members and what is trained, and one below it."""
BAR = 16
"""Characters of a bar."""


@contextmanager
def told(study: Study, box: Box | None) -> Iterator[tuple[OnEvent, Callable[[str], None]]]:
    """What is told of a search, and what says a line among that.

    A line a trial; on a terminal a picture of where it is stays below them.
    """
    if not ERRORS.is_terminal:
        yield Narrator.of(study, say), say
        return
    view, narrator = SearchView(study, box), Narrator.of(study, _line)
    drawn_at = -math.inf
    with Live(view, console=ERRORS, auto_refresh=False, transient=True) as live:

        def tell(event: Event) -> None:
            nonlocal drawn_at
            view(event)
            narrator(event)
            if time.monotonic() - drawn_at >= REDRAWN_SECONDS:
                live.refresh()
                drawn_at = time.monotonic()

        yield tell, _line


def _line(text: str) -> None:
    """A line above the picture, broken between words where the terminal is narrow."""
    ERRORS.print(text, markup=False)


@dataclass
class _Training:
    """What is being trained."""

    label: str
    architecture: str
    step: int
    steps: int


class SearchView:
    """Receives a search's events; a picture of where it is, whenever it is drawn."""

    def __init__(self, study: Study, box: Box | None) -> None:
        settings, trials = study.settings, study.trials()
        self._objectives, self._box, self._start = study.objectives, box, study.start
        self._space = study.space
        self._candidates, self._done = settings.max_trials or 0, trained(study)
        request = request_of(study)
        self._recipe = Recipe(
            learning_rate=request.learning_rate, batch=request.batch, drop_every=SEARCH_DROP_EVERY
        )
        self._finetune_steps = round(settings.finetune_budget.get("iterations", 0))
        self._finished = {trial.number: trial for trial in trials if trial.state == "finished"}
        self._front = front(trials, self._objectives)
        self._tuned = {t.trial: t.values[ERROR] for t in study.finetuned() if not t.error}
        self._ends_at = math.inf
        if settings.minutes is not None:
            left = 60 * (settings.minutes - study.elapsed_minutes)
            self._ends_at = time.monotonic() + left
        self._phase: PhaseStarted | None = None
        self._in_phase = 0
        self._tuning: tuple[int, int] | None = None
        """Members that are fine-tuned, and all of them; None before that."""
        self._running: dict[int, _Training] = {}
        self._at_a_time = 1
        self._time = TimeLeft(
            trial.seconds for trial in trials
            if trial.seconds and trial.state != "infeasible" and not self._is_start(trial)
        )  # fmt: skip

    def __call__(self, event: Event) -> None:
        """Takes in one event."""
        match event:
            case PhaseStarted():
                self._phase = event
                self._in_phase = event.done
            case TrialStarted():
                self._begins_trial(event)
            case TrialProgress():
                self._reaches(event.number, event.step)
            case TrialFinished() | TrialStopped() | TrialFailed() | TrialInfeasible():
                self._ends_trial(event)
            case SearchStopped():
                self._phase, self._time = None, TimeLeft()
            case FineTuneStarted():
                done = self._tuning[0] if self._tuning else 0
                self._tuning = (done, event.count)
                self._begins(event.trial.number, event.trial.parameters, self._finetune_steps)
            case FineTuneFinished():
                self._ends_tuning(event)

    def _begins_trial(self, event: TrialStarted) -> None:
        budget = round(event.budget.get("iterations", 0))
        steps = self._recipe.settings(budget, event.parameters).iterations if budget else 0
        self._begins(event.number, event.parameters, steps)

    def _begins(self, number: int, parameters: Mapping[str, Value], steps: int) -> None:
        label = f"{'trial' if self._tuning is None else 'tuning'} {number}"
        self._running[number] = _Training(label, str(architecture_of(parameters)), 0, steps)
        self._at_a_time = max(self._at_a_time, len(self._running))
        self._time.begins(number)

    def _reaches(self, number: int, step: int) -> None:
        training = self._running.get(number)
        if training is not None and training.steps:
            training.step = min(step, training.steps)
            self._time.reaches(number, training.step / training.steps)

    def _ends_trial(
        self, event: TrialFinished | TrialStopped | TrialFailed | TrialInfeasible
    ) -> None:
        trial = event.trial
        counted = trial.number in self._running and not isinstance(event, TrialInfeasible)
        self._running.pop(trial.number, None)
        if isinstance(event, TrialFinished):
            self._finished[trial.number] = trial
            self._front = front(list(self._finished.values()), self._objectives)
        self._time.ends(trial.number, counts=counted and not self._is_start(trial))
        self._done += counted
        self._in_phase += counted

    def _ends_tuning(self, event: FineTuneFinished) -> None:
        result = event.result
        self._running.pop(result.trial, None)
        self._time.ends(result.trial)
        if not result.error:
            self._tuned[result.trial] = result.values[ERROR]
        if self._tuning is not None:
            self._tuning = (self._tuning[0] + 1, self._tuning[1])

    def _is_start(self, trial: Trial) -> bool:
        """The seed: it is larger than most that follow, so its time says little of theirs."""
        return trial.parameters == self._start

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        height = console.height
        yield Text()
        yield Text(self._where(), no_wrap=True, overflow="ellipsis")
        members, most = self._front, max(1, min(MEMBERS, (height - _OTHER_LINES) // 3))
        shown = self._box.telling(members, most) if self._box else members[:most]
        room = max(1, min(height // 4, height - len(shown) - _OTHER_LINES))
        bars = Table.grid(padding=(0, 1), expand=True)
        for kind in ({"no_wrap": True}, {"width": BAR}, {"justify": "right", "no_wrap": True}):
            bars.add_column(**kind)
        bars.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
        done, of = self._tuning or (self._done, self._candidates)
        what = "candidates" if self._tuning is None else "fine-tuned"
        bars.add_row(what, _bar(done, of), f"{done}/{of}", self._left())
        running = list(self._running.values())
        for each in running[:room]:
            steps = f"{each.step}/{each.steps}" if each.steps else ""
            bars.add_row(f"  {each.label}", _bar(each.step, each.steps), steps, each.architecture)
        if len(running) > room:
            bars.add_row(f"  and {len(running) - room} more")
        yield bars
        if members:
            volume = f", hypervolume {self._box.share(members):.4f}" if self._box else ""
            title = f"front: {count(len(members), 'trial')}{volume}"
            yield Text(title, no_wrap=True, overflow="ellipsis")
            yield self._table(shown)

    def _where(self) -> str:
        phase = self._phase
        if phase is None:
            return "fine-tuning the front" if self._tuning else ""
        where = f"phase {phase.phase}: {self._in_phase} of {phase.planned} candidates"
        if phase.kind == "tuning":
            return f"{where} for the optimiser's parameters"
        every = len(self._space.parameters)
        return f"{where}, {every - len(phase.free)} of {every} parameters frozen"

    def _left(self) -> str:
        """Time until the phases are over, or the fine-tuning is."""
        done, of = self._tuning or (self._done, self._candidates)
        seconds = self._time.seconds(max(0, of - done - len(self._running)), self._at_a_time)
        if seconds is None:
            return ""
        if self._tuning is None:
            seconds = min(seconds, max(0.0, self._ends_at - time.monotonic()))
        then = self._finetune_steps and self._tuning is None
        return f"{words(seconds)} left{', then fine-tuning' if then else ''}"

    def _table(self, members: list[Trial]) -> Table:
        table = Table(box=None, padding=(0, 1), pad_edge=False, show_edge=False)
        table.add_column("  trial", justify="right", no_wrap=True)
        table.add_column("error", justify="right", no_wrap=True)
        if self._tuned:
            table.add_column("fine-tuned", justify="right", no_wrap=True)
        costs = [spec.name for spec in self._objectives if spec.name != ERROR]
        for name in costs:
            table.add_column("MFLOP" if name == FLOPS else "ms", justify="right", no_wrap=True)
        table.add_column("architecture", no_wrap=True, overflow="ellipsis")
        for trial in members:
            tuned = self._tuned.get(trial.number)
            table.add_row(
                str(trial.number),
                f"{trial.values[ERROR]:.1%}",
                *(["-" if tuned is None else f"{tuned:.1%}"] if self._tuned else []),
                *(_cost(name, trial.values[name]) for name in costs),
                str(architecture_of(trial.parameters)),
            )
        return table


def _bar(done: int, of: int) -> RenderableType:
    return ProgressBar(total=max(1, of), completed=done, width=BAR)


def _cost(name: str, value: float) -> str:
    return f"{value / 1e6:.1f}" if name == FLOPS else f"{value:.3f}"
