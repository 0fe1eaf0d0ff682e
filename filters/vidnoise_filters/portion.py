"""How much of what a denoiser removed stays removed: in luma, in colours, and of the finest grain."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from vidnoise.errors import FilterError
from vidnoise_filters.gray import as_gray_as, read_gray
from vidnoise_filters.guided import fitted

if TYPE_CHECKING:
    from torch import Tensor

LIMIT = 6.0
"""Deviations; noise that a codec has been over is less even than white noise, which stays within 4."""
REACH = 4
"""Half the side of the neighbourhood in which colours are smoothed further, in pixels."""
CONTRAST = 0.03
"""Edges of luma stronger than this keep colours apart."""


@dataclass(frozen=True)
class Portion:
    """What to keep of a denoiser's change.

    Attributes:
        amount: share of the change, 0 to 1.
        chroma: a further factor for the change of colours up to 1; above 1, up to 2, colours are smoothed as well.
        grain: share of the change's fine detail, luma and colours alike, that is given back.
    """

    amount: float
    chroma: float
    grain: float

    def __call__(self, noisy: Tensor, clean: Tensor, where: Tensor | None = None) -> Tensor:
        """(3,H,W), (3,H,W), and (1,H,W) in 0..1 for the share of the change at each pixel -> (3,H,W)."""
        if self.chroma > 1:
            clean = _smooth_colours(clean, self.chroma - 1)
        if self.amount == 1 and self.chroma >= 1 and self.grain == 0 and where is None:
            return clean
        change = clean - noisy
        luma = change.mean(0, keepdim=True)
        kept = self.amount * (luma + (change - luma) * min(self.chroma, 1))
        kept = kept - _fine(kept) * self.grain
        return noisy + (kept if where is None else kept * where)


def bounded(output: Tensor, noisy: Tensor, level: Tensor) -> Tensor:
    """No pixel changes by more than its noise can have: what is larger is the picture's, whatever the network says.

    What was gray stays gray.

    Args:
        output, noisy: (3,H,W).
        level: (3,H,W), the deviation of the noise.
    """
    import torch

    low, high = (torch.add(noisy, level, alpha=limit) for limit in (-LIMIT, LIMIT))
    return as_gray_as(torch.clamp(output, low, high, out=low), noisy)


@cache
def picture_mask(path: str, height: int, width: int) -> Tensor:
    """A picture file as a mask (1,H,W): 0 where it is black, 1 where it is white.

    Raises:
        FilterError: there is no such picture.
    """
    import cv2
    import torch

    picture = read_gray(path)
    if picture is None:
        raise FilterError(f"mask={path!r} is no picture that can be read; give a PNG or JPEG file")
    fitted = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
    return torch.from_numpy(fitted)[None].float() / 255


def _fine(image: Tensor) -> Tensor:
    """What is finer than about two pixels."""
    import torch.nn.functional as F

    return image - F.avg_pool2d(image[None], 3, 1, 1, count_include_pad=False)[0]


def _smooth_colours(image: Tensor, share: float) -> Tensor:
    """Blend in colours smoothed where luma is even (guided filter: He, Sun, Tang, ECCV 2010)."""
    luma = image.mean(0, keepdim=True)
    colours = image - luma
    return luma + colours.lerp(fitted(colours, luma, REACH, CONTRAST), share)
