"""A blurred frame, what undoing its likely motion changes, and what its neighbours show, in; the sharp frame out.

One small network runs from coarse to fine with the same weights at each scale; its features go from scale to scale
(Tao et al., "Scale-recurrent Network for Deep Image Deblurring", CVPR 2018). It has no biases and sees what the frame
has above its local mean, so that a frame without any detail comes out as it went in.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..flow import visible, warp
from .body import body
from .padding import crop, pad
from .residual import conv3
from .spatial import Picture
from .tiers import Tier
from .unet import Up

SCALES = 3
"""Full size, a half and a quarter."""
UNDONE = 3
"""Ways of undoing the blur."""
SEEN = 4 * 3 + UNDONE
"""Channels: the frame, its two neighbours and the change so far in colour, the ways of undoing the blur in gray."""
LOCAL = 32
"""Pixels: the side of the areas whose mean is taken away."""


class Deblurrer(nn.Module):
    """Takes the blur of motion from frames."""

    def __init__(self, tier: Tier) -> None:
        super().__init__()
        self.tier = tier
        self.spec = tier.deblur
        first, unshuffle = self.spec.width, self.spec.unshuffle
        self.present = conv3(SEEN * unshuffle**2, first)
        nn.init.kaiming_normal_(self.present.weight, nonlinearity="linear")
        self.body = body(self.spec)
        self.remember = Up(first, first)
        self.picture = Picture(unshuffle, first)
        self.trust = conv3(first, unshuffle**2)

    @property
    def multiple(self) -> int:
        """Height and width are padded to multiples of this."""
        return int(max(self.spec.multiple * 2 ** (SCALES - 1), LOCAL))

    def forward(self, blurred: Tensor, undone: Tensor, near: Tensor) -> tuple[Tensor, Tensor]:
        """Sharpen a batch of frames.

        Args:
            blurred: (B,3,H,W), any size, nominal [0,1].
            undone: (B,3,H,W): what undoing the motion adds to the brightness, by Wiener filters, the boldest
                first; see `deconvolution.undo`.
            near: (B,6,H,W): how the frame before and the frame after, both brought to where this one's things are, differ
                from it; 0 where there is none or it cannot be trusted.

        Returns:
            The frames (B,3,H,W), float32, and how likely they are nearer to the truth than the blurred ones
            (B,1,H,W), 0..1.
        """
        height, width = blurred.shape[-2:]
        outputs, trust = self.scales(blurred, undone, near)
        return crop(outputs[-1], height, width), crop(torch.sigmoid(trust), height, width)

    def scales(self, blurred: Tensor, undone: Tensor, near: Tensor) -> tuple[list[Tensor], Tensor]:
        """The frames from the coarsest scale to the finest, and the logits of the confidence, padded to multiples."""
        sizes = [self._begun(blurred, undone, near)]
        change = blurred.new_zeros(1)
        memory: Tensor | None = None
        outputs = []
        while len(sizes) < SCALES:
            sizes.append((_halved(sizes[-1][0]), _halved(sizes[-1][1])))
        for seen, frame in reversed(sizes):
            if memory is None:
                change, features = torch.zeros_like(frame), self._present(seen, torch.zeros_like(frame))
            else:
                change = F.interpolate(change, scale_factor=2.0, mode="bilinear")
                features = self._present(seen, change) + self.remember(memory)
            memory = self.body(features)
            change = change + self.picture(memory)
            outputs.append(frame + change)
        return outputs, F.pixel_shuffle(self.trust(memory).float(), self.spec.unshuffle)

    def _begun(self, blurred: Tensor, undone: Tensor, near: Tensor) -> tuple[Tensor, Tensor]:
        """What the network sees at full size, and the frame that it changes."""
        blurred, undone, near = (pad(x.float(), self.multiple) for x in (blurred, undone, near))
        return self._told(blurred - _local_mean(blurred), undone, near), blurred + undone[:, :1]

    def _present(self, seen: Tensor, change: Tensor) -> Tensor:
        cell = self.spec.unshuffle
        # Pixels are folded into channels by the convolution itself: a step of its own would take as long again.
        weight = self.present.weight.view(-1, SEEN, cell, cell, 3, 3).permute(0, 1, 4, 2, 5, 3)
        weight = weight.flatten(4, 5).flatten(2, 3)
        return F.conv2d(self._told(seen, change), weight, stride=cell, padding=cell)

    def _told(self, *parts: Tensor) -> Tensor:
        """Pictures (B,C,H,W) as the channels of one, as the first convolution takes it."""
        dtype, layout = self.present.weight.dtype, torch.channels_last
        return torch.cat([part.to(dtype, memory_format=layout) for part in parts], 1)


def news(frame: Tensor, other: Tensor, way: Tensor, back: Tensor) -> Tensor:
    """How another frame of the clip differs from this one, once brought to where this one's things are.

    Args:
        frame, other: (3,H,W).
        way, back: (2,H,W), the flow from the frame to the other, and from the other to the frame.

    Returns:
        (3,H,W), 0 where the two flows contradict one another.
    """
    return (warp(other, way) - frame) * visible(way, back)


def _halved(x: Tensor) -> Tensor:
    """The means of 2x2 pixels, in a fraction of the time that pooling takes on a CPU."""
    return F.interpolate(x, scale_factor=0.5, mode="bilinear")


def _local_mean(frame: Tensor) -> Tensor:
    coarse = F.avg_pool2d(frame, LOCAL)
    return F.interpolate(coarse, scale_factor=float(LOCAL), mode="bilinear")
