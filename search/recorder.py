"""The one writer of a study: holds its lock and records what happens, at once."""

from __future__ import annotations

import dataclasses
import json
import platform
import shutil
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from search import schema
from search.errors import InputError, StudyError
from search.freeze import Judged
from search.objective import ObjectiveSpec
from search.settings import Settings
from search.space import Value, candidate_key
from search.study import ANNOTATION, FineTuned, Phase, PhaseKind, Study, Trial, TrialState
from search.work import Stage


class StudyRecorder(Study):
    """A study open for writing.

    Every call that records something has it on disk (fsync) when it returns, but for points of
    learning curves, which a loss of power may cost and a kill does not. The lock is freed by
    `close` and by the kernel when the process dies. Raises StudyError when the disk is full.
    """

    _writing = True

    def __init__(self, path: Path) -> None:
        self._lock = schema.locked(path)
        try:
            super().__init__(path)
            self._trials = super().trials()
            self._sweep()
        except BaseException:
            self._lock.release()
            raise

    def close(self) -> None:
        super().close()
        self._lock.release()

    def trials(self) -> list[Trial]:
        """All trials by number; not read again, since nobody else writes."""
        return list(self._trials)

    def extend(self, **changes: int | float | None) -> Settings:
        """Changes ``max_trials``, ``max_phases`` or ``minutes``, so that a search can go on.

        The other settings decide which candidates are tried and stay as they are. Returns the
        new settings; raises InputError when one of them cannot be right.
        """
        for name in changes:
            if name not in ("max_trials", "max_phases", "minutes"):
                raise InputError(
                    f"setting {name!r} of a study cannot be changed; "
                    "max_trials, max_phases and minutes can"
                )
        document = {**self.settings.to_json(), **changes}
        settings = Settings.from_json(document)
        with self._transaction() as connection:
            connection.execute(
                "UPDATE study SET value = ? WHERE key = 'settings'", (json.dumps(document),)
            )
        self._documents["settings"] = settings.to_json()
        return settings

    def start_phase(
        self,
        planned: int,
        kind: PhaseKind = "architecture",
        held: Mapping[str, Value] | None = None,
    ) -> Phase:
        """Begins the next phase, of ``planned`` candidates."""
        number = len(self.phases())
        with self._transaction() as connection:
            connection.execute(
                "INSERT INTO phase (number, planned, started, kind, held) VALUES (?, ?, ?, ?, ?)",
                (number, planned, _now(), kind, json.dumps(dict(held or {}))),
            )
        return self.phases()[number]

    def finish_phase(self, number: int, judged: Sequence[Judged]) -> None:
        """Ends a phase and freezes those of the parameters that are to be, in one step."""
        report = json.dumps([dataclasses.asdict(each) for each in judged])
        with self._transaction() as connection:
            connection.execute(
                "UPDATE phase SET finished = ?, report = ? WHERE number = ?",
                (_now(), report, number),
            )
            connection.executemany(
                "INSERT INTO frozen (phase, parameter, value, count, front, runner_up, chance) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                [
                    (number, f.parameter, json.dumps(f.value), f.count, f.front, f.runner_up,
                     f.chance)
                    for f in judged if f.frozen
                ],
            )  # fmt: skip

    def start_trial(self, phase: int, parameters: Mapping[str, Value], seed: int) -> Trial:
        """Begins the next trial."""
        number = len(self._trials)
        trial = Trial(number, phase, dict(parameters), "running", {}, seed, _now(), None, _host())
        with self._transaction() as connection:
            connection.execute(
                "INSERT INTO trial (number, phase, candidate, state, seed, started, host) "
                "VALUES (?, ?, ?, 'running', ?, ?, ?)",
                (number, phase, candidate_key(parameters), seed, trial.started, trial.host),
            )
        self._trials.append(trial)
        return trial

    def restart_trial(self, trial: Trial) -> Trial:
        """Begins a trial again that was killed, or whose worker died."""
        again = dataclasses.replace(
            trial, started=_now(), host=_host(), attempts=trial.attempts + 1
        )
        with self._transaction() as connection:
            connection.execute(
                "UPDATE trial SET started = ?, host = ?, attempts = ? WHERE number = ?",
                (again.started, again.host, again.attempts, trial.number),
            )
        self._trials[trial.number] = again
        return again

    def finish_trial(
        self,
        trial: Trial,
        state: TrialState,
        values: Mapping[str, float],
        error: str | None = None,
        traceback: str | None = None,
        *,
        host: str | None = None,
    ) -> Trial:
        """Records how a trial ended, then removes its folder."""
        ended = dataclasses.replace(
            trial,
            state=state,
            values=dict(values),
            finished=_now(),
            host=host or _host(),
            error=error,
            traceback=traceback,
        )
        with self._transaction() as connection:
            connection.execute(
                "UPDATE trial SET state = ?, finished = ?, host = ?, error = ?, traceback = ? "
                "WHERE number = ?",
                (state, ended.finished, ended.host, error, traceback, trial.number),
            )
            connection.executemany(
                "INSERT INTO value VALUES (?, ?, ?)",
                [(trial.number, name, value) for name, value in values.items()],
            )
        self._trials[trial.number] = ended
        self._remove_directory(trial.number, "search")
        return ended

    def reopen_failed(self, numbers: Iterable[int]) -> None:
        """Marks failed trials to be run again on the next resume; their error texts stay."""
        again = [(number,) for number in numbers]
        with self._transaction() as connection:
            connection.executemany("DELETE FROM value WHERE trial = ?", again)
            connection.executemany(
                "UPDATE trial SET state = 'running', finished = NULL "
                "WHERE number = ? AND state = 'failed'",
                again,
            )
        self._trials = super().trials()

    def revalue(self, objective: ObjectiveSpec, values: Mapping[int, float]) -> None:
        """Gives an objective that needs no training another origin, and trials its values by that.

        In one step, so that values of two origins are never in one study. ``values`` are by
        trial; each trial that had a value must be among them.
        """
        had = {trial.number for trial in self.trials() if objective.name in trial.values}
        if objective.needs_training or not had <= values.keys():
            raise InputError(f"objective {objective.name!r} cannot be valued anew for every trial")
        with self._transaction() as connection:
            connection.execute(
                "UPDATE objective SET origin = ? WHERE name = ?", (objective.origin, objective.name)
            )
            connection.executemany(
                "UPDATE value SET value = ? WHERE trial = ? AND objective = ?",
                [(values[number], number, objective.name) for number in sorted(had)],
            )
        self._trials = super().trials()

    def change_metadata(self, changes: Mapping[str, Any]) -> None:
        """Replaces parts of what the caller kept when the study was made."""
        document = {**self.metadata, **changes}
        with self._transaction() as connection:
            connection.execute(
                "UPDATE study SET value = ? WHERE key = 'metadata'", (json.dumps(document),)
            )
        self._documents["metadata"] = document

    def record_point(self, number: int, stage: Stage, step: int, value: float) -> None:
        """Adds a point to the learning curve of a trial, or puts it right after a resume."""
        with self._transaction(durable=False) as connection:
            connection.execute(
                "INSERT OR REPLACE INTO curve VALUES (?, ?, ?, ?)",
                (number, stage, int(step), float(value)),
            )

    def record_rung(self, number: int, share: float, value: float) -> None:
        """Keeps the trained objective's value after a share of the training of a trial."""
        with self._transaction(durable=False) as connection:
            connection.execute(
                "INSERT OR REPLACE INTO rung VALUES (?, ?, ?)", (number, share, value)
            )

    def record_finetuned(self, result: FineTuned) -> None:
        """Records a fine-tuning, in place of an earlier failure, and removes its folder."""
        with self._transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO finetuned VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    result.trial,
                    result.state,
                    json.dumps(dict(result.values)),
                    result.finished,
                    result.host,
                    result.error,
                    result.traceback,
                ),
            )
        self._remove_directory(result.trial, "finetune")

    def annotate(self, key: str, document: object) -> None:
        """Keeps anything JSON can carry under a key of the caller's, in place of an earlier one."""
        with self._transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO study VALUES (?, ?)",
                (f"{ANNOTATION}{key}", json.dumps(document)),
            )

    def record_elapsed(self, minutes: float) -> None:
        """Keeps the wall-clock time spent in phases so far, all runs together."""
        with self._transaction(durable=False) as connection:
            connection.execute(
                "UPDATE study SET value = ? WHERE key = 'elapsed_s'", (json.dumps(minutes * 60),)
            )

    def make_directory(self, number: int, stage: Stage = "search") -> Path:
        """The folder of a trial, made when missing."""
        directory = self.directory(number, stage)
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StudyError(
                f"folder {directory} of a trial cannot be made ({error.strerror}); "
                "make room or set its rights, and resume the search"
            ) from error
        return directory

    @contextmanager
    def _transaction(self, *, durable: bool = True) -> Iterator[sqlite3.Connection]:
        connection = self._connection
        with schema.translated(self.path):
            connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def _sweep(self) -> None:
        """Removes folders of trials that ended just before a kill."""
        for trial in self.trials():
            if trial.state != "running":
                self._remove_directory(trial.number, "search")
        for result in self.finetuned():
            if result.state == "finished":
                self._remove_directory(result.trial, "finetune")

    def _remove_directory(self, number: int, stage: Stage) -> None:
        directory = self.directory(number, stage)
        shutil.rmtree(directory, ignore_errors=True)
        if directory.parent.is_dir() and not any(directory.parent.iterdir()):
            directory.parent.rmdir()


def finetuned_now(
    trial: int,
    values: Mapping[str, float],
    error: str | None = None,
    traceback: str | None = None,
    *,
    host: str,
) -> FineTuned:
    """The result of a fine-tuning that ended now."""
    state: Literal["finished", "failed"] = "finished" if error is None else "failed"
    return FineTuned(trial, state, dict(values), _now(), host, error, traceback)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _host() -> str:
    return platform.node()
