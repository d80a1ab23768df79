"""What this installation is made of: the versions that a report of a fault should name."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

LIBRARIES = {
    "TVM": "apache-tvm", "TVM FFI": "apache-tvm-ffi", "torch": "torch", "hyperopt": "hyperopt",
    "scikit-learn": "scikit-learn", "NumPy": "numpy",
}  # fmt: skip


def versions() -> dict[str, str]:
    """Version by name: ponas, the libraries that decide what it finds, LLVM, Python, the system."""
    found = {"ponas": _version("ponas")}
    found |= {name: _version(package) for name, package in LIBRARIES.items()}
    found["LLVM"] = _llvm()
    found["Python"] = platform.python_version()
    found["system"] = f"{platform.system()} {platform.machine()}"
    return found


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "missing"


def _llvm() -> str:
    """Of the LLVM inside TVM, which alone knows it."""
    from tools.light_start import import_tvm_alone

    try:
        import_tvm_alone()
        from tvm.target import codegen

        return str(codegen.llvm_version_major())
    except Exception as error:  # a broken TVM is what somebody asking for versions may have
        return f"unknown ({type(error).__name__})"
