"""Where chroma samples lie, and the filters that bring them from half resolution to full and back.

Each two are the low-pass filters of a biorthogonal wavelet (Cohen, Daubechies and Feauveau, 1992; Le Gall and Tabatabai,
1988): the way back is exact.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from vidnoise.plane_ops import terms

Taps = tuple[float, ...]


class Siting(NamedTuple):
    """How one axis goes from half resolution to full and back. Each sample `c[k]` becomes pixels 2k and 2k+1.

    `even` and `odd` are the weights of c[k-1], c[k], c[k+1] in those pixels; `down` the weights of pixels
    2k-2 .. 2k+3 in c[k]. `down` after `even` and `odd` is the identity. Beyond the edges samples are
    repeated, and pixels are mirrored, about the outermost pixel or (`half`) about the picture's border, which
    keeps the identity there. An odd size lacks its last pixel; `last` are the weights of the last pixels
    (last one first) that say what it would have been.
    """

    even: Taps
    odd: Taps
    down: Taps
    last: Taps
    half: bool = False


# Samples on every second pixel: linear interpolation, and the low-pass of the 5/3 wavelet (as in JPEG 2000).
_FIRST = Siting((0, 1, 0), (0, 1 / 2, 1 / 2), (-1 / 8, 2 / 8, 6 / 8, 2 / 8, -1 / 8, 0), (1,))
_SECOND = Siting((1 / 2, 1 / 2, 0), (0, 1, 0), (0, -1 / 8, 2 / 8, 6 / 8, 2 / 8, -1 / 8), (2, -1))
# Samples between two pixels. Plain linear interpolation (1/4, 3/4, 0) would need a `down` that sharpens
# (-1/4, 3/4, 3/4, -1/4), a plain average an interpolation with steps in it (1/8, 1, -1/8). Half-way between
# the two overshoot at an edge is 6 % on the way up and 8 % on the way down.
_CENTRE = Siting(
    (3 / 16, 14 / 16, -1 / 16),
    (-1 / 16, 14 / 16, 3 / 16),
    (-1 / 48, -3 / 48, 28 / 48, 28 / 48, -3 / 48, -1 / 48),
    (15 / 11, -3 / 11, -1 / 11),
    half=True,
)
SITINGS = {
    1: (_CENTRE, _FIRST),
    2: (_CENTRE, _CENTRE),
    3: (_FIRST, _FIRST),
    4: (_FIRST, _CENTRE),
    5: (_SECOND, _FIRST),
    6: (_SECOND, _CENTRE),
}
"""Down and across, by where a stream says that its chroma lies (see `colour.Colour`)."""

MARGIN = 2
"""Pixels that `down` reaches beyond an even-sized picture, on each side."""


def _mirror(index: int, size: int, half: bool) -> int:
    """Where a pixel beyond the edges of an even-sized picture finds its twin."""
    if half:
        index = (index if index >= 0 else -1 - index) % (2 * size)
        return min(index, 2 * size - 1 - index)
    index = abs(index) % (2 * size - 2)
    return min(index, 2 * size - 2 - index)


def fill_margins(lines: Any, siting: Siting, size: int, first: int = 0) -> None:
    """Make up the pixels beyond the picture, along the first axis.

    `lines[i]` is pixel `first - MARGIN + i` of `size`; those inside the picture are there already.
    """
    stop = first - MARGIN + len(lines)
    at = MARGIN - first
    even_size = size + size % 2
    if size % 2 and stop > size:
        weights = siting.last if size > 1 else (1,)
        lines[size + at] = sum(w * lines[size - 1 - i + at] for i, w in enumerate(weights))
    for index in [*range(first - MARGIN, 0), *range(even_size, stop)]:
        lines[index + at] = lines[_mirror(index, even_size, siting.half) + at]


def vertical_up(ops: Any, lines: Any, siting: Siting, out: Any) -> None:
    """(n+2,m) samples, one line to spare at each end, to (2n,m)."""
    near = lines[:-2], lines[1:-1], lines[2:]
    ops.combine(terms(near, siting.even), 0, out[0::2])
    ops.combine(terms(near, siting.odd), 0, out[1::2])


def horizontal_up(ops: Any, samples: Any, siting: Siting, out: Any) -> None:
    """(n,m+2) samples, one column to spare at each end, to (n,2m)."""
    near = samples[:, :-2], samples[:, 1:-1], samples[:, 2:]
    ops.interleave(ops.combine(terms(near, siting.even)), ops.combine(terms(near, siting.odd)), out)


def vertical_down(ops: Any, lines: Any, siting: Siting) -> Any:
    """(2n+4,m) pixels to (n,m) samples."""
    count = len(lines) - 2 * MARGIN
    return ops.combine(terms([lines[i : i + count : 2] for i in range(6)], siting.down))


def horizontal_down(ops: Any, pixels: Any, siting: Siting, bias: float, out: Any, peak: int) -> Any:
    """(n,2m+4) pixels to (n,m) samples."""
    even, odd = ops.deinterleave(pixels)
    near = [part[:, i : i + even.shape[1] - 2] for i in range(3) for part in (even, odd)]
    return ops.combine(terms(near, siting.down), bias, out, peak)
