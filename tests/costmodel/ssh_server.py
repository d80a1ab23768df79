"""Boards for the runner `ssh`, and what its tests share."""

import pytest
from runner_contract import kernel_jobs

from costmodel.errors import DeviceError
from costmodel.runners.object_pool import ObjectPool
from costmodel.runners.programs import ProgramLane
from costmodel.runners.ssh import SshTransport
from tools.ssh_board import SshBoard


class SshServer(SshBoard):
    """Skips the test where this machine has no sshd."""

    def __init__(self, folder, emulator="", machine=""):
        try:
            super().__init__(folder, emulator, machine)
        except DeviceError as error:
            pytest.skip(str(error))


class KeptPool(ObjectPool):
    """Which outlives the lanes that share it: its processes take seconds to start."""

    def close(self):
        pass


def lane_of(target, server, pool, jobs=3, **settings):
    lane = ProgramLane(SshTransport("board", server.config), target, pool=pool, **settings)
    jobs = kernel_jobs(target, jobs)
    assert lane.build(jobs) == {}
    return lane, [job.key for job in jobs]
