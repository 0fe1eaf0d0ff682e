"""RCAN for denoising: residual groups of residual blocks, each of which weighs its channels by what the picture holds.

Zhang, Li, Li, Wang, Zhong, Fu, "Image Super-Resolution Using Very Deep Residual Channel Attention Networks", ECCV 2018;
small, on pixels folded 2 by 2, and with a denoiser's head. As an option the attention is that of CBAM (Woo, Park, Lee,
Kweon, "CBAM: Convolutional Block Attention Module", ECCV 2018).
"""

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .residual import Block, groups
from .spatial import Folded, Picture, Present
from .tiers import GroupsSpec

SPEC = GroupsSpec(unshuffle=2, width=32, groups=3, blocks=3)
SQUEEZED = 8
"""Channels in which the weights of all the others are found."""
REACH = 7
"""Pixels a side from which CBAM tells how much a place counts."""


class ChannelAttention(nn.Module):
    """Weighs each channel by its mean over the picture, and in CBAM by its maximum too."""

    def __init__(self, channels: int, *, maximum: bool) -> None:
        super().__init__()
        self.maximum = maximum
        self.squeeze = nn.Conv2d(channels, SQUEEZED, 1)
        self.excite = nn.Conv2d(SQUEEZED, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B,C,H,W) -> (B,C,H,W)."""
        weight = self._weigh(x.mean((2, 3), keepdim=True))
        if self.maximum:
            weight = weight + self._weigh(x.amax((2, 3), keepdim=True))
        return x * torch.sigmoid(weight)

    def _weigh(self, described: Tensor) -> Tensor:
        return self.excite(F.relu(self.squeeze(described)))  # type: ignore[no-any-return]


class SpatialAttention(nn.Module):
    """Weighs each place by the mean and the maximum of the channels around it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, REACH, 1, REACH // 2)

    def forward(self, x: Tensor) -> Tensor:
        """(B,C,H,W) -> (B,C,H,W)."""
        described = torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], 1)
        return x * torch.sigmoid(self.conv(described))


class AttentiveBlock(Block):
    """A residual block whose change is weighed before it is added."""

    def __init__(self, channels: int, *, cbam: bool) -> None:
        super().__init__(channels)
        self.attention = nn.Sequential(ChannelAttention(channels, maximum=cbam))
        if cbam:
            self.attention.append(SpatialAttention())

    def forward(self, x: Tensor) -> Tensor:
        """(B,C,H,W) -> (B,C,H,W)."""
        change: Tensor = self.attention(self.second(F.relu(self.first(x), inplace=True)))
        return x + change


class RCAN(Folded):
    """Noise of a known level, by channel attention.

    Args:
        cbam: the attention is CBAM's, to channels and then to places.
    """

    def __init__(self, *, cbam: bool = False) -> None:
        present, picture = Present(SPEC.unshuffle, SPEC.width), Picture(SPEC.unshuffle, SPEC.width)
        body = groups(SPEC, partial(AttentiveBlock, cbam=cbam))
        super().__init__(present, body, picture, SPEC.multiple)
