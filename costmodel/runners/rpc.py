"""Runner `rpc`: boards that run TVM's RPC server, one by its address or many through a tracker.

A board needs Python and the wheel of TVM: ``python -m tvm.exec.rpc_server``, or the file
``tools/rpc_board.py``, which serves again after a kernel has crashed it. The kernels come in shared
libraries, their arrays are made there, and the server's own clock times them. Several boards of one
kind measure at the same time.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

from costmodel.crossbuild.toolchain import Toolchain
from costmodel.errors import DeviceError, InputError
from costmodel.runners.contract import Job
from costmodel.runners.object_pool import BuiltObject, ObjectPool
from costmodel.runners.rounds import RoundsRunner
from costmodel.runners.rpc_address import Address, check_key, parse_address
from costmodel.runners.rpc_lane import (
    KERNEL_TIMEOUT_SECONDS,
    REACH_SECONDS,
    Board,
    Builder,
    RpcLane,
)
from costmodel.runners.rpc_tracker import Farm, Grant, Tracker, server_command
from costmodel.target import CpuTarget, Target


class _BoardsRunner(RoundsRunner):
    """One lane a board, and one pool for all."""

    def __init__(
        self,
        boards: Sequence[Board],
        target: Target,
        *,
        pool: ObjectPool | None,
        toolchain: Toolchain | None,
        kernel_timeout_s: float,
        reach_s: float,
        seed: int,
    ) -> None:
        if not isinstance(target, CpuTarget):
            raise InputError("the runner rpc times processors; GPUs are not measured by it yet")
        self._pool = _SharedPool(pool or ObjectPool())
        lanes = [
            RpcLane(
                board,
                target,
                self._pool,
                toolchain=toolchain,
                kernel_timeout_s=kernel_timeout_s,
                reach_s=reach_s,
            )
            for board in boards
        ]
        super().__init__(lanes, seed=seed)

    def close(self) -> None:
        super().close()
        self._pool.close()


class RpcRunner(_BoardsRunner):
    """One server by its address; see the module and `Runner`."""

    def __init__(
        self,
        target: Target,
        address: str,
        *,
        key: str = "",
        pool: ObjectPool | None = None,
        toolchain: Toolchain | None = None,
        kernel_timeout_s: float = KERNEL_TIMEOUT_SECONDS,
        reach_s: float = REACH_SECONDS,
        seed: int = 0,
    ) -> None:
        """``address``: ``host:port``; ``key``: the server's, if it was started with one.

        ``kernel_timeout_s``, ``reach_s``: see the constants of their names. Raises InputError for
        what cannot be an address or a key, and for a target that no library can be built for.
        """
        board = _Server(parse_address(address, "--rpc"), check_key(key) if key else "")
        super().__init__(
            [board],
            target,
            pool=pool,
            toolchain=toolchain,
            kernel_timeout_s=kernel_timeout_s,
            reach_s=reach_s,
            seed=seed,
        )


class TrackedRunner(_BoardsRunner):
    """All boards of one kind that a tracker knows, in parallel; see the module and `Runner`."""

    def __init__(
        self,
        target: Target,
        tracker: str,
        key: str,
        *,
        boards: int | None = None,
        pool: ObjectPool | None = None,
        toolchain: Toolchain | None = None,
        kernel_timeout_s: float = KERNEL_TIMEOUT_SECONDS,
        reach_s: float = REACH_SECONDS,
        seed: int = 0,
    ) -> None:
        """``tracker``: its ``host:port``; ``key``: that its boards are registered under.

        ``boards``: how many to use, the first by their addresses; None for all that there are.
        Raises InputError as `RpcRunner` does, DeviceError where the tracker cannot be reached or
        has not so many boards.
        """
        asked = Tracker(parse_address(tracker, "--tracker"))
        found = _boards(asked, check_key(key), boards)
        farm = Farm(asked, key, found)
        super().__init__(
            [_Tracked(farm, address) for address in found],
            target,
            pool=pool,
            toolchain=toolchain,
            kernel_timeout_s=kernel_timeout_s,
            reach_s=reach_s,
            seed=seed,
        )


class _Server(Board):
    def __init__(self, address: Address, key: str) -> None:
        self.name = str(address)
        self._grant = Grant(address, key)

    def grant(self, until: float) -> Grant:  # noqa: ARG002 - it is there or it is not
        return self._grant


class _Tracked(Board):
    def __init__(self, farm: Farm, address: Address) -> None:
        self.name = str(address)
        self._farm, self._address = farm, address

    def grant(self, until: float) -> Grant:
        return self._farm.grant(self._address, until)


def _boards(tracker: Tracker, key: str, count: int | None) -> list[Address]:
    """The first ``count`` boards of ``key``; DeviceError where there are not so many."""
    if count is not None and count < 1:
        raise InputError(f"boards: at least 1 is needed, got {count}")
    known = tracker.boards()
    found = known.get(key, [])
    start = f"start one with: {server_command(tracker.address, key)}"
    if not found:
        others = ", ".join(sorted(known)) or "no board at all"
        raise DeviceError(
            f"the tracker {tracker.address} has no board '{key}', it has: {others}; {start}"
        )
    if count is not None and count > len(found):
        raise DeviceError(
            f"the tracker {tracker.address} has {len(found)} boards '{key}', not {count}; {start}"
        )
    return found[:count]


class _SharedPool(Builder):
    """One pool for all lanes: it compiles for one of them at a time, on all cores."""

    def __init__(self, pool: ObjectPool) -> None:
        self._pool = pool
        self._lock = threading.Lock()

    def build(self, jobs: Sequence[Job], folder: Path) -> dict[str, BuiltObject | str]:
        with self._lock:
            return self._pool.build(jobs, folder)

    def close(self) -> None:
        """Ends the pool's processes."""
        self._pool.close()
