"""What the doctor says of the versions at both ends."""

import importlib.metadata
from dataclasses import replace

import pytest

from costmodel.runners.reach import Command, Rpc
from tools.device_check import look_at
from tools.places import profile_store


class Device:
    """A device with nothing but these files."""

    def __init__(self, files):
        self._files = files

    def files(self, patterns):
        return {path: text for path, text in self._files.items() if path in patterns}


SERVER = {
    "/proc/version": "Linux version 5.4.0 (gcc)",
    "/proc/self/maps": "7f00-7f01 r-xp 0 00:00 0 /opt/py/tvm/lib/libtvm_runtime.so\n",
    "/opt/py/apache_tvm-*/METADATA": "Name: apache-tvm\nVersion: 0.27.1\n",
}


@pytest.mark.parametrize(
    ("way", "files", "says"),
    [
        (Rpc(address="board:9090"), SERVER, "TVM 0.27.1, Linux version 5.4.0 there"),
        (
            Rpc(address="board:9090"),
            {"/proc/version": SERVER["/proc/version"]},
            "TVM of an unknown version (not from a wheel), Linux version 5.4.0 there",
        ),
        (
            Command(command="{program} {args}"),
            SERVER,
            "Linux version 5.4.0 there, which needs no TVM: programs are static",
        ),
        (Command(command="{program} {args}"), {}, "a device that does not tell its system"),
    ],
)
def test_versions_at_both_ends(way, files, says):
    profile = profile_store().get("odroid-xu3-a15")
    profile = replace(profile, file=profile.file.model_copy(update={"runner": way}))
    _, findings = look_at(Device(files), profile)
    (versions,) = [finding.text for finding in findings if finding.topic == "versions"]
    ours = importlib.metadata.version("apache-tvm")
    assert versions.startswith(f"TVM {ours} here; ")
    assert says in versions
