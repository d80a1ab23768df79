"""The distribution: built from the tracked files, and installed beside what it says it needs."""

import subprocess
import sys
import tarfile
import zipfile
from email import message_from_bytes
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
ROOMS = ("costmodel", "search", "kws", "hw_profiles", "tools")
_BUILD = "import sys, setuptools.build_meta as b; print(getattr(b, sys.argv[1])(sys.argv[2]))"


def tracked():
    """Paths of all files of the repository; those of the checkout where there is no git."""
    done = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode == 0:
        return [Path(line) for line in done.stdout.splitlines() if (ROOT / line).is_file()]
    found = (path.relative_to(ROOT) for path in ROOT.rglob("*") if path.is_file())
    return [path for path in found if not any(p.startswith(".") for p in path.parts)
            and "__pycache__" not in path.parts]  # fmt: skip


def copy(folder):
    """The tracked files in a folder of their own: a build leaves things beside them."""
    for path in tracked():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes((ROOT / path).read_bytes())
    return folder


def build(kind, source, output):
    """``wheel`` or ``sdist`` of a source folder, as any front end has it built."""
    done = subprocess.run(
        [sys.executable, "-c", _BUILD, f"build_{kind}", str(output)],
        cwd=source, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return output / done.stdout.splitlines()[-1]


def unpack(sdist, folder):
    """The source folder in an sdist."""
    with tarfile.open(sdist) as tar:
        tar.extractall(folder, filter="data")
    return next(folder.iterdir())


def contents(wheel):
    """Name -> bytes of everything in a wheel."""
    with zipfile.ZipFile(wheel) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


def facts_of(wheel):
    """What the distribution says of itself."""
    (name,) = (each for each in contents(wheel) if each.endswith(".dist-info/METADATA"))
    return message_from_bytes(contents(wheel)[name])


def requirements(wheel):
    """What it says it needs, a line each."""
    return facts_of(wheel).get_all("Requires-Dist")


def needed(lines):
    """Names of the distributions that such lines ask for, and what those need; no extras."""
    found, left = set(), list(lines)
    while left:
        requirement = Requirement(left.pop())
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        name = requirement.name.lower().replace("_", "-")
        if name not in found:
            found.add(name)
            left += metadata.requires(name) or []
    return found


def link_distributions(names, site):
    """Puts what was installed of these distributions into the folder ``site``."""
    for name in names:
        distribution = metadata.distribution(name)
        for top in {path.parts[0] for path in distribution.files or [] if path.parts[0] != ".."}:
            place = Path(distribution.locate_file(top))
            if place.exists() and not (site / top).exists():
                (site / top).symlink_to(place)
