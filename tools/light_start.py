"""Commands that need TVM and no torch start in a quarter of the time."""

from __future__ import annotations

import importlib
import sys


def import_tvm_alone() -> None:
    """Imports TVM while its calling layer takes torch for absent.

    It imports torch where there is one, for arrays that are never handed over here: three of four
    seconds. Torch itself can be imported afterwards as ever.
    """
    if "torch" in sys.modules or "tvm" in sys.modules:
        return
    sys.modules["torch"] = None  # type: ignore[assignment]
    try:
        importlib.import_module("tvm")
    finally:
        del sys.modules["torch"]
