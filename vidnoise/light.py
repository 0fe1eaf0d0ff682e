"""By how much the light of a scene has changed between two frames: lamps that flicker, exposure that adapts, fades.

Sensors that are read line by line see lamps flicker as bands that move over the picture: each line has a light of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

FEWEST = 32
"""Cells, for their median to say anything."""
DARK, LIGHT = 0.06, 0.97
"""Brightness of cells whose light can be told: below it is noise and black, above it is cut off."""
HIDDEN = 3.0
"""Deviations of the noise: what is darker, noise that is cut off at black makes lighter."""
SLIGHT = 0.004
"""A change by less is none: the median of some thousand cells is as sure as that, noise and motion included."""
SURER = 0.8
"""By how much closer to each other cells have to be with the change taken into account; as a ratio of differences."""
BANDED = 0.75
"""The same for a light of each line: where things move it brings cells closer by chance, too, by up to a fifth."""
AROUND = 24
"""A line's light is that of its row of cells and of those less than this part of the height away."""


def brightening(here: Tensor, there: Tensor, noise: float = 0) -> Tensor:
    """How many times as bright one picture is as another of the same things, (h,1); 1 where that is not sure.

    Args:
        here, there: (h,w), the mean brightness of cells of some pixels, nominal [0,1].
        noise: the standard deviation of the noise of a pixel.
    """
    import torch

    usable = (here.minimum(there) > max(DARK, HIDDEN * noise)) & (here.maximum(there) < LIGHT)
    same = torch.ones_like(here[:, :1])
    if int(usable.sum()) < FEWEST:
        return same
    ratio = here / there
    gain = ratio[usable].median().expand_as(same)
    banded = _of_rows(ratio, usable, gain)
    before, after, best = (float((here - g * there)[usable].abs().median()) for g in (same, gain, banded))
    if abs(float(gain[0]) - 1) <= SLIGHT or after >= SURER * before:
        gain, after = same, before
    return banded if best < BANDED * after else gain


def lines(gain: Tensor, count: int, size: float) -> Tensor:
    """A gain (h,1) of rows of cells as one of `count` lines (count,1), linearly between the centres of cells.

    Args:
        size: lines of a cell.
    """
    import torch

    place = ((torch.arange(count, device=gain.device) + 0.5) / size - 0.5).clamp(0, len(gain) - 1)
    above = place.long()
    return gain[above].lerp(gain[(above + 1).clamp_max(len(gain) - 1)], (place - above)[:, None])


def _of_rows(ratio: Tensor, usable: Tensor, usual: Tensor) -> Tensor:
    """The median of a ratio (h,w) in each row where it is usable, averaged over the rows around, (h,1)."""
    import torch
    import torch.nn.functional as F

    medians = ratio.masked_fill(~usable, torch.nan).nanmedian(1, keepdim=True).values
    enough = usable.sum(1, keepdim=True) >= FEWEST // 2
    rows = torch.where(enough, medians, usual)
    reach = len(rows) // AROUND
    return F.avg_pool1d(rows.T, 2 * reach + 1, 1, reach, count_include_pad=False).T
