"""Averages what stands still where it is, and smooths the rest: no flow and no network, for slow machines."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from vidnoise import dct
from vidnoise.filter import RecurrentFilter, option
from vidnoise.fusion import mix, opponent
from vidnoise.light import brightening, lines
from vidnoise.scaling import area_means, enlarged, means_around
from vidnoise_filters.clipping import unclip
from vidnoise_filters.level import in_blocks, noise_level, noise_variance

if TYPE_CHECKING:
    from torch import Tensor

    from vidnoise.frame import Frame

LONGEST = 24
"""Frames that count in an average, about."""
SAME, OTHER = 1.15, 1.5
"""The power of a block's difference from the past, by that of their noise, up to which it shows the same thing, and from
which on it shows another."""
FEW, MANY = 0.3, 0.6
"""The share of blocks that show the same thing up to which none is believed to, and from which on each is."""
CELL = 2
"""Pixels a side over which areas are measured."""
DOUBT = 1.2
"""How much more than its noise an area must vary to be more than noise; as a ratio of powers."""
EVEN = (0.03 / 255) ** 2
"""What varies less is even, whatever the noise: where there is none, nothing is smoothed beside it."""


@dataclass(frozen=True)
class State:
    """What is known of the picture.

    Attributes:
        mean: (3,H,W), in opponent colours, the average over time.
        left: (3,h,w), the variance of the noise left in it, by 8x8 blocks.
    """

    mean: Tensor
    left: Tensor


@dataclass(frozen=True)
class Steady(RecurrentFilter[State]):
    """Averages each block with the past at its place as far as it shows the same thing, then smooths what noise is left.

    The average is a Kalman filter's with the noise level known; a block that differs from the past by more than noise, or
    lies beside one that does, starts anew. What noise is left is known, and a guided filter with the picture as its own
    guide (He, Sun, Tang, "Guided Image Filtering", ECCV 2010; measured on small pictures as in He, Sun, "Fast Guided
    Filter", 2015) flattens areas that vary no more than that. Where the camera stands still, it comes near `fuse` at
    less than half of its cost; where it moves, the smoothing alone is left, and little of it beats `fuse`.

    (3,H,W) in and out; the frame's `confidence` is set: 1 where the past was taken whole, 0 where it was not.
    """

    halo: ClassVar[int] = 32
    bytes_per_pixel: ClassVar[int] = 120

    sigma: float = option(
        0.0, low=0, high=100, unit="8-bit steps", help="deviation of the noise; 0 takes the estimate"
    )
    strength: float = option(
        1.0,
        low=0,
        high=2,
        help="factor on the noise that is assumed: raise it for less noise and less detail",
    )

    @property
    def wants_noise(self) -> bool:
        """Unless sigma is given."""
        return self.sigma == 0

    def step(self, frame: Frame, state: State | None, ahead: Sequence[Frame]) -> tuple[Frame, State]:
        """See `RecurrentFilter.step`."""
        colours = opponent(frame.device)
        picture = in_blocks(mix(frame.image, colours))
        variance = noise_variance(frame, picture, self.sigma) * max(self.strength, 1e-3) ** 2
        mean, left, trust = picture, variance, variance.new_zeros(1, *variance.shape[1:])
        if state is not None:
            mean, left, trust = _averaged(picture, variance, state, noise_level(frame, self.sigma) / 255)
        clean = mix(_smoothed(mean, left)[:, : frame.height, : frame.width].contiguous(), colours.T)
        confidence = enlarged(trust, dct.BLOCK)[:, : frame.height, : frame.width]
        image = unclip(clean, frame, self.sigma, min(self.strength, 1))
        return frame.with_image(image, confidence), State(mean, left)


def _averaged(picture: Tensor, variance: Tensor, past: State, noise: float) -> tuple[Tensor, Tensor, Tensor]:
    """The picture averaged with the past, the variance left, and how far the past was trusted (1,h,w)."""
    gain = brightening(_cells(picture), _cells(past.mean), noise)
    before = past
    if bool((gain != 1).any()):
        before = State(past.mean * lines(gain, picture.shape[1], dct.BLOCK), past.left * gain.square())
    change = before.mean - picture
    expected = variance + before.left
    trust = _likeness(area_means(change.square(), dct.BLOCK), expected)
    share = trust * variance / expected
    left = share.square() * before.left + (1 - share).square() * variance
    mean = change.mul_(enlarged(share, dct.BLOCK)).add_(picture)
    return mean, left.maximum(variance / LONGEST), trust


def _cells(picture: Tensor) -> Tensor:
    """The mean brightness (h,w) of 8x8 blocks of a picture (3,H,W) in opponent colours."""
    return area_means(picture[:1], dct.BLOCK)[0] / math.sqrt(3)


def _likeness(power: Tensor, expected: Tensor) -> Tensor:
    """From 1 where blocks differ by noise alone to 0 where they, or blocks beside them, show something else; (1,h,w)."""
    import torch.nn.functional as F

    power, expected = power.sum(0, keepdim=True), expected.sum(0, keepdim=True)
    around = means_around(power) / means_around(expected)
    # One block alone says less than nine, and small things that move must not be lost among still ones.
    found = around.maximum(power / expected - (OTHER - SAME))
    same = ((OTHER - F.max_pool2d(found, 3, 1, 1)) / (OTHER - SAME)).clamp_(0, 1)
    # A pan of faint texture looks as if it stood still: believed where much of the picture does.
    return same * ((same.mean() - FEW) / (MANY - FEW)).clamp(0, 1)


def _smoothed(picture: Tensor, variance: Tensor) -> Tensor:
    """(3,H,W), noise of a variance (3,h,w) by 8x8 blocks flattened where there is nothing else."""
    means = means_around(area_means(picture, CELL))
    spread = means_around(area_means(picture.square(), CELL)) - means.square()
    noise = DOUBT * enlarged(variance, dct.BLOCK // CELL)
    slope = (1 - noise / spread.clamp(min=EVEN)).clamp_(min=0)
    offset = means_around(means - slope * means)
    return enlarged(offset, CELL).addcmul_(enlarged(means_around(slope), CELL), picture)
