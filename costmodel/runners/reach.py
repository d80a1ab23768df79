"""How a device is reached: what a profile keeps of it, and the runner that this opens."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from costmodel.errors import InputError
from costmodel.target import CpuTarget, Target

if TYPE_CHECKING:
    from costmodel.runners.contract import Runner


class _Way(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Local(_Way):
    """The machine that asks."""

    kind: Literal["local"] = "local"

    @property
    def words(self) -> str:
        """The way for a person."""
        return "this machine"


class Ssh(_Way):
    """A board with Linux, by its name in the user's ssh configuration."""

    kind: Literal["ssh"] = "ssh"
    host: str
    config: str | None = None
    """A configuration file to read instead of the user's."""

    @property
    def words(self) -> str:
        """The way for a person."""
        return f"ssh to {self.host}"


class Command(_Way):
    """Anything that a command can run a program on; see `costmodel.runners.command`."""

    kind: Literal["command"] = "command"
    command: str
    push: str | None = None

    @property
    def words(self) -> str:
        """The way for a person."""
        return f"command {self.command}"


class Rpc(_Way):
    """A TVM RPC server, or all those of one key at a tracker."""

    kind: Literal["rpc"] = "rpc"
    address: str
    """``host:port``."""
    key: str | None = None
    """Of the devices, where the address is a tracker's; None where it is a server's."""

    @property
    def words(self) -> str:
        """The way for a person."""
        return f"devices '{self.key}' of tracker {self.address}" if self.key else self.address


def _named(value: Any) -> Any:  # noqa: ANN401 - whatever stands in the file
    return {"kind": value} if value == "local" else value


Reach = Annotated[
    Annotated[Local | Ssh | Command | Rpc, Field(discriminator="kind")], BeforeValidator(_named)
]


def open_runner(reach: Reach, target: Target) -> Runner:
    """The runner for ``target``'s jobs on the device. Raises InputError where it cannot be."""
    if not isinstance(target, CpuTarget):
        raise InputError(
            "a GPU, also that of this machine, is measured by a bundle: ponas calibrate PROFILE "
            "--bundle FOLDER writes a folder whose README.txt says what to start there"
        )
    if isinstance(reach, Local):
        from costmodel.runners.local import LocalRunner

        _check_local(target)
        return LocalRunner()
    if isinstance(reach, Rpc):
        from costmodel.runners.rpc import RpcRunner, TrackedRunner

        if reach.key is None:
            return RpcRunner(target, reach.address)
        return TrackedRunner(target, reach.address, reach.key)
    if isinstance(reach, Ssh):
        from costmodel.runners.ssh import SshRunner

        return SshRunner(target, reach.host, Path(reach.config) if reach.config else None)
    from costmodel.runners.command import CommandRunner

    return CommandRunner(target, reach.command, reach.push)


def _check_local(target: CpuTarget) -> None:
    """Raises InputError where this machine does not run what is built for ``target``."""
    from costmodel.crossbuild.platforms import platform_here, platform_of

    here = platform_here()
    if here is not None and (there := platform_of(target)) != here:
        raise InputError(
            f"--local is this machine, which is {here.name}, and the device is {there.name}; reach "
            "it with --ssh HOST, --command, --rpc or --tracker"
        )
