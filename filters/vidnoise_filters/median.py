"""Median filter: against single wrong pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from vidnoise.filter import SpatialFilter, option

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Median(SpatialFilter):
    """Replaces each sample by the median of its square neighbourhood, channel by channel: removes salt and pepper.

    J. W. Tukey, "Exploratory Data Analysis", 1977. OpenCV does it on the CPU. (B,3,H,W) in and out, no memory of the past.
    """

    halo: ClassVar[int] = 4
    bytes_per_pixel: ClassVar[int] = 600

    radius: int = option(
        1,
        low=1,
        high=2,
        unit="pixels",
        help="1 looks at 3x3 pixels, 2 at 5x5: removes larger specks and more detail",
    )

    def apply(self, x: Tensor) -> Tensor:
        """(B,3,H,W) -> (B,3,H,W)."""
        import torch

        if x.is_cuda:
            return self._apply_on_gpu(x)
        return torch.stack([self._apply_on_cpu(image) for image in x])

    def _apply_on_cpu(self, image: Tensor) -> Tensor:
        import cv2
        import torch

        size = 2 * self.radius + 1
        return torch.stack(
            [torch.from_numpy(cv2.medianBlur(plane.numpy(), size)) for plane in image.contiguous()]
        )

    def _apply_on_gpu(self, x: Tensor) -> Tensor:
        import torch.nn.functional as F

        # Not by convolution, which a GPU does with 11 bits of each sample.
        r = self.radius
        padded = F.pad(x, (r, r, r, r), mode="replicate")
        around: Tensor = padded.unfold(-2, 2 * r + 1, 1).unfold(-2, 2 * r + 1, 1).flatten(-2)
        return around.median(-1).values
