"""Guided filter: an edge-keeping smoother whose cost does not grow with its radius."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from vidnoise.filter import SpatialFilter, option
from vidnoise.scaling import means_around

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Guided(SpatialFilter):
    """Fits each neighbourhood by a straight line over the picture's own brightness: flat areas are averaged, edges stay.

    K. He, J. Sun, X. Tang, "Guided Image Filtering", ECCV 2010; the guide is the mean of R, G and B.
    (B,3,H,W) in and out, no memory of the past.
    """

    halo: ClassVar[int] = 40
    bytes_per_pixel: ClassVar[int] = 250

    radius: int = option(
        3, low=1, high=16, unit="pixels", help="half the neighbourhood's side; raise it for coarser noise"
    )
    contrast: float = option(
        20.0,
        low=0.1,
        high=255,
        unit="8-bit steps",
        help="areas that vary less than this are flattened; raise it for more smoothing",
    )

    def apply(self, x: Tensor) -> Tensor:
        """(B,3,H,W) -> (B,3,H,W)."""
        import torch

        contrast = self.contrast / 255
        return torch.stack([fitted(image, image.mean(0, keepdim=True), self.radius, contrast) for image in x])


def fitted(image: Tensor, guide: Tensor, radius: int, contrast: float) -> Tensor:
    """A picture (C,H,W) as straight lines over a guide (1,H,W), flat where that varies less than `contrast`."""

    def mean(picture: Tensor) -> Tensor:  # no convolution, which a GPU does with 11 bits of each sample
        return means_around(picture, radius)

    mean_guide, level = mean(guide), mean(image)
    spread = mean(guide * guide) - mean_guide * mean_guide
    slope = (mean(guide * image) - mean_guide * level) / (spread + contrast**2)
    return mean(slope) * guide + mean(level - slope * mean_guide)
