"""A 64-bit ARM board without a board: Debian's Python and TVM's wheels for it, under qemu.

    python -m tools.emulated_board FOLDER --port 9090 [--boards 2] [--tracker HOST:PORT --key KEY]

FOLDER is filled once (400 MB: Debian's arm64 packages by apt, wheels by pip; the system's own
packages are left alone), then TVM's RPC servers run on this machine's loopback until they are
ended. They compute what a board does; the times that they tell are those of the emulator.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import zipfile
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

EMULATOR = "qemu-aarch64-static"
_BOARD_PROGRAM = Path(__file__).with_name("rpc_board.py")
_DEBIAN = (
    "libc6", "libgcc-s1", "libstdc++6", "zlib1g", "libexpat1", "libssl3", "libffi8", "libbz2-1.0",
    "liblzma5", "libuuid1", "libcrypt1",
)  # fmt: skip
"""Libraries of Python and of the wheels."""
_WHEELS = ("apache-tvm", "apache-tvm-ffi", "numpy", "ml_dtypes", "typing_extensions", "psutil")
"""What an RPC server imports, in the versions installed here."""
_PLATFORMS = ("manylinux_2_28_aarch64", "manylinux_2_27_aarch64", "manylinux2014_aarch64")
_APT = """APT::Architecture "arm64";
APT::Architectures {{ "arm64"; }};
Dir::State::lists "{apt}/lists";
Dir::State::status "{apt}/status";
Dir::Cache "{apt}/cache";
APT::Sandbox::User "";
"""


def main() -> None:
    """Fills the folder where that has not been done, and serves."""
    options = _options()
    if shutil.which(EMULATOR) is None:
        sys.exit(f"there is no {EMULATOR}: make system-packages")
    root = options.folder.absolute() / "root"
    if not (root / "complete").exists():
        fill(options.folder.absolute())
    words = ["--tracker", options.tracker, "--key", options.key] if options.tracker else []
    servers = [
        start(root, ["--port", str(options.port + i), *words], options.processor)
        for i in range(options.boards)
    ]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        for server in servers:
            server.wait()
    except KeyboardInterrupt:
        pass
    finally:
        for server in servers:
            if server.poll() is None:
                os.killpg(server.pid, signal.SIGKILL)


def fill(folder: Path) -> None:
    """Brings Python, its libraries and the wheels into ``folder/root``."""
    root, apt = folder / "root", folder / "apt"
    for name in ("lists/partial", "cache/archives/partial"):
        (apt / name).mkdir(parents=True, exist_ok=True)
    (apt / "status").touch()
    (apt / "conf").write_text(_APT.format(apt=apt), encoding="utf-8")
    asked = {"APT_CONFIG": str(apt / "conf")}
    _run(["apt-get", "update", "-q"], apt, asked)
    python = _python_version(apt, asked)
    packages = [
        f"python{python}-minimal",
        f"libpython{python}-minimal",
        f"libpython{python}-stdlib",
    ]
    _run(["apt-get", "download", "-q", *packages, *_DEBIAN], apt, asked)
    root.mkdir(exist_ok=True)
    for package in sorted(apt.glob("*.deb")):
        _run(["dpkg", "-x", str(package), str(root)], apt)
    _unpack_wheels(folder / "wheels", python, root / "site")
    (root / "complete").write_text(python)


def start(root: Path, words: Sequence[str], processor: str) -> subprocess.Popen[bytes]:
    """A server of its own process group, listening at the loopback alone."""
    python = (root / "complete").read_text()
    environment = {
        **os.environ,
        "PYTHONPATH": str(root / "site"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "TVM_USE_RUNTIME_LIB": "1",  # the compiler is of no use there
    }
    command = [
        *[EMULATOR, "-cpu", processor, "-L", str(root), str(root / f"usr/bin/python{python}")],
        *[str(_BOARD_PROGRAM), "--host", "127.0.0.1", *words],
    ]
    return subprocess.Popen(command, env=environment, start_new_session=True)


def _python_version(apt: Path, asked: Mapping[str, str]) -> str:
    """That of the release whose sources this machine has, as in 3.11."""
    shown = _run(["apt-cache", "policy", "python3-minimal"], apt, asked)
    match = re.search(r"Candidate: (\d+\.\d+)", shown)
    if match is None:
        sys.exit("apt's sources have no python3-minimal for arm64")
    return match[1]


def _unpack_wheels(folder: Path, python: str, site: Path) -> None:
    folder.mkdir(exist_ok=True)
    command = [
        *[sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"],
        *["--only-binary=:all:", "--no-deps", "--python-version", python, "--dest", str(folder)],
        *[word for platform in _PLATFORMS for word in ("--platform", platform)],
        *[_pinned(name) for name in _WHEELS],
    ]
    _run(command, folder)
    for wheel in folder.glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(site)


def _pinned(name: str) -> str:
    try:
        return f"{name}=={version(name)}"
    except PackageNotFoundError:
        return name


def _run(command: Sequence[str], folder: Path, more: Mapping[str, str] | None = None) -> str:
    """What the command says; ends this program, with the command's own words, where it fails."""
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **(more or {})}, text=True, capture_output=True,
        check=False,
    )  # fmt: skip
    if done.returncode:
        reason = (done.stderr.strip() or done.stdout.strip() or "no reason given").splitlines()[-1]
        sys.exit(f"{' '.join(command[:3])} failed: {reason}")
    return done.stdout


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="emulated 64-bit ARM boards with TVM's RPC server")
    parser.add_argument("folder", type=Path, help="where the board's files are or will be")
    parser.add_argument("--port", type=int, default=9090, help="of the first board")
    parser.add_argument("--boards", type=int, default=1, help="how many, at one port after another")
    parser.add_argument("--tracker", default="", help="HOST:PORT of a tracker")
    parser.add_argument("--key", default="", help="key of these boards at the tracker")
    parser.add_argument("--processor", default="cortex-a72", help=f"as in: {EMULATOR} -cpu help")
    options = parser.parse_args()
    if bool(options.tracker) != bool(options.key):
        parser.error("--tracker and --key belong together")
    return options


if __name__ == "__main__":
    main()
