"""Pixel formats and colour: planes of integers to RGB floats and back, without loss.

Code points are those of ITU-T H.273 (the same numbers as in FFmpeg): matrix, primaries and transfer 2 mean
"not said".

`from_rgb` undoes `to_rgb` exactly, for every combination of integers and for subsampled chroma too. The
matrices are inverses of each other, RGB is not clipped, and the filter that thins chroma out in `from_rgb` is
a left inverse of the one that spreads it in `to_rgb`, edges and odd sizes included; see `vidnoise/siting.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from vidnoise.plane_ops import ops_for, terms
from vidnoise.siting import (
    MARGIN,
    SITINGS,
    Siting,
    fill_margins,
    horizontal_down,
    horizontal_up,
    vertical_down,
    vertical_up,
)

if TYPE_CHECKING:
    from torch import Tensor

    Planes = tuple[Tensor, ...]

UNSPECIFIED = 2
"""H.273's code point for matrix, primaries and transfer that the stream does not state."""

BT709_HEIGHT = 720
"""Untagged video of this many lines or more is taken for BT.709, smaller for BT.601."""


@dataclass(frozen=True, slots=True)
class PixelFormat:
    """A planar integer pixel format, named as FFmpeg names it (`yuv420p10le`, `gbrap`, `gray`).

    `depth` is in bits a sample; `chroma_w` and `chroma_h` are base-2 logarithms of the chroma subsampling.
    Planes are in FFmpeg's order: Y, U, V; G, B, R; or gray; then alpha where `alpha` is true.
    """

    name: str
    family: Literal["yuv", "rgb", "gray"]
    depth: int = 8
    chroma_w: int = 0
    chroma_h: int = 0
    alpha: bool = False

    @property
    def peak(self) -> int:
        """The largest code value, 255 for 8 bit."""
        return (1 << self.depth) - 1

    @property
    def colour_planes(self) -> int:
        """How many planes hold colour (alpha not counted)."""
        return 1 if self.family == "gray" else 3

    def chroma_size(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) of the second and third plane."""
        return -(-height >> self.chroma_h), -(-width >> self.chroma_w)


@dataclass(frozen=True, slots=True)
class Colour:
    """What a stream says of its colour, as it says it; `resolved()` fills what it leaves open.

    `range`: 0 not said, 1 limited ("tv"), 2 full ("pc"). `chroma_location`: 0 not said, 1 left, 2 centre,
    3 top left, 4 top, 5 bottom left, 6 bottom (FFmpeg's AVChromaLocation).
    """

    matrix: int = UNSPECIFIED
    primaries: int = UNSPECIFIED
    transfer: int = UNSPECIFIED
    range: int = 0
    chroma_location: int = 0

    def resolved(self, height: int, family: str) -> Colour:
        """What to compute with where the stream does not say.

        BT.601 below 720 lines and BT.709 from there, limited range for YUV and full for the rest, left-sited
        chroma.
        """
        matrix = self.matrix
        if family == "yuv" and matrix in (UNSPECIFIED, 0, 3):
            matrix = 1 if height >= BT709_HEIGHT else 6
        full = self.range or (1 if family == "yuv" else 2)
        return replace(self, matrix=matrix, range=full, chroma_location=self.chroma_location or 1)


def to_rgb(planes: Planes, format: PixelFormat, colour: Colour) -> Tensor:
    """The picture as RGB floats.

    Matrices (H.273): 1 BT.709; 4 FCC; 5 and 6 BT.601; 7 SMPTE 240M; 8 YCgCo; 9 BT.2020.

    Others are approximated, and the way back is exact all the same. 10 (BT.2020 with constant luminance), 11,
    14 (ICtCp) and 15, which are not linear in R'G'B', are computed as BT.2020; 12 and 13, which are derived
    from the primaries, as BT.2020 or BT.709; 16 and 17 (YCgCo-R) as YCgCo. Identity (0) and reserved (3) on
    YUV planes are taken for a tag left out, see `Colour.resolved`.

    Args:
        planes: integer tensors (H,W), chroma (ceil(H / 2^chroma_h), ceil(W / 2^chroma_w)); alpha is left out.
        format: how to read them, at most 16 bits a sample.
        colour: matrix, range and chroma location, as tagged.

    Returns:
        (3,H,W) float32 on the planes' device, as encoded (not linear light), nominally 0..1 and not clipped.
    """
    ops = ops_for(planes[0])
    height, width = planes[0].shape
    image: Tensor = ops.picture(height, width)
    out = ops.array(image)
    sources = [ops.array(plane) for plane in planes[: format.colour_planes]]
    code = _code_of(format, colour, height)
    if format.family == "yuv":
        _yuv_to_rgb(ops, sources, out, format, code)
        return image
    order = (0, 0, 0) if format.family == "gray" else (2, 0, 1)
    weight, bias = code.decode[0]
    for target, index in zip(out, order, strict=True):
        ops.combine([(sources[index], weight)], bias, target)
    return image


def from_rgb(image: Tensor, format: PixelFormat, colour: Colour) -> Planes:
    """The colour planes of an RGB picture; undoes `to_rgb` exactly. Alpha is left to the caller.

    Codes are rounded to nearest and clipped to what the format can hold (0..peak), not to the limited range,
    since real video goes beyond it. Gray takes the luma. Matrices as in `to_rgb`.

    Args:
        image: (3,H,W) floats, nominally 0..1.
        format: what to make, at most 16 bits a sample.
        colour: matrix, range and chroma location, as they will be tagged.

    Returns:
        uint8 tensors (uint16 above 8 bits) on the image's device.
    """
    import torch

    image = image.detach().float()
    if image.stride(-1) != 1:
        image = image.contiguous()
    ops = ops_for(image)
    height, width = image.shape[-2:]
    dtype = torch.uint8 if format.depth == 8 else torch.uint16
    sizes = [(height, width)] + [format.chroma_size(height, width)] * (format.colour_planes - 1)
    planes = tuple(torch.empty(size, dtype=dtype, device=image.device) for size in sizes)
    targets = [ops.array(plane) for plane in planes]
    red, green, blue = ops.array(image)
    code = _code_of(format, colour, height)
    if format.family == "yuv":
        _rgb_to_yuv(ops, (red, green, blue), targets, format, code)
        return planes
    weight, bias = code.encode[0]
    gray = format.family == "gray"
    sources = [ops.combine(terms((red, green, blue), code.light))] if gray else [green, blue, red]
    for source, target in zip(sources, targets, strict=True):
        ops.combine([(source, weight)], bias, target, format.peak)
    return planes


# Matrices and ranges

_KR_KB = {
    1: (0.2126, 0.0722),
    4: (0.30, 0.11),
    5: (0.299, 0.114),
    6: (0.299, 0.114),
    7: (0.212, 0.087),
    9: (0.2627, 0.0593),
    10: (0.2627, 0.0593),
}
_YCGCO = (8, 16, 17)
_NOT_LINEAR = (11, 14, 15)
_BT2020_PRIMARIES = 9

Row = tuple[float, ...]
"""Weights of some planes, then what to add."""


class _Code(NamedTuple):
    """What the numbers in the planes mean; light is the luma of H.273 in 0..1.

    YUV: `decode` makes R, G and B of Y, U less `centre` and V less `centre`; `light` is made of R, G and B;
    `encode` makes Y, U and V of R, G, B and light. RGB and gray: one row does for each plane.
    """

    decode: tuple[Row, ...]
    light: Row
    encode: tuple[Row, ...]
    centre: float
    sitings: tuple[Siting, Siting]
    """vertical, horizontal"""


def _luma_weights(matrix: int, primaries: int) -> tuple[float, float]:
    wide = matrix in _NOT_LINEAR or primaries == _BT2020_PRIMARIES
    return _KR_KB.get(matrix, _KR_KB[9] if wide else _KR_KB[1])


def _yuv_matrix(matrix: int, primaries: int) -> list[list[float]]:
    """R, G, B as weights of Y in 0..1, U and V in -1/2..1/2 (H.273, 8.3, equations 38 and on)."""
    if matrix in _YCGCO:
        return [[1, -1, 1], [1, 1, 0], [1, -1, -1]]
    kr, kb = _luma_weights(matrix, primaries)
    kg = 1 - kr - kb
    u, v = 2 * (1 - kb), 2 * (1 - kr)
    return [[1, 0, v], [1, -u * kb / kg, -v * kr / kg], [1, u, 0]]


def _code_of(format: PixelFormat, colour: Colour, height: int) -> _Code:
    if format.name.startswith("yuvj"):  # the name says full range, whatever the tags say
        colour = replace(colour, range=2)
    return _code(format, colour.resolved(height, format.family))


@lru_cache(maxsize=64)
def _code(format: PixelFormat, colour: Colour) -> _Code:
    import numpy as np

    unit = 1 << (format.depth - 8)
    limited = colour.range == 1
    black = 16.0 * unit if limited else 0.0
    span = 219.0 * unit if limited else float(format.peak)
    chroma_span = 224.0 * unit if limited else float(format.peak)
    centre = 128.0 * unit
    matrix = np.array(_yuv_matrix(colour.matrix, colour.primaries), np.float64)
    light, *chroma = np.linalg.inv(matrix)
    if format.family != "yuv":
        plain = (1 / span, -black / span)
        return _Code((plain,), (*light, 0.0), ((span, black),), centre, SITINGS[1])
    decode = matrix / (span, chroma_span, chroma_span)
    encode = [(0, 0, 0, span, black), *((*_sparse(row, light) * chroma_span, centre) for row in chroma)]
    return _Code(
        tuple((*map(float, row), -black / span) for row in decode),
        (*map(float, light), 0.0),
        tuple(tuple(map(float, row)) for row in encode),
        centre,
        SITINGS[colour.chroma_location],
    )


def _sparse(row: Any, light: Any) -> Any:
    """A row over R, G, B as one over R, G, B and light with as few terms as can be: U is B less Y, scaled."""
    import numpy as np

    shares = [0.0, *(row / light)]
    rows = [np.append(row - share * light, share) for share in shares]
    for candidate in rows:
        candidate[np.abs(candidate) < 1e-12] = 0
    return min(rows, key=np.count_nonzero)


# Whole pictures

_BAND_BYTES = 768 << 10
"""Size of a band of one float plane: the several that are worked on stay in a core's second-level cache."""


def _bands(ops: Any, height: int, width: int) -> Iterator[tuple[int, int]]:
    """(first, stop) lines of bands that start at even lines; one band where `ops` has no use for them."""
    rows = max(2, _BAND_BYTES // (8 * width) * 2) if ops.banded else height
    for first in range(0, height, rows):
        yield first, min(first + rows, height)


def _yuv_to_rgb(ops: Any, planes: Sequence[Any], out: Any, format: PixelFormat, code: _Code) -> None:
    height, width = planes[0].shape
    thin = bool(format.chroma_w or format.chroma_h)
    chroma = [
        _padded_chroma(ops, plane, format, code, height, width) if thin else plane for plane in planes[1:]
    ]
    for first, stop in _bands(ops, height, width):
        pair = [_chroma_pixels(ops, plane, format, code, first, stop)[:, :width] for plane in chroma]
        luma = ops.floats(planes[0][first:stop])
        for target, row in zip(out, code.decode, strict=True):
            ops.combine(terms((luma, *pair), row), row[3], target[first:stop])


def _chroma_pixels(ops: Any, plane: Any, format: PixelFormat, code: _Code, first: int, stop: int) -> Any:
    """Lines `first` to `stop` of chroma at full resolution, about zero; odd widths get a column too many."""
    if not (format.chroma_h or format.chroma_w):
        return ops.combine([(plane[first:stop], 1.0)], -code.centre)
    vertical, horizontal = code.sitings
    lines = plane[first + 1 : stop + 1]
    if format.chroma_h:
        top, samples = first // 2, -(-(stop - first) // 2)
        lines = ops.empty(2 * samples, plane.shape[1])
        vertical_up(ops, plane[top : top + samples + 2], vertical, lines)
        lines = lines[: stop - first]
    if not format.chroma_w:
        return lines[:, 1:-1]
    pixels = ops.empty(stop - first, 2 * (plane.shape[1] - 2))
    horizontal_up(ops, lines, horizontal, pixels)
    return pixels


def _padded_chroma(ops: Any, plane: Any, format: PixelFormat, code: _Code, height: int, width: int) -> Any:
    """Chroma as floats about zero, brought to half resolution, with a sample repeated on every side."""
    vertical, horizontal = code.sitings
    padded = _repeat_edges(ops, ops.combine([(plane, 1.0)], -code.centre))
    if format.chroma_h > 1:
        tall = ops.empty(2 * plane.shape[0], padded.shape[1])
        vertical_up(ops, padded, vertical, tall)
        padded = _repeat_edges(ops, tall[: -(-height // 2), 1:-1])
    if format.chroma_w > 1:
        wide = ops.empty(padded.shape[0], 2 * plane.shape[1])
        horizontal_up(ops, padded, horizontal, wide)
        padded = _repeat_edges(ops, wide[1:-1, : -(-width // 2)])
    return padded


def _repeat_edges(ops: Any, inner: Any) -> Any:
    rows, columns = inner.shape
    padded = ops.empty(rows + 2, columns + 2)
    padded[1:-1, 1:-1] = inner
    padded[0, 1:-1], padded[-1, 1:-1] = inner[0], inner[-1]
    padded[:, 0], padded[:, -1] = padded[:, 1], padded[:, -2]
    return padded


def _rgb_to_yuv(
    ops: Any, rgb: Sequence[Any], targets: Sequence[Any], format: PixelFormat, code: _Code
) -> None:
    height, width = rgb[0].shape
    deep = format.chroma_w > 1 or format.chroma_h > 1
    half = replace(format, chroma_w=min(format.chroma_w, 1), chroma_h=min(format.chroma_h, 1))
    chroma = [ops.empty(*half.chroma_size(height, width)) for _ in range(2)] if deep else targets[1:]
    above = MARGIN if format.chroma_h else 0
    for first, stop in _bands(ops, height, width):
        begin, end = max(first - above, 0), min(stop + above, height)
        band = [plane[begin:end] for plane in rgb]
        band.append(ops.combine(terms(band, code.light)))
        light = [(band[3][first - begin : stop - begin], code.encode[0][3])]
        ops.combine(light, code.encode[0][4], targets[0][first:stop], format.peak)
        for row, target in zip(code.encode[1:], chroma, strict=True):
            lines = target[first >> half.chroma_h : -(-stop >> half.chroma_h)]
            _chroma_lines(ops, band, row, lines, half, code, height, first - begin, first)
    if deep:
        _thin_again(ops, chroma, targets[1:], format, code)


def _chroma_lines(
    ops: Any,
    band: Sequence[Any],
    row: Row,
    out: Any,
    format: PixelFormat,
    code: _Code,
    height: int,
    extra: int,
    first: int,
) -> None:
    """Lines of one chroma plane, at half resolution or full.

    `band`: R, G, B and light of the picture's lines from `first - extra`; `height`: lines of the picture.
    """
    vertical, horizontal = code.sitings
    if not (format.chroma_h or format.chroma_w):
        ops.combine(terms(band, row), row[4], out, format.peak)
        return
    lines, width = band[0].shape
    above = MARGIN if format.chroma_h else 0
    left = MARGIN if format.chroma_w else 0
    padded_width = width + width % 2 + 2 * left if left else width
    pixels = ops.empty((len(out) << format.chroma_h) + 2 * above, padded_width)
    ops.combine(terms(band, row), 0, pixels[above - extra : above - extra + lines, left : left + width])
    if format.chroma_h:
        fill_margins(pixels, vertical, height, first)
        pixels = vertical_down(ops, pixels, vertical)
    if format.chroma_w:
        fill_margins(pixels.T, horizontal, width)
        horizontal_down(ops, pixels, horizontal, row[4], out, format.peak)
    else:
        ops.combine([(pixels, 1.0)], row[4], out, format.peak)


def _thin_again(
    ops: Any, chroma: Sequence[Any], targets: Sequence[Any], format: PixelFormat, code: _Code
) -> None:
    """The second halving of formats with a quarter of the chroma samples along an axis (4:1:1, 4:1:0)."""
    vertical, horizontal = code.sitings
    for plane, target in zip(chroma, targets, strict=True):
        samples = plane
        if format.chroma_h > 1:
            rows, columns = samples.shape
            tall = ops.empty(rows + rows % 2 + 2 * MARGIN, columns)
            tall[MARGIN : MARGIN + rows] = samples
            fill_margins(tall, vertical, rows)
            samples = vertical_down(ops, tall, vertical)
        if format.chroma_w > 1:
            rows, columns = samples.shape
            wide = ops.empty(rows, columns + columns % 2 + 2 * MARGIN)
            wide[:, MARGIN : MARGIN + columns] = samples
            fill_margins(wide.T, horizontal, columns)
            horizontal_down(ops, wide, horizontal, 0, target, format.peak)
        else:
            ops.combine([(samples, 1.0)], 0, target, format.peak)
