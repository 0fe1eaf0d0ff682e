"""CBDNet: one network finds how much noise there is at each place, a second removes that much.

Guo, Yan, Zhang, Zuo, Zhang, "Toward Convolutional Blind Denoising of Real Photographs", CVPR 2019. Both work on pixels
folded 2 by 2, and the second is made of the bias-free residual groups of the other denoisers: a U-Net of its cost learns
more slowly.
"""

from itertools import pairwise
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .padding import crop, pad
from .residual import groups
from .spatial import Folded, Picture, Present
from .tiers import GroupsSpec

SPEC = GroupsSpec(unshuffle=2, width=32, groups=4, blocks=3)
WIDTHS = (12, 32, 32, 32, 32, 3)
"""Channels of the five convolutions that find the level."""
UNIT = 0.1
"""What the level is counted in, on the scale of the picture."""


class CBDNet(Folded):
    """Noise whose level follows the brightness or the place, and is not known."""

    blind: ClassVar[bool] = True

    def __init__(self) -> None:
        present, picture = Present(SPEC.unshuffle, SPEC.width), Picture(SPEC.unshuffle, SPEC.width)
        super().__init__(present, groups(SPEC), picture, SPEC.multiple)
        layers = [m for a, b in pairwise(WIDTHS) for m in (nn.Conv2d(a, b, 3, 1, 1), nn.ReLU(inplace=True))]
        self.estimator = nn.Sequential(*layers[:-1])

    def forward(self, noisy: Tensor, sigma: Tensor) -> Tensor:
        """See `PictureDenoiser`; sigma is not read."""
        return self.both(noisy)[0]

    def both(self, noisy: Tensor) -> tuple[Tensor, Tensor]:
        """The clean picture (B,3,H,W), and the deviation of the noise at each place (B,3,H,W), on its scale."""
        size = noisy.shape[-2:]
        frame = pad(noisy.float(), self.multiple)
        level = self._level(frame)
        whole = level.repeat_interleave(SPEC.unshuffle, 2).repeat_interleave(SPEC.unshuffle, 3)
        return crop(frame + self.change(frame, level), *size), crop(whole, *size)

    def _level(self, frame: Tensor) -> Tensor:
        x = self.present.fold(frame).to(self.present.conv.weight.dtype)
        found = self.estimator(x.contiguous(memory_format=torch.channels_last))
        return UNIT * F.softplus(found.float())
