"""RCAN: residual groups with channel attention."""

from __future__ import annotations

from dataclasses import dataclass

from vidnoise_filters.network import ToldFilter


@dataclass(frozen=True)
class RCAN(ToldFilter):
    """Cleans a frame by residual blocks that weigh their channels by what the whole picture holds.

    Y. Zhang, K. Li, K. Li, L. Wang, B. Zhong, Y. Fu, "Image Super-Resolution Using Very Deep Residual Channel Attention
    Networks", ECCV 2018, small and for noise: 105 thousand operations a pixel. (B,3,H,W) in and out, no memory of the past.
    """

    @property
    def tileable(self) -> bool:
        """Not at all: the channels are weighed by their means over the picture."""
        return False
