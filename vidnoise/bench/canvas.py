"""Simple charts as pictures, drawn with OpenCV at three times their size and shrunk, so that lines and text are smooth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidnoise.errors import OutputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Picture = NDArray[Any]

Point = tuple[float, float]
Colour = tuple[int, int, int]

INK: Colour = (45, 45, 45)
FAINT: Colour = (225, 225, 225)
GREY: Colour = (125, 125, 125)
PALETTE: Sequence[Colour] = ((200, 90, 20), (30, 120, 200), (40, 150, 60), (150, 60, 160), (110, 110, 110))
"""Blue-green-red, as OpenCV has it."""
SCALE = 3


class Canvas:
    """A white picture to draw on; places and sizes in pixels of the finished picture, y downwards."""

    def __init__(self, width: int, height: int) -> None:
        import numpy as np

        self.width, self.height = width, height
        self._pixels = np.full((height * SCALE, width * SCALE, 3), 255, np.uint8)

    def line(self, points: Sequence[Point], colour: Colour) -> None:
        """Straight pieces through the points."""
        import cv2
        import numpy as np

        path = np.array([[_at(x), _at(y)] for x, y in points], np.int32)
        cv2.polylines(self._pixels, [path], False, colour, SCALE, cv2.LINE_AA)

    def dot(self, x: float, y: float, colour: Colour, radius: float = 4, hollow: bool = False) -> None:
        """A disc, or a ring."""
        import cv2

        thickness = round(1.5 * SCALE) if hollow else -1
        cv2.circle(self._pixels, (_at(x), _at(y)), _at(radius), colour, thickness, cv2.LINE_AA)

    def text(
        self, x: float, y: float, words: str, colour: Colour = INK, size: float = 12, align: str = "left"
    ) -> None:
        """Write with (x, y) as the left, middle or right end of the base line; `size` is the height of the line."""
        import cv2

        x -= extent(words, size) * {"left": 0, "centre": 0.5, "right": 1}[align]
        place, face = (_at(x), _at(y)), cv2.FONT_HERSHEY_SIMPLEX
        cv2.putText(self._pixels, words, place, face, _font(size), colour, max(1, SCALE // 2), cv2.LINE_AA)

    def picture(self) -> Picture:
        """(H,W,3), blue-green-red."""
        import cv2

        return cv2.resize(self._pixels, (self.width, self.height), interpolation=cv2.INTER_AREA)


def extent(words: str, size: float = 12) -> float:
    """How wide a text will be."""
    import cv2

    return float(cv2.getTextSize(words, cv2.FONT_HERSHEY_SIMPLEX, _font(size), 1)[0][0]) / SCALE


@dataclass(frozen=True)
class Axis:
    """Values along one edge of a chart; `low` to `high` run from `start` to `stop` in pixels."""

    low: float
    high: float
    start: float
    stop: float
    log: bool = False

    def at(self, value: float) -> float:
        """The place of a value."""
        low, high, value = (self._scaled(v) for v in (self.low, self.high, value))
        return self.start + (self.stop - self.start) * (value - low) / (high - low)

    def ticks(self) -> list[float]:
        """Round values to label: steps of 1, 2 or 5; on a logarithmic axis 1, 2 and 5, or 1 alone, of every decade."""
        if self.log:
            decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            steps: Sequence[int] = (1, 2, 5) if len(decades) < 5 else (1,)
            values = [step * 10.0**decade for decade in decades for step in steps]
        else:
            step = nice_step((self.high - self.low) / 8)
            first = math.ceil(self.low / step - 1e-9)
            values = [i * step for i in range(first, math.floor(self.high / step + 1e-9) + 1)]
        return [value for value in values if self.low <= value <= self.high]

    def _scaled(self, value: float) -> float:
        return math.log10(value) if self.log else value


def nice_step(least: float) -> float:
    """The smallest of 1, 2 and 5 times a power of ten that is not below `least`."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= least * (1 - 1e-9))


def frame(canvas: Canvas, across: Axis, up: Axis, labels: tuple[str, str]) -> None:
    """Grid, numbers and the axes' names."""
    for value in across.ticks():
        x = across.at(value)
        canvas.line([(x, up.start), (x, up.stop)], FAINT)
        canvas.text(x, up.start + 17, f"{value:g}", GREY, 11, "centre")
    for value in up.ticks():
        y = up.at(value)
        canvas.line([(across.start, y), (across.stop, y)], FAINT)
        canvas.text(across.start - 6, y + 4, f"{value:g}", GREY, 11, "right")
    canvas.line([(across.start, up.stop), (across.start, up.start), (across.stop, up.start)], INK)
    canvas.text((across.start + across.stop) / 2, up.start + 36, labels[0], INK, 12, "centre")
    canvas.text(across.start - 34, up.stop - 10, labels[1], INK, 12)


def save(path: Path, picture: Picture) -> None:
    """Write a picture (blue-green-red) in the format that the extension names.

    Raises:
        OutputError: the disk refuses.
    """
    import cv2

    if not cv2.imwrite(str(path), picture):
        raise OutputError(f"{path} cannot be written; check that its folder exists and may be written to")


def _at(value: float) -> int:
    return round(value * SCALE)


def _font(size: float) -> float:
    """OpenCV's scale for a line of that height: at 1, its capitals are 21 pixels high."""
    return size * 0.72 * SCALE / 21
