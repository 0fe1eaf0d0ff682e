"""By how much each coefficient of an 8x8 cosine transform is shrunk, from all of its block and of those beside it."""

import torch
from torch import Tensor, nn

from ..dct import BLOCK
from ..shrinkage import estimated

WIDTH = 32
LEAST = 1e-9
"""The variance of noise that is none, on the scale of the picture."""
FAR = 10.0
"""The logarithm of a ratio of powers above which nothing more is told."""
QUIET = 0.1
"""The variance in squared 8-bit steps below which nothing more is told."""
MOST = 1e3
"""By how much a guess may be wrong: what is far above the noise stays as it is."""
FAINT = 0.01
"""The least power that is guessed, as a ratio to the noise's."""


class Shrinkage(nn.Module):
    """The gain of the best linear estimate (Wiener): it needs the power without noise, which is guessed, and then learned.

    It knows powers as ratios to the noise's, so that it serves noise of any strength and spectrum.
    """

    def __init__(self) -> None:
        super().__init__()
        depth = BLOCK**2
        self.own = nn.Conv2d(depth, WIDTH, 1)
        self.other = nn.Conv2d(depth, WIDTH, 1, bias=False)
        self.level = nn.Parameter(torch.zeros(1, WIDTH, 1, 1))
        self.around = nn.Conv2d(WIDTH, WIDTH, 3, padding=1, groups=WIDTH)
        self.joined = nn.Conv2d(WIDTH, WIDTH, 1)
        self.told = nn.Conv2d(WIDTH, depth, 1)
        # It begins with the guess.
        for parameter in self.told.parameters():
            nn.init.zeros_(parameter)

    def forward(self, noisy: Tensor, model: Tensor, variance: Tensor) -> Tensor:
        """Gains (N,64,h,w), 0 to 1.

        Args:
            noisy: (N,64,h,w), coefficients of pictures, nominal [0,1]; see `dct.forward`.
            model: (N,64,h,w), those of about the same pictures without noise.
            variance: (N,64,h,w), of the noise.
        """
        variance = variance.clamp(min=LEAST)
        own, other = noisy.square().div_(variance), model.square().div_(variance)
        guess = estimated(own, other).add_(FAINT)
        level = (variance.mean(1, keepdim=True) * 255**2).clamp_(min=QUIET).log_()
        x = self.own(own.log1p_().clamp_(max=FAR))
        # A product by itself would lie otherwise in memory, and the sum take several times as long.
        x = torch.addcmul(x + self.other(other.log1p_().clamp_(max=FAR)), self.level, level)
        x = x + self.joined(self.around(x.relu()).relu_())
        wrong: Tensor = self.told(x.relu()).neg_().exp().clamp(max=MOST)
        return guess / wrong.add_(guess)
