"""Arithmetic of windows and of channel orders that the frameworks share."""

from __future__ import annotations

from collections.abc import Sequence

from costmodel.operators import Padding, Shape


def ceil_padding(
    size: tuple[int, int], window: tuple[int, int], stride: tuple[int, int], padding: Padding
) -> Padding:
    """Padding that makes rounding down give what rounding up (``ceil_mode``) gives.

    The last window starts inside the input or the padding before it, as in torch and ONNX.
    """
    after: list[int] = []
    for i in range(2):
        padded = size[i] + padding[i] + padding[i + 2]
        places = -(-(padded - window[i]) // stride[i]) + 1
        if (places - 1) * stride[i] >= size[i] + padding[i]:
            places -= 1
        missing = (places - 1) * stride[i] + window[i] - padded
        after.append(padding[i + 2] + max(missing, 0))
    return padding[0], padding[1], after[0], after[1]


def shuffle_groups(given: Shape, split: Shape, order: Sequence[int], result: Shape) -> int | None:
    """Groups of the channel shuffle: (1, C, H, W) split to (1, g, C / g, ...), the two swapped."""
    if len(given) != 4 or result != given or len(split) < 4 or split[0] != 1:
        return None
    swapped = (0, 2, 1, *range(3, len(split)))
    return split[1] if split[1] * split[2] == given[1] and tuple(order) == swapped else None


def joined(first: Padding, second: Padding) -> Padding:
    """Padding around padding."""
    a, b, c, d = (x + y for x, y in zip(first, second, strict=True))
    return a, b, c, d
