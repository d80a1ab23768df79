"""The static program of what a lane has built, linked again with everything that is added."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from costmodel.crossbuild.platforms import Platform
from costmodel.crossbuild.signature import table
from costmodel.crossbuild.toolchain import Toolchain
from costmodel.errors import DeviceError
from costmodel.runners.object_pool import BuiltObject


class LinkedProgram:
    """A program file and the objects in it, by key."""

    def __init__(self, path: Path, platform: Platform, toolchain: Toolchain) -> None:
        self.path = path
        self.platform = platform
        self.objects: dict[str, BuiltObject] = {}
        self._toolchain = toolchain

    def add(self, built: Mapping[str, BuiltObject]) -> dict[str, str]:
        """Links the program with ``built``, too; one line by key for each that cannot be in it.

        What was there under the same key is replaced. Raises DeviceError where nothing at all can
        be linked.
        """
        if not built:
            return {}
        try:
            self._link_with(built)
        except DeviceError:
            self._link([])  # raises where it is not the objects
        else:
            return {}
        errors = self._guilty(list(built.items()))
        try:
            self._link_with({key: b for key, b in built.items() if key not in errors})
        except DeviceError as error:  # each is good alone, but they clash
            self._link_with({})
            return {key: str(error) for key in built}
        return errors

    def ensure(self) -> None:
        """Has a program, if one without kernels: it can still read a device's files."""
        if not self.path.exists():
            self._link(list(self.objects.values()))

    def clear(self) -> None:
        """Deletes the program and its objects."""
        for path in (self.path, *(built.path for built in self.objects.values())):
            path.unlink(missing_ok=True)
        self.objects.clear()

    def _link_with(self, built: Mapping[str, BuiltObject]) -> None:
        objects = {**self.objects, **built}
        self._link(list(objects.values()))
        self.objects = objects

    def _link(self, objects: Sequence[BuiltObject]) -> None:
        rows = table([b.signature for b in objects], [b.symbol for b in objects])
        self._toolchain.link([b.path for b in objects], rows, self.platform, self.path)

    def _guilty(self, items: Sequence[tuple[str, BuiltObject]]) -> dict[str, str]:
        """Those that cannot be linked, found by halving."""
        try:
            self._link([built for _, built in items])
        except DeviceError as error:
            if len(items) == 1:
                return {items[0][0]: str(error)}
        else:
            return {}
        half = len(items) // 2
        return {**self._guilty(items[:half]), **self._guilty(items[half:])}
