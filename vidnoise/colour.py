"""Pixel formats and colour: planes of integers to RGB floats and back, without loss.

Code points are those of ITU-T H.273 (the same numbers as in FFmpeg): matrix, primaries and transfer 2 mean "not said".
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor

    Planes = tuple[Tensor, ...]

UNSPECIFIED = 2
"""H.273's code point for matrix, primaries and transfer that the stream does not state."""


@dataclass(frozen=True, slots=True)
class PixelFormat:
    """A planar integer pixel format, named as FFmpeg names it (`yuv420p10le`, `gbrap`, `gray`).

    `depth` is in bits a sample; `chroma_w` and `chroma_h` are the base-2 logarithms of the chroma subsampling.
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

    `range`: 0 not said, 1 limited ("tv"), 2 full ("pc"). `chroma_location`: 0 not said, 1 left, 2 centre, 3 top left,
    4 top, 5 bottom left, 6 bottom (FFmpeg's AVChromaLocation).
    """

    matrix: int = UNSPECIFIED
    primaries: int = UNSPECIFIED
    transfer: int = UNSPECIFIED
    range: int = 0
    chroma_location: int = 0

    def resolved(self, height: int, family: str) -> Colour:
        """What to compute with: BT.601 below 720 lines and BT.709 from there, limited range for YUV, left-sited chroma."""
        matrix = self.matrix
        if family == "yuv" and matrix in (UNSPECIFIED, 0, 3):
            matrix = 1 if height >= 720 else 6
        full = self.range or (1 if family == "yuv" else 2)
        return replace(self, matrix=matrix, range=full, chroma_location=self.chroma_location or 1)
