"""A filter of your own: pip install examples/custom_filter; vidnoise input.mp4 -o out.mp4 -f fuse,unsharp:amount=0.8"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from vidnoise.filter import SpatialFilter, option

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Unsharp"]


@dataclass(frozen=True)
class Unsharp(SpatialFilter):
    """Sharpens: how far each pixel is from the mean around it is added once more."""

    # How far around a pixel the filter looks, for frames that are processed in tiles.
    halo: ClassVar[int] = 8

    amount: float = option(0.5, low=0, high=3, help="how much is added; raise it for sharper edges")
    radius: int = option(2, low=1, high=8, unit="pixels", help="of the mean; raise it for coarser detail")

    def apply(self, x: Tensor) -> Tensor:
        """(B,3,H,W) RGB floats in 0..1; same shape out."""
        import torch.nn.functional as F

        around = F.pad(x, (self.radius,) * 4, mode="replicate")
        return x + self.amount * (x - F.avg_pool2d(around, 2 * self.radius + 1, 1))
