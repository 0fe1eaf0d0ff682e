"""Residual blocks in a U-Net."""

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn

from .residual import Block, blocks
from .tiers import UNetSpec


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


class UNet(nn.Module):
    """Features in, features out, at the first level's size.

    Args:
        spec: its levels.
        block: makes a block of so many channels.
        up: makes what doubles the size, from so many channels to so many.
    """

    def __init__(
        self,
        spec: UNetSpec,
        block: Callable[[int], nn.Module] = Block,
        up: Callable[[int, int], nn.Module] = Up,
    ) -> None:
        super().__init__()
        widths = spec.channels
        pairs = list(pairwise(widths))
        self.encoder = nn.ModuleList(blocks(n, c, block) for n, c in zip(spec.encoder, widths, strict=True))
        self.downs = nn.ModuleList(Down(a, b) for a, b in pairs)
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
