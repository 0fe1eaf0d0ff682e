"""Residual groups in the Haar wavelet domain, where edges are few numbers and noise stays white.

Near Kang, Chang, Yoo, Ye, "Deep Convolutional Framelet Denoising for Low-Dose CT via Wavelet Residual Network", IEEE TMI
2018.
"""

import torch
from torch import Tensor

from .residual import groups
from .spatial import Folded, Picture, Present
from .tiers import GroupsSpec

SPEC = GroupsSpec(unshuffle=2, width=32, groups=3, blocks=3)


def haar(x: Tensor) -> Tensor:
    """(B,C,H,W), H and W even -> (B,4C,H/2,W/2): means, then differences across, down and crosswise; orthonormal."""
    left, right = x[..., ::2], x[..., 1::2]
    low, high = left + right, left - right
    parts = [low[..., ::2, :], low[..., 1::2, :], high[..., ::2, :], high[..., 1::2, :]]
    return (
        torch.cat([parts[0] + parts[1], parts[2] + parts[3], parts[0] - parts[1], parts[2] - parts[3]], 1) / 2
    )


def inverse_haar(x: Tensor) -> Tensor:
    """Undoes `haar`: (B,4C,H,W) -> (B,C,2H,2W)."""
    mean, across, down, cross = x.chunk(4, 1)
    left, right = mean + across, mean - across
    drop_left, drop_right = down + cross, down - cross
    rows = [
        torch.stack([left + drop_left, right + drop_right], -1).flatten(-2),
        torch.stack([left - drop_left, right - drop_right], -1).flatten(-2),
    ]
    return torch.stack(rows, -2).flatten(-3, -2) / 2


class HaarPresent(Present):
    """The transform of the picture becomes features."""

    def fold(self, noisy: Tensor) -> Tensor:
        """(B,3,H,W) -> (B,12,H/2,W/2)."""
        return haar(noisy)


class HaarPicture(Picture):
    """Features become the transform of what is added."""

    def unfold(self, x: Tensor) -> Tensor:
        """(B,12,H/2,W/2) -> (B,3,H,W)."""
        return inverse_haar(x)


class Wavelet(Folded):
    """Noise of a known level, in the wavelet domain."""

    def __init__(self) -> None:
        present, picture = HaarPresent(SPEC.unshuffle, SPEC.width), HaarPicture(SPEC.unshuffle, SPEC.width)
        super().__init__(present, groups(SPEC), picture, SPEC.multiple)
