"""The command `ponas`: finds the subcommand, and turns every mistake into one clear line."""

from __future__ import annotations

import errno
import importlib
import io
import os
import sys

import click

from tools.groups import Commands

COMMANDS = (
    "profiles", "calibrate", "estimate", "search", "compare", "measure", "report", "trials",
    "data", "evaluate", "spot", "export", "quantize", "doctor",
)  # fmt: skip
"""In the order of the help text; each is ``command`` in ``tools.commands.<name>``."""

ROOMS = ("costmodel", "search", "kws", "tools")
"""Our own packages: that one of these cannot be imported is a fault to be shown whole."""

PLACES = {
    errno.EACCES: "you may not read or write there",
    errno.EPERM: "you may not read or write there",
    errno.EROFS: "nothing can be written there",
    errno.EISDIR: "it is a folder, and a file is needed",
    errno.ENOTDIR: "a part of the path is a file, and a folder is needed",
    errno.ENAMETOOLONG: "the name is too long",
    errno.ELOOP: "its links lead in a circle",
}
"""What is wrong with a place that somebody has named, by the number of the system's error."""

OK, OUR_FAILURE, USERS_MISTAKE, INTERRUPTED = 0, 1, 2, 130


class _Commands(Commands):
    """Subcommands, each in a module of its own that imports what is heavy when it runs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"tools.commands.{cmd_name}")
        command: click.Command = module.command
        return command


def _versions(context: click.Context, _parameter: click.Parameter, asked: bool) -> None:
    from tools.versions import versions

    if asked and not context.resilient_parsing:
        for name, found in versions().items():
            click.echo(f"{name} {found}")
        context.exit()


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_versions,
    help="Show the versions of ponas, TVM, LLVM, torch and others, and exit.",
)
def cli() -> None:
    """Performance-oriented neural architecture search.

    Finds keyword-spotting networks that are accurate and fast on your own device.
    """


def main() -> None:
    """Runs the command line and ends the process: 0 success, 2 a user's mistake, 1 our failure."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that has no sign for ±
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Runs one command and gives its exit status; errors are one line on standard error."""
    try:
        cli.main(args=arguments, prog_name="ponas", standalone_mode=False)
    except click.exceptions.Exit as ended:
        return ended.exit_code
    except (click.Abort, KeyboardInterrupt):
        return _fail("stopped; what was finished is kept", INTERRUPTED)
    except click.ClickException as error:
        return _fail(_with_help(error, arguments), USERS_MISTAKE)
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115 - the reader is gone
        return OUR_FAILURE
    except Exception as error:
        status = _status(error)
        if status is None:
            raise
        return _fail(_line(error), status)
    return OK


MOST_CHARACTERS = 1200
"""Of an error's line; the longest of ours has half as many."""


def _status(error: Exception) -> int | None:
    """2 for a user's mistake, 1 for what let us down, None for a fault of the program itself."""
    from costmodel.errors import CostModelError
    from costmodel.errors import InputError as CostModelInputError
    from kws.errors import InputError as KwsInputError
    from kws.errors import KwsError
    from search.errors import InputError as SearchInputError
    from search.errors import SearchError

    if isinstance(error, CostModelInputError | KwsInputError | SearchInputError):
        return USERS_MISTAKE
    cause = error.__cause__ if isinstance(error, KwsError) else error
    if isinstance(cause, OSError) and cause.filename and cause.errno in PLACES:
        return USERS_MISTAKE
    if isinstance(error, CostModelError | KwsError | SearchError | OSError | MemoryError):
        return OUR_FAILURE
    if isinstance(error, ImportError) and _package(error) not in ROOMS:
        return OUR_FAILURE
    return None


def _package(error: ImportError) -> str:
    return (error.name or "").partition(".")[0]


def _line(error: Exception) -> str:
    from tools.places import HOME_VARIABLE, cache_dir, data_dir

    line = _words(error)
    if isinstance(error, OSError) and any(str(f()) in line for f in (data_dir, cache_dir)):
        return f"{line}; where ponas keeps its files is said by {HOME_VARIABLE}"
    return line


def _words(error: Exception) -> str:
    if isinstance(error, ImportError):
        what = "no compiler: TVM" if _package(error) == "tvm" else f"package '{_package(error)}'"
        return f"{what} cannot be imported ({error}); install ponas again, with its constraints"
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        where = f" at {error.filename}" if error.filename else ""
        return f"the disk is full{where}; make room and run the command again, nothing is lost"
    if isinstance(error, OSError) and error.filename and error.errno in PLACES:
        return f"{error.filename}: {PLACES[error.errno]} ({error.strerror}); name another place"
    if isinstance(error, MemoryError):
        return f"out of memory{f' ({error})' if str(error) else ''}; what was finished is kept"
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.filename}: {error.strerror}"
    return " ".join(str(error).split())


def _with_help(error: click.ClickException, arguments: list[str]) -> str:
    message = " ".join(error.format_message().split()).rstrip(".")
    if not isinstance(error, click.UsageError):
        return message
    known = [each for each in arguments[:1] if each in COMMANDS]
    path = error.ctx.command_path if error.ctx is not None else " ".join(["ponas", *known])
    return f"{message}{'' if message[-1] == '?' else ';'} see: {path} --help"


def _fail(line: str, status: int) -> int:
    # What comes from a damaged file may have anything in it, also what a terminal obeys.
    shown = "".join(each if each.isprintable() else "?" for each in line)
    if len(shown) > MOST_CHARACTERS:
        shown = f"{shown[:MOST_CHARACTERS]} ..."
    sys.stderr.write(f"ponas: {shown}\n")
    return status


if __name__ == "__main__":
    main()
