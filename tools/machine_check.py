"""What works on this machine and what is missing: one finding a thing, with its cure."""

from __future__ import annotations

import importlib.metadata
import json
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator

from tools.finding import Finding, Level
from tools.folder_check import check_folders

LEAST_PYTHON = (3, 11)
TARGETS = {"arm": "32-bit ARM boards", "aarch64": "64-bit ARM boards", "nvptx64": "NVIDIA GPUs"}
"""Of LLVM, beside this machine's own."""
EMULATORS = ("qemu-arm-static", "qemu-aarch64-static")
NAMED = ("ponas", "apache-tvm", "torch", "hyperopt", "numpy")
"""Packages whose versions are told where nothing is wrong; `tools.versions` tells more."""
NOT_ASKED = ("dev",)
"""Extras that are none of a user's."""
TORCH_SECONDS = 60
"""Until torch counts as hung; on an idle machine it takes two."""
_TORCH = (
    "import json, torch; print(json.dumps([torch.__version__, torch.version.cuda, "
    "[torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]]))"
)


def look_around() -> Iterator[Finding]:
    """Everything, in the order in which it matters; takes as long as torch takes to start."""
    torch = subprocess.Popen(
        [sys.executable, "-c", _TORCH], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        yield from check_python()
        yield from check_packages()
        yield from check_compiler()
        early = [*check_machine(), *check_profiles(), *check_tools(), *check_extras()]
        yield from check_torch(torch)
        yield from early
        yield from check_folders()
    finally:
        torch.kill()
        torch.wait()


def check_python() -> Iterator[Finding]:
    """Which Python, on what."""
    version = platform.python_version()
    text = f"{version} on {platform.system()} {platform.machine()}"
    if sys.version_info < LEAST_PYTHON:
        least = ".".join(map(str, LEAST_PYTHON))
        yield Finding("broken", "python", text, f"install ponas with Python {least} or newer")
    else:
        yield Finding("fine", "python", text)


def check_packages() -> Iterator[Finding]:
    """Whether what ponas needs is installed, in the versions that are pinned."""
    cure = "install it again, with its constraints: pip install -c constraints.txt -e ."
    for name, pinned in _required(None):
        found = _version(name)
        if found is None:
            yield Finding("broken", "packages", f"{name} is not installed", cure)
        elif pinned and found != pinned:
            yield Finding("broken", "packages", f"{name} is {found}, {pinned} is needed", cure)
    known = {name: _version(name) for name in ("ponas", "apache-tvm", "torch", "hyperopt", "numpy")}
    yield Finding(
        "fine",
        "packages",
        ", ".join(f"{name} {found or 'missing'}" for name, found in known.items()),
    )


def check_compiler() -> Iterator[Finding]:
    """TVM, and for which processors its LLVM compiles."""
    from costmodel.errors import DeviceError
    from costmodel.target_check import llvm
    from tools.light_start import import_tvm_alone

    try:
        import_tvm_alone()
        codegen = llvm()
    except (DeviceError, ImportError, OSError) as error:
        text, _, cure = _one_line(error).partition("; ")
        yield Finding(
            "broken", "compiler", text, cure or "pip install --force-reinstall apache-tvm"
        )
        return
    targets = {str(each) for each in codegen.llvm_get_targets()}
    absent = [what for name, what in TARGETS.items() if name not in targets]
    text = f"LLVM {codegen.llvm_version_major()} for {codegen.llvm_get_system_cpu()}"
    if absent:
        cure = "install the pinned wheel of apache-tvm"
        yield Finding("missing", "compiler", f"{text}, not for {' and '.join(absent)}", cure)
    else:
        yield Finding("fine", "compiler", f"{text}, {', '.join(TARGETS.values())}")


def check_torch(process: subprocess.Popen[str]) -> Iterator[Finding]:
    """What the process said that imported torch."""
    try:
        out, err = process.communicate(timeout=TORCH_SECONDS)
        version, cuda, devices = json.loads(out)
    except (subprocess.TimeoutExpired, ValueError):
        process.kill()
        said = (
            "it hangs" if process.poll() is None else (err.strip().splitlines() or ["it died"])[-1]
        )
        yield Finding(
            "broken", "torch", f"cannot be imported: {said}",
            "pip install --force-reinstall -c constraints.txt torch",
        )  # fmt: skip
        return
    if devices:
        yield Finding("fine", "torch", f"{version}, trains on the CPU and on {', '.join(devices)}")
    elif cuda and shutil.which("nvidia-smi"):
        yield Finding(
            "missing", "torch", f"{version} sees no GPU, though there is a driver",
            "see which: nvidia-smi; a driver older than CUDA's "
            f"{cuda} needs an update, or another wheel of torch",
        )  # fmt: skip
    elif shutil.which("nvidia-smi"):
        yield Finding(
            "missing", "torch", f"{version} has no CUDA, though there is a driver",
            "install torch's CUDA wheel: pip install --force-reinstall torch",
        )  # fmt: skip
    else:
        yield Finding("fine", "torch", f"{version}, trains on the CPU; no NVIDIA driver here")


def check_machine() -> Iterator[Finding]:
    """What would spoil a calibration of this machine, as ``ponas calibrate --check`` says it."""
    from costmodel.errors import CostModelError
    from tools.device_check import look_at
    from tools.places import open_runner, profile_store

    try:
        profile = profile_store().get("host-cpu")
        with open_runner(profile) as runner:
            _, findings = look_at(runner, profile)
    except (CostModelError, ImportError):
        return  # without a compiler, which has been said
    for found in findings:
        if found.topic != "versions":
            level: Level = "fine" if found.level == "fine" else "missing"
            yield Finding(level, found.topic, found.text, found.cure)


def check_profiles() -> Iterator[Finding]:
    """Which devices are calibrated, this machine's own first."""
    from costmodel.errors import CostModelError
    from tools.places import profile_store

    store = profile_store()
    calibrated = []
    for name in store.names():
        try:
            if store.get(name).calibration() is not None:
                calibrated.append(name)
        except CostModelError as error:
            yield Finding("missing", "profiles", _one_line(error), f"ponas calibrate {name}")
        except ImportError:
            return
    if "host-cpu" in calibrated:
        yield Finding("fine", "profiles", f"calibrated: {', '.join(calibrated)}")
    else:
        yield Finding(
            "missing", "profiles", f"this machine is not calibrated; {', '.join(calibrated)} are",
            "ponas calibrate host-cpu",
        )  # fmt: skip


def check_tools() -> Iterator[Finding]:
    """Programs and libraries beside Python's packages."""
    from kws.errors import MissingToolError
    from kws.synthesis import synthesiser_version
    from tools.microphone import load_sounddevice

    try:
        yield Finding("fine", "speech", f"{synthesiser_version()} speaks generated data")
    except MissingToolError as error:
        yield _missing("speech", error)
    try:
        yield Finding("fine", "microphone", f"sounddevice {load_sounddevice().__version__}")
    except MissingToolError as error:
        yield _missing("microphone", error)
    ssh = shutil.which("ssh")
    if ssh is None:
        yield Finding(
            "missing", "ssh", "no ssh client: boards cannot be reached with --ssh",
            "on Debian: apt install openssh-client",
        )  # fmt: skip
    else:
        yield Finding("fine", "ssh", ssh)
    found = [name for name in EMULATORS if shutil.which(name)]
    if len(found) < len(EMULATORS):
        yield Finding(
            "missing", "emulator", "no qemu: programs for ARM boards cannot be tried here",
            "on Debian: apt install qemu-user-static",
        )  # fmt: skip
    else:
        yield Finding("fine", "emulator", ", ".join(found))


def check_extras() -> Iterator[Finding]:
    """Each extra of ponas: what of it is installed."""
    try:
        extras = importlib.metadata.metadata("ponas").get_all("Provides-Extra") or []
    except importlib.metadata.PackageNotFoundError:
        return  # said with the packages
    for extra in sorted(set(extras) - set(NOT_ASKED)):
        found = {name: _version(name) for name, _ in _required(extra)}
        absent = [name for name, version in found.items() if version is None]
        if absent:
            text = f"without {', '.join(absent)}"
            yield Finding("missing", f"[{extra}]", text, f"pip install 'ponas[{extra}]'")
        else:
            yield Finding(
                "fine", f"[{extra}]", ", ".join(f"{name} {found[name]}" for name in found)
            )


def _required(extra: str | None) -> list[tuple[str, str | None]]:
    """Names of ponas's requirements, those of an extra or of none, and the versions of pinned."""
    try:
        lines = importlib.metadata.requires("ponas") or []
    except importlib.metadata.PackageNotFoundError:
        return [("ponas", None)] if extra is None else []
    found = []
    for line in lines:
        head, _, marker = line.partition(";")
        of = re.search(r"extra == ['\"]([\w-]+)['\"]", marker)
        if (of[1] if of else None) == extra:
            name = re.split(r"[\s\[<>=!~]", head.strip(), maxsplit=1)[0]
            pin = re.search(r"==([\w.]+)$", head.strip())
            found.append((name, pin[1] if pin and not pin[1].endswith("*") else None))
    return found


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _missing(topic: str, error: Exception) -> Finding:
    """Of an error that names its cure behind a semicolon, as ours do."""
    text, _, cure = _one_line(error).rpartition("; ")
    return Finding("missing", topic, text or cure, cure if text else "")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
