"""FFDNet: noise that may be stronger here than there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from vidnoise_filters.network import ToldFilter


@dataclass(frozen=True)
class FFDNet(ToldFilter):
    """Cleans a frame of noise whose level it is told for each pixel, at half the size and so in a third of DnCNN's time.

    K. Zhang, W. Zuo, L. Zhang, "FFDNet: Toward a Fast and Flexible Solution for CNN-Based Image Denoising", IEEE TIP 2018:
    twelve convolutions of 96 channels, 426 thousand operations a pixel. (B,3,H,W) in and out, no memory of the past.
    """

    halo: ClassVar[int] = 32
