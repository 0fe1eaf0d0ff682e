"""Bilateral filter: averages neighbours that are near in place and in colour."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from vidnoise.filter import SpatialFilter, option

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Bilateral(SpatialFilter):
    """Smooths while keeping edges: each pixel becomes the mean of neighbours, weighted by distance and by difference.

    C. Tomasi and R. Manduchi, "Bilateral Filtering for Gray and Color Images", ICCV 1998. The difference of two colours
    is the sum over R, G and B, as in OpenCV, which does the work on the CPU. (B,3,H,W) in and out, no memory of the past.
    """

    halo: ClassVar[int] = 24
    bytes_per_pixel: ClassVar[int] = 60

    contrast: float = option(
        25.0,
        low=0.1,
        high=255,
        unit="8-bit steps",
        help="differences well below this are smoothed, well above kept; raise it for more smoothing",
    )
    radius: float = option(
        1.5,
        low=0.3,
        high=8,
        unit="pixels",
        help="deviation of the distance weight; raise it for coarser noise",
    )

    def apply(self, x: Tensor) -> Tensor:
        """(B,3,H,W) -> (B,3,H,W)."""
        import torch

        if x.is_cuda:
            return _bilateral(x, self._reach, self.contrast / 255, self.radius)
        return torch.stack([self._apply_on_cpu(image) for image in x])

    @property
    def _reach(self) -> int:
        return math.ceil(2.5 * self.radius)

    def _apply_on_cpu(self, image: Tensor) -> Tensor:
        import cv2
        import torch

        mixed = cv2.merge([plane.numpy() for plane in image.contiguous()])
        size, border = 2 * self._reach + 1, cv2.BORDER_REPLICATE
        clean = cv2.bilateralFilter(mixed, size, self.contrast / 255, self.radius, borderType=border)
        return torch.stack([torch.from_numpy(plane) for plane in cv2.split(clean)])


def _bilateral(x: Tensor, reach: int, contrast: float, radius: float) -> Tensor:
    """The same sum as OpenCV's, over a disc, offset by offset: memory stays at a few frames."""
    import torch
    import torch.nn.functional as F

    height, width = x.shape[-2:]
    padded = F.pad(x, (reach, reach, reach, reach), mode="replicate")
    total, weights = torch.zeros_like(x), torch.zeros_like(x[:, :1])
    for dy in range(-reach, reach + 1):
        for dx in range(-reach, reach + 1):
            if dx * dx + dy * dy > reach * reach:
                continue
            there = padded[..., reach + dy : reach + dy + height, reach + dx : reach + dx + width]
            gap = (there - x).abs().sum(1, keepdim=True)
            near = (dx * dx + dy * dy) / (2 * radius * radius)
            weight = torch.exp(-gap * gap / (2 * contrast * contrast) - near)
            total += weight * there
            weights += weight
    return total / weights
