"""What is handed out is whole, holds no tests, and runs beside what it says it needs alone."""

import json
import subprocess
import sys
import zipfile

import pytest
from built import (
    ROOMS,
    ROOT,
    build,
    contents,
    copy,
    facts_of,
    link_distributions,
    needed,
    requirements,
    tracked,
    unpack,
)


@pytest.fixture(scope="module")
def sdist(tmp_path_factory):
    source = copy(tmp_path_factory.mktemp("source"))
    return build("sdist", source, tmp_path_factory.mktemp("sdist"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    return build("wheel", copy(tmp_path_factory.mktemp("again")), tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """Runs a command where nothing is installed but the wheel and what it needs."""
    root = tmp_path_factory.mktemp("bare")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", root / "venv"], check=True)
    python = root / "venv" / "bin" / "python"
    asked = [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    site = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    with zipfile.ZipFile(wheel) as opened:
        opened.extractall(site)
    link_distributions(needed(requirements(wheel)), root.joinpath(site))
    (root / "elsewhere").mkdir()

    def call(*arguments):
        return subprocess.run(
            [python, *arguments], cwd=root / "elsewhere", capture_output=True, text=True,
            check=False, env={"PONAS_HOME": str(root / "home"), "PATH": "/usr/bin:/bin"},
        )  # fmt: skip

    return call


def test_the_wheel_holds_every_file_of_the_rooms_and_nothing_else(wheel):
    found = {name for name in contents(wheel) if ".dist-info/" not in name}
    assert found == {path.as_posix() for path in tracked() if path.parts[0] in ROOMS}


def test_the_sdist_holds_every_file_but_those_of_the_repository_itself(sdist, tmp_path):
    source = unpack(sdist, tmp_path)
    found = {path.relative_to(source) for path in source.rglob("*") if path.is_file()}
    own = {path for path in tracked() if not path.parts[0].startswith(".")}
    assert found - own <= {
        path for path in found if path.parts[0] in ("PKG-INFO", "setup.cfg", "ponas.egg-info")
    }
    assert own <= found


def test_the_sdist_builds_the_same_wheel(sdist, wheel, tmp_path):
    (tmp_path / "wheel").mkdir()
    again = build("wheel", unpack(sdist, tmp_path / "source"), tmp_path / "wheel")
    assert contents(again) == contents(wheel)


def test_what_is_said_of_it_is_complete(wheel):
    facts = facts_of(wheel)
    readme = facts.get_payload(decode=True).decode()
    assert facts["Name"] == "ponas"
    assert facts["License-Expression"] == "Apache-2.0"
    assert facts["Requires-Python"] == ">=3.11"
    assert facts["Description-Content-Type"] == "text/markdown"
    assert readme.strip() == (ROOT / "README.md").read_text(encoding="utf-8").strip()
    assert len(facts.get_all("Classifier")) > 5
    places = {each.partition(", ")[2] for each in facts.get_all("Project-URL", [])}
    assert all(place.startswith("https://") for place in places)


def test_the_command_is_there(installed):
    code = "from importlib import metadata; print(metadata.entry_points(name='ponas'))"
    done = installed("-c", code)
    assert "value='tools.main:main'" in done.stdout
    done = installed("-m", "tools.main", "--version")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("ponas ")


def test_it_comes_from_the_wheel_and_brings_the_profiles(installed):
    done = installed("-c", "import tools, torch, onnx; print(tools.__file__)")
    assert "No module named 'onnx'" in done.stderr  # nothing is there that it does not ask for
    assert "bare" in installed("-c", "import tools; print(tools.__file__)").stdout
    done = installed("-m", "tools.main", "profiles", "--json")
    assert done.returncode == 0, done.stderr
    assert {"host-cpu", "gtx-1080ti"} <= {each["name"] for each in json.loads(done.stdout)}


def test_it_estimates_from_another_folder(installed):
    done = installed("-m", "tools.main", "estimate", "kws7", "--profile", "rk3399-a72", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["calibrated"]
    assert found["latency_ms"] > 0


def test_its_pages_have_their_templates(installed):
    code = "from tools.page import render; print(render.__module__)"
    assert installed("-c", code).stdout == "tools.page\n"
    code = "import pkgutil; print(len(pkgutil.get_data('tools', 'templates/study.html')))"
    assert int(installed("-c", code).stdout) > 1000
