"""A trained network as a C library for a profile's device, in a folder with all that it needs."""

from __future__ import annotations

import importlib.metadata
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from costmodel.errors import InputError
from kws.storage import new_folder, write_json
from tools.tvm_engine import DESCRIPTION, FORMAT

if TYPE_CHECKING:
    from costmodel.crossbuild.platforms import Platform
    from costmodel.estimate import Estimate
    from costmodel.target import CpuTarget
    from kws.model_file import SavedModel

DEFAULT_NAME = "keywords"
_COMPILERS = {
    "armv7": "arm-linux-gnueabihf-gcc",
    "aarch64": "aarch64-linux-gnu-gcc",
    "x86_64": "gcc",
}
_ZIG_TARGETS = {
    "armv7": "arm-linux-musleabihf",
    "aarch64": "aarch64-linux-musl",
    "x86_64": "x86_64-linux-musl",
}


@dataclass(frozen=True, kw_only=True)
class TvmExport:
    """What was written."""

    folder: Path
    profile: str
    library: Path
    library_bytes: int
    files: tuple[str, ...]
    """Names in the folder."""
    predicted_ms: float
    """Of the network on the profile, without features."""
    calibrated: bool

    def json(self) -> dict[str, object]:
        """The same as plain values."""
        paths = {"folder": str(self.folder), "library": str(self.library)}
        return {**vars(self), **paths, "files": list(self.files)}


def export_tvm(
    model: SavedModel, profile_name: str, output: Path, *, name: str = DEFAULT_NAME
) -> TvmExport:
    """Writes the folder ``output``, whole or not at all: library, header, example, description.

    Features, network and words are in the library; the kernels and their schedules are those that
    `ponas estimate` predicts and `ponas measure` times. ``name`` begins all names in C.

    Raises:
        InputError: for an unknown profile, a GPU, features that no kernel is written for, a name
            that is none in C, or a folder that is there already.
        DeviceError: without the extra ``boards``, and where compiling fails.
        StorageError: where the folder cannot be written.

    """
    from costmodel.crossbuild.library import LibraryPlan, build_library
    from costmodel.crossbuild.platforms import platform_of
    from costmodel.program import constants
    from costmodel.target import CpuTarget
    from kws.architecture import to_network
    from kws.module import export_weights
    from kws.words import SAMPLE_RATE_HZ
    from tools.device_features import plan_of
    from tools.places import open_estimator, profile_store

    profile = profile_store().get(profile_name)
    target = profile.target()
    if not isinstance(target, CpuTarget):
        raise InputError(
            f"'{profile_name}' is a GPU, and a C library is for a processor; for a GPU there are "
            "--format onnx and --format torch, and --profile host-cpu for the processor beside it"
        )
    platform = platform_of(target)
    if output.exists():
        raise InputError(f"{output} is there already; name a folder that is not, or delete it")
    network = to_network(model.architecture, (*model.settings.shape, 1), len(model.words))
    estimate = open_estimator(profile).estimate(network)
    plan = LibraryPlan(
        name=name,
        title=f"{model.architecture} for {profile_name}, by ponas {_version('ponas')}",
        words=model.words,
        sample_rate_hz=SAMPLE_RATE_HZ,
        mfcc=plan_of(model.settings, model.normalisation),
        program=estimate.program,
        constants=constants(estimate.program, network, export_weights(model.module, network)),
    )
    with new_folder(output) as folder:
        made = build_library(plan, target, folder)
        size = made.shared.stat().st_size
        write_json(folder / DESCRIPTION, _description(model, target, estimate, plan.name))
        readme = _readme(plan.title, name, platform, target.cores, size)
        (folder / "README.txt").write_text(readme, encoding="utf-8")
        names = tuple(sorted(path.name for path in folder.iterdir()))
    return TvmExport(
        folder=output,
        profile=profile_name,
        library=output / made.shared.name,
        library_bytes=size,
        files=names,
        predicted_ms=estimate.latency_ms,
        calibrated=estimate.calibrated,
    )


def _description(
    model: SavedModel, target: CpuTarget, estimate: Estimate, name: str
) -> dict[str, object]:
    """``model.json``: what is in the library, and where it comes from."""
    from dataclasses import asdict

    return {
        "format": FORMAT,
        "name": name,
        "architecture": str(model.architecture),
        "words": list(model.words),
        "features": asdict(model.settings),
        "normalisation": {
            "mean": [float(value) for value in model.normalisation.mean],
            "std": model.normalisation.std,
        },
        "profile": estimate.profile,
        "calibrated": estimate.calibrated,
        "predicted_ms": estimate.latency_ms,
        "target": target.tvm_dict(),
        "cores": target.cores,
        "kernels": [
            {
                "kernel": prediction.kernel.title,
                "schedule": str(prediction.schedule),
                "predicted_ms": prediction.seconds * 1e3,
                "digest": prediction.digest,
            }
            for prediction in estimate.kernels
        ],
        "versions": {package: _version(package) for package in ("ponas", "apache-tvm", "ziglang")},
    }


def _readme(title: str, name: str, platform: Platform, cores: int, size: int) -> str:
    threads = " -lpthread" if cores > 1 else ""
    program = f"-static example.c lib{name}.a"
    contents = {
        f"lib{name}.so": f"shared library for Linux on {platform.name}, {size / 1e3:.0f} kB",
        f"lib{name}.a": "the same code, to be linked into a program (one such library a program)",
        f"{name}.h": "its functions, C99 and C++",
        "example.c": "the word in a second of sound",
        DESCRIPTION: "words, features, kernels and schedules, predicted latency",
    }
    width = max(map(len, contents)) + 2
    rows = "\n".join(f"{file:<{width}}{what}" for file, what in contents.items())
    return f"""\
{title}

{rows}

The library needs nothing but a C library, whichever it is.

On the device:

    cc example.c ./lib{name}.so -Wl,-rpath,'$ORIGIN'{threads} -o example
    tail -c +45 clip.wav | ./example      # 16 kHz, 16 bits, mono

From another machine, a program that needs nothing there (zig's first one takes a minute):

    {_COMPILERS[platform.name]} {program}{threads} -o example
    python -m ziglang cc -target {_ZIG_TARGETS[platform.name]} {program} -o example
"""


def _version(package: str) -> str:
    return importlib.metadata.version(package)
