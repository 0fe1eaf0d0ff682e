"""MPRNet: two stages, of which the first makes a picture and hands on what that shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from vidnoise_filters.network import ToldFilter


@dataclass(frozen=True)
class MPRNet(ToldFilter):
    """Cleans a frame in two stages: the picture that the first makes decides which of its features the second is shown.

    S. W. Zamir, A. Arora, S. Khan, M. Hayat, F. S. Khan, M.-H. Yang, L. Shao, "Multi-Stage Progressive Image Restoration",
    CVPR 2021, small: a U-Net, then residual groups, 114 thousand operations a pixel. (B,3,H,W) in and out, no memory of the
    past.
    """

    halo: ClassVar[int] = 96
    bytes_per_pixel: ClassVar[int] = 500
