"""Blocks of two frames that show the same thing, found along the motion: where that is right they differ by noise alone."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from vidnoise.dct import BLOCK
from vidnoise.flow import coarse

if TYPE_CHECKING:
    from torch import Tensor

CANDIDATES, MOST = 18000, 3000
"""Blocks, about, whose motion is looked at, and that are taken at the most."""
ASIDE = 0.3
"""Pixels that motion in a block may be from a whole number of them: nothing is interpolated, which would smooth noise."""


def followed(here: Tensor, there: Tensor) -> tuple[Tensor, Tensor]:
    """Blocks of one frame, and of another where their things are in it.

    Args:
        here, there: (3,H,W), RGB in [0,1], of one size, 8x8 pixels or more.

    Returns:
        Two (3,N,64), their pixels; N is as large as there are blocks that moved by whole pixels, and may be 0.
    """
    import torch
    import torch.nn.functional as F

    height, width = here.shape[1:]
    motion, k = coarse(here, there)
    side = -(-BLOCK // k) + 1  # cells, between the middles of whose outermost a block lies
    if min(motion.shape[1:]) < side:
        return here.new_empty(3, 0, BLOCK**2), here.new_empty(3, 0, BLOCK**2)
    step = max(1, round(math.sqrt(motion[0].numel() / CANDIDATES)))
    most, negative = F.max_pool2d(torch.stack([motion, -motion]), side, step)
    across, down = way = ((most - negative) / 2).round()
    aside = (most - way).maximum(way + negative).amax(0)
    rows = (torch.arange(aside.shape[0], device=here.device)[:, None] * step * k + k // 2).expand_as(aside)
    columns = (torch.arange(aside.shape[1], device=here.device) * step * k + k // 2).expand_as(aside)
    top, left = rows + down.long(), columns + across.long()
    inside = _inside(rows, height) & _inside(top, height) & _inside(columns, width) & _inside(left, width)
    places = ((aside < ASIDE) & inside).nonzero()
    i, j = places[:: -(-len(places) // MOST) or 1].T
    return _cut(here, rows[i, j], columns[i, j]), _cut(there, top[i, j], left[i, j])


def _inside(begin: Tensor, size: int) -> Tensor:
    return (begin >= 0) & (begin <= size - BLOCK)


def _cut(image: Tensor, top: Tensor, left: Tensor) -> Tensor:
    """The pixels (3,N,64) of the blocks that begin at some places (N,)."""
    import torch

    width = image.shape[2]
    along = torch.arange(BLOCK, device=image.device)
    pixels = (top * width + left)[:, None] + (along[:, None] * width + along).flatten()
    return image.flatten(1).index_select(1, pixels.flatten()).view(len(image), -1, BLOCK**2)
