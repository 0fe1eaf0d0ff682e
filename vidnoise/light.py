"""By how much the light of a scene has changed between two frames: lamps that flicker, exposure that adapts, fades."""

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


def brightening(here: Tensor, there: Tensor, noise: float = 0) -> float:
    """How many times as bright one picture is as another of the same things; 1 where that is not sure.

    Args:
        here, there: (h,w), the mean brightness of cells of some pixels, nominal [0,1].
        noise: the standard deviation of the noise of a pixel.
    """
    usable = (here.minimum(there) > max(DARK, HIDDEN * noise)) & (here.maximum(there) < LIGHT)
    if int(usable.sum()) < FEWEST:
        return 1.0
    here, there = here[usable], there[usable]
    gain = (here / there).median()
    before, after = (here - there).abs().median(), (here - gain * there).abs().median()
    sure = abs(float(gain) - 1) > SLIGHT and float(after) < SURER * float(before)
    return float(gain) if sure else 1.0
