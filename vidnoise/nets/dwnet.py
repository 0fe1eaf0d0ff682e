"""A small U-Net of depthwise-separable convolutions, for edge devices.

Each convolution is split into one within each channel and one across the channels at each place (Howard et al.,
"MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications", 2017): a fifth of the arithmetic.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from .residual import start_small
from .spatial import Folded, Picture, Present
from .tiers import UNetSpec
from .unet import UNet

SPEC = UNetSpec(unshuffle=2, channels=(48, 96, 160), encoder=(2, 2, 3), decoder=(2, 2))


class Separable(nn.Module):
    """A convolution within channels, then one across them."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.within = nn.Conv2d(channels, channels, 3, 1, 1, groups=channels, bias=False)
        self.across = nn.Conv2d(channels, channels, 1, bias=False)
        nn.init.kaiming_normal_(self.within.weight, nonlinearity="linear")
        nn.init.kaiming_normal_(self.across.weight, nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """(B,C,H,W) -> (B,C,H,W)."""
        return self.across(self.within(x))  # type: ignore[no-any-return]


class SeparableBlock(nn.Module):
    """x + separable(relu(separable(x)))."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = Separable(channels)
        self.second = Separable(channels)
        start_small(self.second.across.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(B,C,H,W) -> (B,C,H,W)."""
        change: Tensor = self.second(F.relu(self.first(x), inplace=True))
        return change.add_(x)


class DWNet(Folded):
    """Noise of a known level, with few weights and little arithmetic."""

    def __init__(self) -> None:
        first = SPEC.channels[0]
        present, picture = Present(SPEC.unshuffle, first), Picture(SPEC.unshuffle, first)
        super().__init__(present, UNet(SPEC, block=SeparableBlock), picture, SPEC.multiple)
