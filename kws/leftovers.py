"""What processes that were killed left in a cache: folders that never got their name."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

DAY_S = 24 * 3600.0
"""A folder that is still being filled is younger."""


def delete_leftovers(parent: Path, pattern: str = ".*.part", older_s: float = DAY_S) -> None:
    """Deletes the unfinished folders of `kws.storage.new_folder` under ``parent``."""
    for folder in parent.glob(pattern):
        try:
            old = time.time() - folder.stat().st_mtime >= older_s
        except OSError:
            continue  # gone in this moment
        if old:
            shutil.rmtree(folder, ignore_errors=True)
