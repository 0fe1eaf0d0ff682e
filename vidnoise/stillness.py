"""What stands still before a fixed camera: there the past needs no flow, and may be remembered for longer.

One noisy frame hides slow motion. Averages of many frames, some frames apart, do not: what moves by a tenth of a pixel a
frame differs between them by more than the little noise that is left. Such a comparison is believed only where most of
the picture agrees, since slow pans of faint texture look as if they stood still too.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from vidnoise import dct
from vidnoise.scaling import area_means, means_around

if TYPE_CHECKING:
    from torch import Tensor

    from vidnoise.fusion import Look

APART = 8
"""Frames between two averages that are compared."""
MOST = 0.6
"""The share of blocks that stand still where the camera does: clips of moving cameras had up to 0.13, 0.26 at a fifth of a
pixel a frame."""
ALIKE = 1.15
"""Blocks whose difference has up to this many times the power of their noise show the same thing."""


@dataclass(frozen=True)
class Watch:
    """What is known of standstill.

    Attributes:
        before: the average as it was `age` frames ago.
        still: (1,h,w) bool, blocks of 8x8 that stood still up to then; None where the camera did not.
    """

    before: Look
    age: int = 0
    still: Tensor | None = None


def watch(past: Look, known: Watch | None) -> Watch:
    """Go on by a frame, `past` being what is known of all earlier ones; compare when it is time."""
    if known is None:
        return Watch(past)
    if known.age + 1 < APART:
        return replace(known, age=known.age + 1)
    still = difference(past, known.before) < 1
    return Watch(past, still=still if float(still.float().mean()) >= MOST else None)


def standing(new: Look, past: Look, known: Watch) -> Tensor | None:
    """Blocks (1,h,w) that stood still and go on doing so in a new frame; None for none."""
    return None if known.still is None else known.still & (difference(new, past) < ALIKE)


def difference(one: Look, other: Look) -> Tensor:
    """The power of the difference of two sights by that of their noise, (1,h,w), each over 3x3 blocks and all channels."""
    power = area_means((one.picture - other.picture).square_(), dct.BLOCK)
    return _around(power) / _around((one.variance + other.variance).mean(1))


def _around(values: Tensor) -> Tensor:
    return means_around(values.mean(0, keepdim=True))
