"""Options of commands that measure on a device: how it is reached, and how it is timed."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import click

from tools.number_types import Number, Whole

if TYPE_CHECKING:
    from costmodel.profile import Profile
    from costmodel.protocol import Protocol
    from costmodel.runners.reach import Reach

Command = Callable[..., None]


class MeasuringCommand(click.Command):
    """A command whose help has those options under headings of their own."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the options, those of `_grouped` last."""
        rows: dict[str, list[tuple[str, str]]] = {"": [], **{title: [] for title in HEADINGS}}
        options = (p for p in self.get_params(ctx) if isinstance(p, click.Option))
        for parameter in options:
            if (row := parameter.get_help_record(ctx)) is not None:
                title = next((t for t, n in HEADINGS.items() if parameter.name in n), "")
                rows[title].append(row)
        for title, found in rows.items():
            if found:
                with formatter.section(title or "Options"):
                    formatter.write_dl(found)


ABSOLUTE_ZERO_C = -273.15


class Limit(click.ParamType[float]):
    """Degrees Celsius, or ``none``: infinity."""

    name = "number or none"

    def convert(self, value: Any, param: Any, ctx: Any) -> float:  # noqa: ANN401 - click's
        """The limit."""
        if value == "none":
            return math.inf
        number = math.nan
        with suppress(ValueError):
            number = float(value)
        if not ABSOLUTE_ZERO_C < number < math.inf:
            self.fail(f"'{value}' is neither a temperature nor 'none'", param, ctx)
        return number


class Processors(click.ParamType[tuple[int, ...]]):
    """``0-3,6``, as Linux writes them; ``any`` for none in particular."""

    name = "list"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[int, ...]:  # noqa: ANN401 - click's
        """The processors' numbers, in the order given."""
        if isinstance(value, tuple):
            return value
        if value == "any":
            return ()
        numbers: list[int] = []
        for part in str(value).split(","):
            first, dash, last = part.partition("-")
            if not first.isdigit() or (dash and not last.isdigit()):
                self.fail(f"'{value}' is no list of processors, as in 4-7 or 0,2", param, ctx)
            numbers += range(int(first), int(last or first) + 1)
        if len(set(numbers)) != len(numbers) or not numbers:
            self.fail(f"'{value}' names no processor, or one twice", param, ctx)
        return tuple(numbers)


@dataclass(frozen=True)
class ReachOptions:
    """What the options say of the way to the device."""

    local: bool
    ssh: str | None
    ssh_config: str | None
    command: str | None
    push: str | None
    rpc: str | None
    tracker: str | None
    key: str | None

    def reach(self) -> Reach | None:
        """The way, None where none was given. Raises InputError for two, or half of one."""
        from costmodel.errors import InputError
        from costmodel.runners.reach import Command, Local, Rpc, Ssh

        given = {
            "--local": self.local, "--ssh": self.ssh, "--command": self.command,
            "--rpc": self.rpc, "--tracker": self.tracker,
        }  # fmt: skip
        ways = [name for name, value in given.items() if value]
        if len(ways) > 1:
            raise InputError(f"{' and '.join(ways)} are two ways to the device; give one")
        companions = {
            "--ssh-config": (self.ssh_config, "--ssh"), "--push": (self.push, "--command"),
            "--key": (self.key, "--tracker"),
        }  # fmt: skip
        for name, (value, needed) in companions.items():
            if value and needed not in ways:
                raise InputError(
                    f"{name} says something about {needed}, which is missing; give both"
                )
        if self.ssh:
            return Ssh(host=self.ssh, config=self.ssh_config)
        if self.command:
            return Command(command=self.command, push=self.push)
        if self.rpc:
            return Rpc(address=self.rpc)
        if self.tracker:
            if not self.key:
                raise InputError(
                    "--tracker knows devices by a key: give it with --key, as in --key odroid; "
                    "see which there are: python -m tvm.exec.query_rpc_tracker"
                )
            return Rpc(address=self.tracker, key=self.key)
        return Local() if self.local else None


def reach_options(command: Command) -> Command:
    """Adds the options of `ReachOptions`, handed over as ``reach``."""
    options = (
        click.option("--local", is_flag=True, help="The device is this machine."),
        click.option("--ssh", metavar="HOST", help="A board with Linux; needs nothing there."),
        click.option(
            "--ssh-config", metavar="FILE", type=click.Path(exists=True, dir_okay=False),
            help="Read instead of your ssh configuration.",
        ),
        click.option(
            "--command", metavar="TEMPLATE",
            help="Starts a program on the device: \"adb shell /data/local/tmp/{program} {args}\", "
            "\"qemu-arm-static {program} {args}\".",
        ),
        click.option(
            "--push", metavar="TEMPLATE", help="Puts a program there: \"copy {program} there/\"."
        ),
        click.option("--rpc", metavar="HOST:PORT", help="A TVM RPC server."),
        click.option("--tracker", metavar="HOST:PORT", help="A TVM RPC tracker; with --key."),
        click.option("--key", metavar="NAME", help="Key of the devices at the tracker."),
    )  # fmt: skip
    return _grouped(command, options, "reach", ReachOptions)


