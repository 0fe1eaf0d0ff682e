"""The denoiser's body: bias-free residual blocks in a U-Net.

Without biases and normalisation a network maps zero to zero and scales with its input, so it carries over to
noise levels it was not trained on (Mohan et al., ICLR 2020), and an absent input (all zero) adds nothing.
"""

from collections.abc import Callable
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .tiers import UNetSpec


def conv3(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    """A 3x3 convolution without bias that keeps the size (or divides it by the stride, rounding up)."""
    return nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)


class Block(nn.Module):
    """x + conv(relu(conv(x)))."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = conv3(channels, channels)
        self.second = conv3(channels, channels)
        nn.init.kaiming_normal_(self.first.weight, nonlinearity="relu")
        start_small(self.second.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(B,C,H,W) -> (B,C,H,W)."""
        change: Tensor = self.second(F.relu(self.first(x), inplace=True))
        return change.add_(x)


def start_small(weight: Tensor) -> None:
    """Initialise the end of a residual branch, so that a deep stack without normalisation is stable."""
    nn.init.kaiming_normal_(weight, nonlinearity="linear")
    with torch.no_grad():
        weight.mul_(0.2)


def start_as_identity(weight: Tensor) -> None:
    """Initialise a 3x3 convolution as the identity and a little: a deep plain stack then learns as a residual one does.

    After Zagoruyko, Komodakis, "DiracNets: Training Very Deep Neural Networks Without Skip-Connections", 2017.
    """
    start_small(weight)
    with torch.no_grad():
        weight[:, :, 1, 1] += torch.eye(weight.shape[0])


class Down(nn.Conv2d):
    """Halves the size."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 2, 2, bias=False)
        nn.init.kaiming_normal_(self.weight, nonlinearity="linear")


class Up(nn.ConvTranspose2d):
    """Doubles the size: each pixel becomes four by a product of their own."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 2, 2, bias=False)
        with torch.no_grad():
            self.weight.normal_(0, 0.1 * inputs**-0.5)  # the coarse levels come in gently


def blocks(count: int, channels: int, kind: Callable[[int], nn.Module] = Block) -> nn.Sequential:
    """`count` residual blocks in a row."""
    return nn.Sequential(*(kind(channels) for _ in range(count)))


class UNet(nn.Module):
    """Features in, features out, at the first level's size.

    Args:
        spec: its levels.
        block: makes a block of so many channels.
        down, up: make what halves and doubles the size, from so many channels to so many.
    """

    def __init__(
        self,
        spec: UNetSpec,
        block: Callable[[int], nn.Module] = Block,
        down: Callable[[int, int], nn.Module] = Down,
        up: Callable[[int, int], nn.Module] = Up,
    ) -> None:
        super().__init__()
        widths = spec.channels
        pairs = list(pairwise(widths))
        self.encoder = nn.ModuleList(blocks(n, c, block) for n, c in zip(spec.encoder, widths, strict=True))
        self.downs = nn.ModuleList(down(a, b) for a, b in pairs)
        self.ups = nn.ModuleList(up(b, a) for a, b in pairs)
        self.decoder = nn.ModuleList(
            blocks(n, c, block) for n, c in zip(spec.decoder, widths[:-1], strict=True)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B,C,H,W) -> (B,C,H,W); H and W multiples of 2 ** (levels - 1)."""
        skips = []
        for level, down in zip(self.encoder, self.downs, strict=False):
            x = level(x)
            skips.append(x)
            x = down(x)
        x = self.encoder[-1](x)
        for up, level, skip in zip(reversed(self.ups), reversed(self.decoder), reversed(skips), strict=True):
            x = level(up(x) + skip)
        return x
