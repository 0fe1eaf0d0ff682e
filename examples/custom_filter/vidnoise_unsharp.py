"""A filter of your own: pip install examples/custom_filter; vidnoise input.mp4 -o out.mp4 -f fuse,unsharp:amount=0.8"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from vidnoise.filter import SpatialFilter, option

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Unsharp"]


@dataclass(frozen=True)
class Unsharp(SpatialFilter):
    """Sharpens: what a Gaussian blur takes away is added once more."""

    # How far around a pixel the filter looks, for frames that are processed in tiles.
    halo: ClassVar[int] = 16

    amount: float = option(0.5, low=0, high=3, help="how much is added; raise it for sharper edges")
    radius: float = option(
        1.5, low=0.5, high=5, unit="pixels", help="of the blur; raise it for coarser detail"
    )

    def apply(self, x: Tensor) -> Tensor:
        """(B,3,H,W) RGB floats in 0..1; same shape out."""
        import torch
        import torch.nn.functional as F

        reach = math.ceil(3 * self.radius)
        bell = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, device=x.device) / self.radius) ** 2)
        bell /= bell.sum()
        blurred = F.pad(x, (reach,) * 4, mode="replicate").flatten(0, 1)[:, None]
        for weights in (bell[None, None, None], bell[None, None, :, None]):
            blurred = F.conv2d(blurred, weights)
        return x + self.amount * (x - blurred.view_as(x))
