"""DnCNN: noise of any level."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from vidnoise_filters.network import NetworkFilter


@dataclass(frozen=True)
class DnCNN(NetworkFilter):
    """Twenty convolutions of 64 channels find the noise in a frame, whatever its level, and take it away.

    K. Zhang, W. Zuo, Y. Chen, D. Meng, L. Zhang, "Beyond a Gaussian Denoiser: Residual Learning of Deep CNN for Image
    Denoising", IEEE TIP 2017: the blind network for colour, 0 to 55 8-bit steps. 1334 thousand operations a pixel, the
    most of all filters. (B,3,H,W) in and out, no memory of the past.
    """

    halo: ClassVar[int] = 24
    bytes_per_pixel: ClassVar[int] = 900
