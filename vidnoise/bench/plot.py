"""The picture of quality against speed: one panel for each sigma, one point for each method."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from vidnoise.bench.canvas import FAINT, GREY, INK, PALETTE, Axis, Canvas, extent, frame
from vidnoise.bench.ours import HOME

if TYPE_CHECKING:
    from vidnoise.bench.canvas import Picture, Point
    from vidnoise.bench.report import Row

PANEL = 560, 420
MARGIN_LEFT, MARGIN_RIGHT, MARGIN_TOP, MARGIN_BOTTOM = 56, 24, 64, 56
LABEL = 11

Box = tuple[float, float, float, float]
"""Left, top, right, bottom."""


def quality_against_speed(rows: Sequence[Row], caption: str) -> Picture:
    """Draw the rows of `bench quality` as (H,W,3), blue-green-red; the noisy input is a dashed line.

    Args:
        rows: as `quality.Row.values()` gives them.
        caption: a line below, such as the machine.
    """
    sigmas = sorted({row["sigma"] for row in rows})
    width, height = PANEL
    canvas = Canvas(width * len(sigmas), height + 26)
    for i, sigma in enumerate(sigmas):
        _panel(canvas, i * width, [row for row in rows if row["sigma"] == sigma], sigma)
    canvas.text(MARGIN_LEFT, height + 14, caption, GREY, 11)
    return canvas.picture()


def _panel(canvas: Canvas, left: float, rows: Sequence[Row], sigma: float) -> None:
    width, height = PANEL
    shown = [row for row in rows if row["home"] and not math.isnan(row["psnr"]) and row["fps"] > 0]
    noisy = next((row["psnr"] for row in rows if not row["home"]), math.nan)
    canvas.text(left + MARGIN_LEFT, 24, f"White noise, sigma {sigma:g}: quality against speed", INK, 14)
    if not shown:
        canvas.text(left + width / 2, height / 2, "nothing was measured", GREY, 12, "centre")
        return
    speeds, levels = [row["fps"] for row in shown], [row["psnr"] for row in shown]
    levels += [] if math.isnan(noisy) else [noisy]
    across = Axis(
        min(speeds) / 1.6, max(speeds) * 2.5, left + MARGIN_LEFT, left + width - MARGIN_RIGHT, log=True
    )
    room = max(0.5, 0.08 * (max(levels) - min(levels)))
    up = Axis(min(levels) - room, max(levels) + room, height - MARGIN_BOTTOM, MARGIN_TOP)
    frame(canvas, across, up, ("frames a second", "PSNR, dB"))
    if not math.isnan(noisy):
        _dashes(canvas, across, up.at(noisy))
        canvas.text(across.stop - 4, up.at(noisy) - 5, "noisy", GREY, LABEL, "right")
    _points(canvas, shown, across, up)
    _legend(canvas, left + width - MARGIN_RIGHT, shown)


def _points(canvas: Canvas, rows: Sequence[Row], across: Axis, up: Axis) -> None:
    places = [(across.at(row["fps"]), up.at(row["psnr"])) for row in rows]
    for row, (x, y), box in zip(rows, places, label_boxes(rows, places, across), strict=True):
        ours = row["home"] == HOME
        canvas.dot(x, y, _colour(row["home"]), 5 if ours else 4, hollow=not ours)
        canvas.text(box[0], box[3] - 2, _name(row), _colour(row["home"]), LABEL)


def label_boxes(rows: Sequence[Row], places: Sequence[Point], across: Axis) -> list[Box]:
    """Places for the labels of points: near them, inside the axis, and hiding no other label or point if possible."""
    taken: list[Box] = [(x - 5, y - 5, x + 5, y + 5) for x, y in places]
    boxes: list[Box] = []
    for row, point in zip(rows, places, strict=True):
        boxes.append(_free(extent(_name(row), LABEL), point, [*taken, *boxes], across))
    return boxes


def _free(width: float, point: Point, taken: Sequence[Box], across: Axis) -> Box:
    x, y = point
    sides = [(8, 6), (-8 - width, 6), (-width / 2, -7), (-width / 2, 19)]
    sides += [(dx, dy + shift) for shift in (13, -13, 26, -26, 39, -39) for dx, dy in sides[:2]]
    boxes = [(x + dx, y + dy - 12, x + dx + width, y + dy) for dx, dy in sides]
    inside = [box for box in boxes if box[0] >= across.start and box[2] <= across.stop + 20] or boxes
    return min(inside, key=lambda box: sum(overlap(box, other) for other in taken))


def overlap(a: Box, b: Box) -> float:
    """The area that two boxes share."""
    return max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))


def _name(row: Row) -> str:
    name: str = row["method"]
    return name if len(name) <= 28 else name[:27] + "..."


def _legend(canvas: Canvas, right: float, rows: Sequence[Row]) -> None:
    for home in sorted({row["home"] for row in rows}, key=_rank, reverse=True):
        right -= extent(home, LABEL)
        canvas.text(right, 46, home, _colour(home), LABEL)
        canvas.dot(right - 9, 42, _colour(home), 4, hollow=home != HOME)
        right -= 30


def _dashes(canvas: Canvas, across: Axis, y: float) -> None:
    for x in range(round(across.start), round(across.stop), 8):
        canvas.line([(x, y), (x + 4, y)], GREY if x % 16 else FAINT)


def _rank(home: str) -> int:
    homes = [HOME, "ffmpeg", "PyAV", "OpenCV"]
    return homes.index(home) if home in homes else len(homes)


def _colour(home: str) -> tuple[int, int, int]:
    return PALETTE[min(_rank(home), len(PALETTE) - 1)]
