"""Installs the wheel with pip where there is nothing else, and runs it from another folder.

python tests/tools/check_packaging.py [ARGUMENT OF pip install ...]

Takes as long as fetching torch and TVM does; `test_packaging` links what is installed here instead.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from built import ROOT, build, copy

COMMANDS = (
    ["profiles"], ["estimate", "kws7"], ["estimate", "kws7", "--profile", "gtx-1080ti"],
)  # fmt: skip


def main():
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        for name in ("source", "wheel", "elsewhere"):
            (root / name).mkdir()
        wheel = build("wheel", copy(root / "source"), root / "wheel")
        subprocess.run([sys.executable, "-m", "venv", root / "venv"], check=True)
        programs = root / "venv" / "bin"
        pip = (programs / "python", "-m", "pip")
        asked = ("-c", ROOT / "constraints.txt", *sys.argv[1:], wheel)
        subprocess.run([*pip, "install", "--quiet", *asked], check=True)
        environment = {**os.environ, "PONAS_HOME": str(root / "home")}
        environment.pop("PYTHONPATH", None)
        for arguments in COMMANDS:
            done = subprocess.run(
                [programs / "ponas", *arguments, "--json"], cwd=root / "elsewhere",
                env=environment, stdout=subprocess.PIPE, text=True, check=True,
            )  # fmt: skip
            found = json.loads(done.stdout)
            what = f"{len(found)} profiles" if isinstance(found, list) else found["latency_ms"]
            print(" ".join(arguments), "->", what)
        listed = subprocess.run(
            [*pip, "list", "--format", "json"], stdout=subprocess.PIPE, check=True
        )
        print(len(json.loads(listed.stdout)), "packages are installed there")


if __name__ == "__main__":
    main()
