"""How long the motion blur of a picture is, place by place, as a small trained network measures it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

_EMPTY = 1.5 / 255
"""A cell whose pixels differ by less than this on average shows nothing that could be blurred."""
_SHARE = 0.6
"""Of the cells that show something; what is out of focus looks blurred by motion, and may be the rest."""


def blur_lengths(image: Tensor) -> Tensor:
    """Measure the blur in cells of about 96 pixels.

    Args:
        image: (3,H,W), RGB, nominal [0,1].

    Returns:
        (h,w), pixels, on the image's device; 0 where nothing is seen that could be blurred. A picture of less than half a
        cell has one, of 0; a smaller one than a cell is mirrored at its edges.
    """
    from vidnoise.nets import load
    from vidnoise.nets.length import CELL, describe

    rows, columns = (max(size // CELL, 1) for size in image.shape[1:])
    if min(image.shape[1:]) <= CELL // 2:
        return image.new_zeros(rows, columns)
    gray = _enlarged(image.mean(0), CELL)
    tops, lefts = (_starts(size, count) for size, count in zip(gray.shape, (rows, columns), strict=True))
    cells = torch.stack([gray[y : y + CELL, x : x + CELL] for y in tops for x in lefts]).clamp(0, 1)
    with torch.inference_mode():
        features = describe(cells)
        told: Tensor = load("length", image.device, torch.float32)(features)
        found = (told.exp2() - 1).clamp(min=0)
        found[_contrast(cells) < _EMPTY] = 0
    return found.view(rows, columns).clone()


def blur_length(lengths: Tensor) -> float:
    """The blur of the whole picture, pixels, of which three fifths of the cells are no longer."""
    seen = lengths[lengths > 0]
    return float(seen.quantile(_SHARE)) if len(seen) else 0.0


def _enlarged(gray: Tensor, side: int) -> Tensor:
    """A picture (H,W), mirrored at its bottom and right to at least `side` pixels."""
    missing = [max(side - size, 0) for size in gray.shape]
    return F.pad(gray[None, None], (0, missing[1], 0, missing[0]), mode="reflect")[0, 0]


def _starts(size: int, count: int) -> list[int]:
    from vidnoise.nets.length import CELL

    return [round(i * (size - CELL) / max(count - 1, 1)) for i in range(count)]


def _contrast(cells: Tensor) -> Tensor:
    down, across = (cells[:, 16:] - cells[:, :-16]).abs(), (cells[..., 16:] - cells[..., :-16]).abs()
    return torch.maximum(down.mean((1, 2)), across.mean((1, 2)))
