"""A network in the Haar wavelet domain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from vidnoise_filters.network import ToldFilter


@dataclass(frozen=True)
class Wavelet(ToldFilter):
    """Cleans a frame scale by scale of a Haar wavelet transform, which loses nothing on the way down.

    Near P. Liu, H. Zhang, K. Zhang, L. Lin, W. Zuo, "Multi-level Wavelet-CNN for Image Restoration", CVPR workshops 2018.
    99 thousand operations a pixel. (B,3,H,W) in and out, no memory of the past.
    """

    halo: ClassVar[int] = 64
    bytes_per_pixel: ClassVar[int] = 500
