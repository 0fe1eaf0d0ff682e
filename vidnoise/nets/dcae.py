"""A convolutional autoencoder: three times down to an eighth of the size, and up again.

Sizes are doubled by repeating pixels before a convolution, which leaves no checkerboards (Odena, Dumoulin, Olah,
"Deconvolution and Checkerboard Artifacts", Distill 2016). What each scale encodes is added where that scale is decoded
(Mao, Shen, Yang, "Image Restoration Using Very Deep Convolutional Encoder-Decoder Networks with Symmetric Skip
Connections", NIPS 2016).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .residual import conv3, start_small
from .spatial import Folded, Present
from .tiers import UNetSpec
from .unet import UNet

SPEC = UNetSpec(unshuffle=2, channels=(40, 64, 96), encoder=(1, 1, 2), decoder=(1, 1))


class Enlarge(nn.Module):
    """Doubles the size: each pixel four times, then a convolution."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = conv3(inputs, outputs)
        start_small(self.conv.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(B,C,H,W) -> (B,D,2H,2W)."""
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))  # type: ignore[no-any-return]


class EnlargePicture(Enlarge):
    """Features become what is added to the noisy frame, at twice their size, in float32.

    Computed at their own size, which takes a third of the time: where pixels are repeated, a convolution sees each several
    times, so each of the four pixels that come of one is a convolution of its own.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(B,C,H,W) -> (B,3,2H,2W)."""
        phases = _split(_split(self.conv.weight, 2), 4).transpose(1, 2).flatten(0, 2)
        return F.pixel_shuffle(F.conv2d(x, phases, padding=1).float(), 2)


def _split(weight: Tensor, axis: int) -> Tensor:
    """The three taps along an axis for the first and for the second of two equal pixels, after axis 0."""
    before, here, after = weight.unbind(axis)
    none = torch.zeros_like(here)
    first = torch.stack([before, here + after, none], axis)
    return torch.stack([first, torch.stack([none, before + here, after], axis)], 1)


class DCAE(Folded):
    """Noise of a known level, by an autoencoder."""

    def __init__(self) -> None:
        first = SPEC.channels[0]
        super().__init__(
            Present(SPEC.unshuffle, first), UNet(SPEC, up=Enlarge), EnlargePicture(first, 3), SPEC.multiple
        )