@dataclass(frozen=True)
class ProtocolOptions:
    """What the options change of a profile's protocol; None: as in the profile."""

    repeats: int | None
    min_repeat_ms: float | None
    warm_up_ms: float | None
    rounds: int | None
    max_rounds: int | None
    agreement: float | None
    flush_kb: int | None
    cpus: tuple[int, ...] | None
    governor: str | None
    cool_down_ms: float | None
    max_temperature_c: float | None
    sentinel_every: int | None
    no_sentinel: bool
    drift: float | None

    def changed(self, protocol: Protocol) -> Protocol:
        """``protocol`` with the changes; InputError where they do not fit each other."""
        from costmodel.errors import InputError

        changes = {
            name: value
            for name, value in vars(self).items()
            if name != "no_sentinel" and value is not None
        }
        if self.rounds and self.max_rounds and self.max_rounds < self.rounds:
            raise InputError(
                f"--max-rounds {self.max_rounds} is below --rounds {self.rounds}; lower the one or "
                "raise the other"
            )
        if self.no_sentinel and self.sentinel_every:
            raise InputError("--no-sentinel and --sentinel-every contradict each other; give one")
        if self.no_sentinel:
            changes["sentinel_every"] = 0
        if self.max_temperature_c == math.inf:
            changes["max_temperature_c"] = None
        # Fewer rounds than the profile asks for, or more: the other limit gives way.
        if self.rounds is not None and self.max_rounds is None:
            changes["max_rounds"] = max(self.rounds, protocol.max_rounds)
        if self.max_rounds is not None and self.rounds is None:
            changes["rounds"] = min(self.max_rounds, protocol.rounds)
        return replace(protocol, **changes)


def protocol_options(command: Command) -> Command:
    """Adds the options of `ProtocolOptions`, handed over as ``timing``."""
    positive, count = Number(min=0), Whole(min=0)
    options = (
        click.option("--repeats", type=Whole(min=1), help="Samples of each kernel."),
        click.option("--min-repeat-ms", type=positive, help="Shortest sample; 0: one run each."),
        click.option("--warm-up-ms", type=positive, help="Running before the first sample."),
        click.option(
            "--rounds", type=Whole(min=1), help="Times that all kernels are gone through."
        ),
        click.option(
            "--max-rounds", type=Whole(min=1), help="The same at most, while rounds disagree."
        ),
        click.option(
            "--agreement", type=positive, help="By what two rounds may differ; 0.01: 1 %."
        ),
        click.option("--flush-kb", type=count, help="Written before each run, to empty caches."),
        click.option("--cpus", type=Processors(), help="Processors to run on: 4-7, or any."),
        click.option("--governor", help="Frequency governor that must be set."),
        click.option("--cool-down-ms", type=positive, help="Pause before each kernel."),
        click.option(
            "--max-temperature-c",
            type=Limit(),
            metavar="NUMBER|none",
            help="Wait until the device is cooler.",
        ),
        click.option(
            "--sentinel-every",
            type=count,
            help="Kernels between two sentinels; 0: none.",
        ),
        click.option("--no-sentinel", is_flag=True, help="The clock is exact (a simulator)."),
        click.option("--drift", type=positive, help="By what a sentinel may differ; 0.05: 5 %."),
    )
    return _grouped(command, options, "timing", ProtocolOptions)


HEADINGS = {
    "Reaching the device": tuple(field.name for field in fields(ReachOptions)),
    "Timing, where it differs from the profile's": tuple(f.name for f in fields(ProtocolOptions)),
}
"""Of the help: title -> options below it."""


def with_changes(
    profile: Profile, reach: ReachOptions, timing: ProtocolOptions, threads: int | None = None
) -> Profile:
    """The profile as the options have it, nothing written yet.

    ``threads``: cores that kernels run on; InputError for a profile of this machine, whose number
    is in its name.
    """
    from costmodel.errors import InputError
    from costmodel.profile import Profile
    from costmodel.target import CpuTarget

    changes: dict[str, Any] = {"protocol": timing.changed(profile.protocol)}
    if (way := reach.reach()) is not None:
        changes["runner"] = way
    target = profile.file.target
    if threads is not None:
        if not isinstance(target, CpuTarget):
            raise InputError(
                f"--threads: '{profile.name}' has no number of cores to change; for this machine "
                "there are host-cpu (one) and host-cpu-all"
            )
        changes["target"] = target.with_cores(threads)
    return Profile(profile.file.model_copy(update=changes), profile.folder)


def _grouped(
    command: Command, options: tuple[Any, ...], name: str, group: Callable[..., object]
) -> Command:
    """``command`` with ``options``, whose values it gets as one argument."""
    names = [option_name(option) for option in options]

    def wrapped(**given: Any) -> None:  # noqa: ANN401 - whatever the options are
        values = {each: given.pop(each) for each in names}
        command(**given, **{name: group(**values)})

    wrapped.__doc__, wrapped.__name__ = command.__doc__, command.__name__
    wrapped.__click_params__ = getattr(command, "__click_params__", [])  # type: ignore[attr-defined]
    for option in reversed(options):
        option(wrapped)
    return wrapped


def option_name(option: Callable[[Command], Command]) -> str:
    """The argument that an option's value is handed over as."""

    def probe() -> None: ...

    option(probe)
    (parameter,) = probe.__click_params__  # type: ignore[attr-defined]
    return str(parameter.name)
