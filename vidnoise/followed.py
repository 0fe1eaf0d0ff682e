"""Blocks of two frames that show the same thing, found along the motion: where that is right they differ by noise alone."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from vidnoise.dct import BLOCK
from vidnoise.flow import search

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

    height, width = here.shape[1:]
    step = max(1, round(math.sqrt((height - BLOCK + 1) * (width - BLOCK + 1) / CANDIDATES)))
    motion = search(here, there).unfold(1, BLOCK, step).unfold(2, BLOCK, step)
    most, least = motion.amax((3, 4)), motion.amin((3, 4))
    across, down = way = ((most + least) / 2).round()
    aside = (most - way).maximum(way - least).amax(0)
    rows = torch.arange(aside.shape[0], device=here.device)[:, None].expand_as(aside) * step
    columns = torch.arange(aside.shape[1], device=here.device).expand_as(aside) * step
    top, left = rows + down.long(), columns + across.long()
    inside = (top >= 0) & (top <= height - BLOCK) & (left >= 0) & (left <= width - BLOCK)
    places = ((aside < ASIDE) & inside).nonzero()
    i, j = places[:: -(-len(places) // MOST) or 1].T
    return _cut(here, rows[i, j], columns[i, j]), _cut(there, top[i, j], left[i, j])


def _cut(image: Tensor, top: Tensor, left: Tensor) -> Tensor:
    """The pixels (3,N,64) of the blocks that begin at some places (N,)."""
    import torch

    along = torch.arange(BLOCK, device=image.device)
    return image[:, top[:, None, None] + along[:, None], left[:, None, None] + along].flatten(2)
