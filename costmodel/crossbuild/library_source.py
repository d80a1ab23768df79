"""The C that is written for one exported library: its header, its tables, an example."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from costmodel.crossbuild.signature import Signature
from costmodel.operators import Shape

TENSOR_INDEX = 7
"""kTVMFFIDLTensorPtr of tvm/ffi/c_api.h."""
ALIGNMENT = 64
"""As in program.h."""


@dataclass(frozen=True, kw_only=True)
class Interface:
    """What a library says of itself to a C compiler."""

    name: str
    """Begins every name in it."""
    title: str
    """What it is, in a line."""
    words: tuple[str, ...]
    samples: int
    sample_rate_hz: int
    features: tuple[int, int]
    """(H, W)."""


@dataclass(frozen=True)
class LibraryPart:
    """A function of the library: its symbol, its arguments, and where its constants lie."""

    symbol: str
    signature: Signature
    constants: tuple[int, ...]
    """Bytes into the library's constants, for the arguments after the first."""


def header(interface: Interface) -> str:
    """``<name>.h``: C99 and C++."""
    n, upper = interface.name, interface.name.upper()
    h, w = interface.features
    return f"""\
/* {_comment(interface.title)}
 *
 * One second of sound in, the confidence of each word out. Everything is in the library: features,
 * network, weights, words. It keeps its working memory in itself, so it takes one call at a time:
 * a call from another thread in the meantime does nothing and returns {upper}_BUSY.
 */
#ifndef {upper}_H
#define {upper}_H

#ifdef __cplusplus
extern "C" {{
#endif

enum {{
  {upper}_SAMPLES = {interface.samples},      /* of a clip */
  {upper}_SAMPLE_RATE_HZ = {interface.sample_rate_hz},
  {upper}_FEATURES = {h * w},      /* {h} coefficients x {w} frames */
  {upper}_WORDS = {len(interface.words)}
}};

/* What the functions return: done; another call is running; out of memory. */
enum {{ {upper}_DONE, {upper}_BUSY, {upper}_FAILED }};

extern const char *const {n}_words[{upper}_WORDS]; /* UTF-8 */

/* A clip from -1 to 1 -> confidence of each word; they add up to 1. */
int {n}_listen(const float samples[{upper}_SAMPLES], float confidence[{upper}_WORDS]);

/* The two halves of it: the clip's normalised features, row by row, one coefficient a row; ... */
int {n}_features(const float samples[{upper}_SAMPLES], float features[{upper}_FEATURES]);

/* ... and what the network says of them; the larger, the more certain. */
int {n}_classify(const float features[{upper}_FEATURES], float logits[{upper}_WORDS]);

#ifdef __cplusplus
}}
#endif

#endif
"""


def example(interface: Interface) -> str:
    """``example.c``: 16-bit sound on standard input, a word on standard output."""
    n, upper = interface.name, interface.name.upper()
    return f"""\
/* The word in a second of sound: example < clip.raw ({interface.sample_rate_hz} Hz, 16 bits, mono).
 * A WAV file has 44 bytes before its sound: tail -c +45 clip.wav | example */
#include <stdint.h>
#include <stdio.h>

#include "{n}.h"

int main(void) {{
  static int16_t sound[{upper}_SAMPLES];
  static float samples[{upper}_SAMPLES], confidence[{upper}_WORDS];
  size_t count = fread(sound, sizeof *sound, {upper}_SAMPLES, stdin), best = 0;
  for (size_t i = 0; i < count; ++i) samples[i] = sound[i] / 32768.0f;
  if ({n}_listen(samples, confidence) != {upper}_DONE) return 1;
  for (size_t i = 1; i < {upper}_WORDS; ++i)
    if (confidence[i] > confidence[best]) best = i;
  printf("%s %.3f\\n", {n}_words[best], confidence[best]);
  return 0;
}}
"""


