"""Gradients of pictures that repeat themselves, and the picture whose gradients are nearest to some that are wanted."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from vidnoise.spectra import power_of

if TYPE_CHECKING:
    import torch
    from torch import Tensor


def slopes(picture: Tensor) -> tuple[Tensor, Tensor]:
    """What a picture (...,H,W) grows by to the right and down."""
    return picture.roll(-1, -1) - picture, picture.roll(-1, -2) - picture


def fitted(wanted: Tensor, power: Tensor, right: Tensor, down: Tensor, weight: float) -> Tensor:
    """The picture (...,H,W) of least squared error to what is seen, once blurred, and to slopes, by their weight.

    Args:
        wanted: (...,H,W//2+1), the spectrum of what is seen times the conjugate of what the blur keeps.
        power: the square of what the blur keeps, and what is added to it for the noise.
        right, down: (...,H,W), see `slopes`.
        weight: of the slopes.
    """
    import torch

    gathered = (right.roll(1, -1) - right).add_(down.roll(1, -2)).sub_(down)
    height, width = right.shape[-2:]
    spectrum = torch.fft.rfft2(gathered).mul_(weight).add_(wanted)
    spectrum *= torch.add(power, _powers(height, width, right.device), alpha=weight).reciprocal_()
    picture: Tensor = torch.fft.irfft2(spectrum, (height, width))
    return picture


@lru_cache(maxsize=8)
def _powers(height: int, width: int, device: torch.device) -> Tensor:
    """By how much slopes are stronger than the picture, by frequency (H,W//2+1)."""
    import torch

    with torch.inference_mode(False):
        point = torch.zeros(height, width, device=device)
        point[0, 0] = 1
        right, down = (torch.fft.rfft2(slope) for slope in slopes(point))
        powers: Tensor = power_of(right) + power_of(down)
        return powers
