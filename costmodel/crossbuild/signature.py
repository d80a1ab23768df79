"""What a static program knows of a kernel: its name and its arguments' shapes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import tvm

from costmodel.errors import InputError
from costmodel.operators import Shape

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
MAX_DIMENSIONS, MAX_ARGUMENTS = 8, 1024
"""As in program.h."""


@dataclass(frozen=True)
class Signature:
    """A kernel as it is called: float32 arrays, the output last."""

    name: str
    shapes: tuple[Shape, ...]

    def __post_init__(self) -> None:
        """Raises InputError for what the program's table or a command line cannot hold."""
        if not _NAME.fullmatch(self.name):
            raise InputError(
                f"'{self.name}' cannot name a kernel of a static program: at most 64 letters, "
                "digits, dots, dashes and underscores"
            )
        if not 1 <= len(self.shapes) <= MAX_ARGUMENTS:
            raise InputError(
                f"kernel '{self.name}' has {len(self.shapes)} arguments; "
                f"1 to {MAX_ARGUMENTS} are possible"
            )
        if any(len(shape) > MAX_DIMENSIONS for shape in self.shapes):
            raise InputError(f"kernel '{self.name}' has an array of over {MAX_DIMENSIONS} axes")

    @property
    def sizes(self) -> tuple[int, ...]:
        """Numbers in each argument."""
        return tuple(int(np.prod(shape, dtype=np.int64)) for shape in self.shapes)


def read_signature(name: str, module: tvm.IRModule) -> Signature:
    """The signature of the module's ``main``, under the name ``name``.

    Raises InputError where ``main`` is missing or takes anything but float32 arrays of fixed
    shapes.
    """
    if "main" not in [variable.name_hint for variable in module.get_global_vars()]:
        raise InputError(f"the module of kernel '{name}' has no function 'main'")
    shapes = []
    for index, parameter in enumerate(module["main"].params):
        dtype = str(getattr(parameter.ty, "dtype", parameter.ty))
        shape = getattr(parameter.ty, "shape", None)
        if dtype != "float32" or shape is None:
            raise InputError(f"argument {index} of kernel '{name}' is {dtype}, not a float32 array")
        try:
            shapes.append(tuple(int(extent) for extent in shape))
        except TypeError:
            raise InputError(f"argument {index} of kernel '{name}' has no fixed shape") from None
    return Signature(name, tuple(shapes))


def table(signatures: Sequence[Signature], symbols: Sequence[str]) -> str:
    """C source of the program's table of kernels; kernel ``i`` is the function ``symbols[i]``."""
    lines = ['#include "program.h"', "typedef int Entry(void *, Any *, int32_t, Any *);"]
    rows = []
    for index, (signature, symbol) in enumerate(zip(signatures, symbols, strict=True)):
        shapes = ", ".join(
            f"{{{len(shape)}, {{{', '.join(map(str, shape)) or '1'}}}}}"
            for shape in signature.shapes
        )
        lines.append(f"extern Entry {symbol};")
        lines.append(f"static const Shape shapes{index}[] = {{{shapes}}};")
        rows.append(f'  {{"{signature.name}", {symbol}, {len(signature.shapes)}, shapes{index}}},')
    lines += ["const Kernel kernels[] = {", *rows, "  {0}", "};"]  # C has no empty arrays
    lines += [f"const int kernel_count = {len(rows)};"]
    return "\n".join(lines) + "\n"