def tables(interface: Interface, parts: Sequence[LibraryPart]) -> str:
    """The source that `library.c` is linked with: parts, memory and the functions of the header.

    ``parts`` take sound to features to logits to confidences; each reads the value before it,
    constants, perhaps a workspace, and writes the next value.
    """
    n = interface.name
    lines = ['#include "library.h"', f'#include "{n}.h"', ""]
    lines += ['extern const char constants[] __attribute__((visibility("hidden")));']
    shapes = [parts[0].signature.shapes[0], *(part.signature.shapes[-1] for part in parts)]
    lines += [_memory(f"value{i}", shape) for i, shape in enumerate(shapes)]
    for index, part in enumerate(parts):
        lines += _part(index, part)
    rows = [
        f"{{{part.symbol}, arguments{i}, {len(part.signature.shapes)}}}"
        for i, part in enumerate(parts)
    ]
    h, w = interface.features
    sizes = (interface.samples, h * w, len(interface.words), len(interface.words))
    words = ", ".join(_literal(word) for word in interface.words)
    lines += [
        f"const Part parts[] = {{{', '.join(rows)}}};",
        f"float *const values[] = {{{', '.join(f'value{i}' for i in range(len(shapes)))}}};",
        f"const uint32_t sizes[] = {{{', '.join(map(str, sizes))}}};",
        f"const char *const {n}_words[] = {{{words}}};",
        f"int {n}_features(const float *samples, float *features) "
        "{ return run(0, 1, samples, features); }",
        f"int {n}_classify(const float *features, float *logits) "
        "{ return run(1, 2, features, logits); }",
        f"int {n}_listen(const float *samples, float *confidence) "
        "{ return run(0, 3, samples, confidence); }",
    ]
    return "\n".join(lines) + "\n"


def constants_source(blob: str, symbol: str) -> str:
    """Assembly whose ``symbol`` are the bytes of the file ``blob``."""
    return (
        f'.section .rodata.{symbol},"a"\n'
        f".hidden {symbol}\n.globl {symbol}\n"
        f".balign {ALIGNMENT}\n{symbol}:\n"
        f'.incbin "{blob}"\n'
        '.section .note.GNU-stack,"",%progbits\n'
    )


def _memory(name: str, shape: Shape) -> str:
    return f"static float {name}[{math.prod(shape)}] __attribute__((aligned({ALIGNMENT})));"


def _part(index: int, part: LibraryPart) -> list[str]:
    """Tensors and arguments of one part."""
    shapes = part.signature.shapes
    places = [f"value{index}", *(f"(char *)constants + {at}" for at in part.constants)]
    lines = [f"extern Entry {part.symbol};"]
    if len(places) < len(shapes) - 1:
        lines.append(_memory(f"workspace{index}", shapes[-2]))
        places.append(f"workspace{index}")
    places.append(f"value{index + 1}")
    extents: list[int] = []
    tensors = []
    for place, shape in zip(places, shapes, strict=True):
        strides = [math.prod(shape[d + 1 :]) for d in range(len(shape))]
        first = f"extents{index} + {len(extents)}"
        extents += [*shape, *strides]
        tensors.append(
            f"  {{.data = {place}, .device = {{1, 0}}, .ndim = {len(shape)}, "
            f".dtype = {{2, 32, 1}}, .shape = {first}, .strides = {first} + {len(shape)}}},"
        )
    arguments = ", ".join(
        f"{{{TENSOR_INDEX}, 0, {{.tensor = tensors{index} + {i}}}}}" for i in range(len(shapes))
    )
    return [
        *lines,
        f"static int64_t extents{index}[] = {{{', '.join(map(str, extents))}}};",
        f"static Tensor tensors{index}[] = {{",
        *tensors,
        "};",
        f"static Any arguments{index}[] = {{{arguments}}};",
    ]


def _literal(text: str) -> str:
    """A C string of any text: three octal digits a byte end where they should."""
    plain = (chr(b) if 32 <= b < 127 and b not in b'"\\?' else f"\\{b:03o}" for b in text.encode())
    return f'"{"".join(plain)}"'


def _comment(text: str) -> str:
    """Text that does not end the comment it stands in."""
    return text.replace("*/", "* /")
