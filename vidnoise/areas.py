"""Pictures as overlapping square areas, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

HOP = 64
"""Pixels between the middles of two areas."""
REACH = 80
"""Pixels from the middle of an area to its side; of them `HOP` are blended with the next area's."""


def split(gray: Tensor) -> Tensor:
    """Areas around the corners of squares of `HOP` pixels.

    Args:
        gray: (B,H,W), any size.

    Returns:
        (B,rows,columns,2 REACH,2 REACH), rows = ceil(H / HOP) + 1; beyond the borders the last pixels go on.
    """
    import torch.nn.functional as F

    height, width = gray.shape[1:]
    around = (REACH, REACH - width % -HOP, REACH, REACH - height % -HOP)
    whole = F.pad(gray[:, None], around, mode="replicate")[:, 0]
    return whole.unfold(1, 2 * REACH, HOP).unfold(2, 2 * REACH, HOP)


def inside(areas: Tensor) -> Tensor:
    """The part of areas (...,2 REACH,2 REACH) that is blended, (...,2 HOP,2 HOP)."""
    kept = slice(REACH - HOP, REACH + HOP)
    return areas[..., kept, kept]


def blend(areas: Tensor, height: int, width: int) -> Tensor:
    """The picture (B,height,width) of the insides (B,rows,columns,2 HOP,2 HOP) of areas, each fading into the next."""
    import torch

    line = 1 - (torch.arange(2 * HOP, device=areas.device) + 0.5 - HOP).abs() / HOP
    before, after = (slice(None, -1), slice(HOP, None)), (slice(1, None), slice(None, HOP))
    # A square between the middles of areas is in the halves of two, in both directions.
    parts = [
        areas[:, rows, columns, down, right] * line[right] * line[down, None]
        for rows, down in (before, after)
        for columns, right in (before, after)
    ]
    squares = parts[0].add_(parts[1]).add_(parts[2]).add_(parts[3])
    return squares.transpose(2, 3).flatten(3).flatten(1, 2)[:, :height, :width]
