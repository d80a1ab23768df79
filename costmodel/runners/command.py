"""Runner `command`: a static program started by a template, for anything that can run a program.

A phone (``adb shell /data/local/tmp/{program} {args}``), an emulator (``qemu-arm {program}
{args}``), a simulator.
"""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Unpack

from costmodel.errors import InputError
from costmodel.runners.programs import LaneSettings, ProgramLane
from costmodel.runners.rounds import RoundsRunner
from costmodel.runners.transport import Started, Transport, TransportError
from costmodel.target import CpuTarget

_PUSH_SECONDS = 120.0
"""Until a `push` counts as hung; a program is some 0.2 to 5 MB."""
_REMOVE_SECONDS = 30.0
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")


class CommandRunner(RoundsRunner):
    """See the module and `Runner`."""

    def __init__(
        self,
        target: CpuTarget,
        command: str,
        push: str | None = None,
        *,
        seed: int = 0,
        **settings: Unpack[LaneSettings],
    ) -> None:
        """See `CommandTransport` and `ProgramLane`."""
        lane = ProgramLane(CommandTransport(command, push), target, **settings)
        super().__init__([lane], seed=seed)


class CommandTransport(Transport):
    """Starts programs by a template; no shell of this machine ever reads it."""

    def __init__(self, command: str, push: str | None = None) -> None:
        """``command``: words with ``{program}`` and ``{args}``; see the module.

        ``push``: words with ``{program}`` that put this local file where ``command`` finds it by
        its name. Without it ``{program}`` is the local file; for ``adb shell FOLDER/{program}`` it
        is ``adb push {program} FOLDER/``. Raises InputError for a template that cannot be right.
        """
        self._text = command
        self._command = _template(command, "--command", ("program", "args"))
        self._push = _template(push, "--push", ("program",)) if push else _adb_push(self._command)
        if not self._push and (folder := _folder_of(self._command)):
            raise InputError(
                f"--command: {folder}{{program}} is a place on the device, so the program has to "
                f"be put there: --push 'COMMAND {{program}} {folder}'"
            )
        self._program = Path()
        self._is_pushed = False

    def place(self, program: Path) -> None:
        self._program = program
        if not self._push:
            return
        self._remove_pushed()  # also one that a killed run has left, and that may still run
        words = _filled(self._push, str(program), ())
        pushed = Started(words)
        status, _ = pushed.finish(_PUSH_SECONDS)
        if status is None:
            raise TransportError(f"{words[0]} has not put the program in {_PUSH_SECONDS:g} s")
        if status:
            raise TransportError(f"{shlex.join(words)}: {pushed.reason}")
        self._is_pushed = True

    def start(self, arguments: Sequence[str]) -> Started:
        program = self._program.name if self._push else str(self._program)
        return Started(_filled(self._command, program, arguments))

    def halt(self, started: Started) -> None:
        started.kill()

    def remove(self) -> None:
        if self._is_pushed:
            self._remove_pushed()

    def describe(self) -> str:
        return self._text

    def _remove_pushed(self) -> None:
        self._is_pushed = False
        with suppress(TransportError):
            self.start(["remove"]).finish(_REMOVE_SECONDS)


def _template(text: str, option: str, placeholders: Sequence[str]) -> tuple[str, ...]:
    """The words of a template; InputError where placeholders or the command do not exist."""
    expected = " and ".join(f"{{{name}}}" for name in placeholders)
    try:
        words = tuple(shlex.split(text))
    except ValueError as error:
        raise InputError(f"{option}: {str(error).lower()} in '{text}'") from None
    used = [name for word in words for name in _PLACEHOLDER.findall(word)]
    for name in used:
        if name not in placeholders:
            raise InputError(f"{option}: unknown placeholder {{{name}}}; known: {expected}")
    for name in placeholders:
        if used.count(name) != 1:
            found = "is missing" if name not in used else "occurs more than once"
            raise InputError(f"{option}: {{{name}}} {found} in '{text}'; it needs {expected}")
    if words[0] != "{program}" and shutil.which(words[0]) is None:
        raise InputError(
            f"{option}: there is no command '{words[0]}' on this machine; install it, or give its "
            "path"
        )
    return words


def _folder_of(command: Sequence[str]) -> str:
    """What stands before the program's name in its own word."""
    (word,) = (word for word in command if "{program}" in word)
    return word.partition("{program}")[0]


def _adb_push(command: Sequence[str]) -> tuple[str, ...]:
    """How adb, told so or not, puts a program where ``command`` wants it; empty without adb."""
    folder = _folder_of(command)
    if Path(command[0]).name != "adb" or "shell" not in command or not folder:
        return ()
    return (*command[: command.index("shell")], "push", "{program}", folder)


def _filled(template: Sequence[str], program: str, arguments: Sequence[str]) -> list[str]:
    words: list[str] = []
    for word in template:
        if word == "{args}":
            words += arguments
        else:
            words.append(word.replace("{args}", " ".join(arguments)).replace("{program}", program))
    return words
