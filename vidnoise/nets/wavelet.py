"""A U-Net whose scales are those of a Haar wavelet transform: nothing is lost on the way down.

Near Liu, Zhang, Zhang, Lin, Zuo, "Multi-level Wavelet-CNN for Image Restoration", CVPR workshops 2018: the transform takes
the place of pooling, its inverse that of enlarging; here it also folds the picture for the first convolution.
"""

import torch
from torch import Tensor, nn

from .residual import conv3, start_small
from .spatial import Folded, Picture, Present
from .tiers import UNetSpec
from .unet import UNet

SPEC = UNetSpec(unshuffle=2, channels=(40, 64, 96), encoder=(1, 1, 2), decoder=(1, 1))


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


class HaarDown(nn.Module):
    """Halves the size by the transform, then mixes its channels."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = conv3(4 * inputs, outputs)
        nn.init.kaiming_normal_(self.conv.weight, nonlinearity="linear")

    def forward(self, x: Tensor) -> Tensor:
        """(B,C,H,W) -> (B,D,H/2,W/2)."""
        return self.conv(haar(x).contiguous(memory_format=torch.channels_last))  # type: ignore[no-any-return]


class HaarUp(nn.Module):
    """Doubles the size by the inverse transform."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = conv3(inputs, 4 * outputs)
        start_small(self.conv.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(B,C,H,W) -> (B,D,2H,2W)."""
        return inverse_haar(self.conv(x)).contiguous(memory_format=torch.channels_last)


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
        first = SPEC.channels[0]
        super().__init__(
            HaarPresent(2, first),
            UNet(SPEC, down=HaarDown, up=HaarUp),
            HaarPicture(2, first),
            SPEC.multiple,
        )
