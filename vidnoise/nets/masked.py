"""A light network draws where the noise is, and a U-Net cleans what it is shown there.

The mask is soft: 0 where the picture is clean, towards 1 the further a pixel is from its clean value. It goes into the
U-Net beside the picture, and at each scale it weighs what the coarser one adds: where a pixel is lost, what surrounds
it decides, elsewhere its own features pass. What the U-Net finds is added to the picture.
"""

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .padding import crop, pad
from .residual import groups
from .spatial import Picture, PictureDenoiser, Present
from .tiers import GroupsSpec, UNetSpec
from .unet import UNet

SPEC = UNetSpec(unshuffle=2, channels=(32, 48, 64), encoder=(1, 1, 2), decoder=(0, 1))
FINEST = GroupsSpec(unshuffle=2, width=32, groups=4, blocks=3)
"""What decodes the first level, where most is to be learned."""
DRAWN = 24
"""Channels of the network that draws the mask."""
HALF = 20 / 255
"""How far a pixel is off where the mask is a half, on the scale of the picture."""


class MaskedUNet(UNet):
    """A U-Net whose scales are weighed by a mask."""

    def __init__(self) -> None:
        super().__init__(SPEC)
        self.decoder[0] = groups(FINEST)  # in place of the blocks that SPEC leaves out

    def fuse(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B,C,H,W), and the mask (B,1,H,W) at the same size -> (B,C,H,W)."""
        skips = []
        for level, down in zip(self.encoder, self.downs, strict=False):
            x = level(x)
            skips.append((x, mask))
            x, mask = down(x), F.avg_pool2d(mask, 2)
        x = self.encoder[-1](x)
        for up, level, (skip, share) in zip(
            reversed(self.ups), reversed(self.decoder), reversed(skips), strict=True
        ):
            x = level(skip + share * up(x))
        return x


class Masked(PictureDenoiser):
    """Noise that is not everywhere alike: impulses, and mixtures of kinds."""

    blind: ClassVar[bool] = True
    multiple = SPEC.multiple

    def __init__(self) -> None:
        super().__init__()
        unshuffle, first = SPEC.unshuffle, SPEC.width
        self.draw = nn.Sequential(
            nn.Conv2d(3 * unshuffle**2, DRAWN, 3, 1, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(DRAWN, DRAWN, 3, 1, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(DRAWN, unshuffle**2, 3, 1, 1),
        )
        self.present = Present(unshuffle, first, told=unshuffle**2)
        self.body = MaskedUNet()
        self.picture = Picture(unshuffle, first)

    def forward(self, noisy: Tensor, sigma: Tensor) -> Tensor:
        """See `PictureDenoiser`; sigma is not read."""
        return self.clean(noisy, torch.sigmoid(self.logits(noisy)))

    def logits(self, noisy: Tensor) -> Tensor:
        """(B,3,H,W) -> (B,1,H,W), whose sigmoid is the mask."""
        x = F.pixel_unshuffle(pad(noisy.float(), self.multiple), SPEC.unshuffle)
        x = x.to(self.present.conv.weight.dtype).contiguous(memory_format=torch.channels_last)
        return crop(F.pixel_shuffle(self.draw(x).float(), SPEC.unshuffle), *noisy.shape[-2:])

    def clean(self, noisy: Tensor, mask: Tensor) -> Tensor:
        """(B,3,H,W) and a mask (B,1,H,W), 0..1 -> (B,3,H,W)."""
        frame, where = (pad(x.float(), self.multiple) for x in (noisy, mask))
        x = self.present(frame, F.pixel_unshuffle(where, SPEC.unshuffle))
        x = self.body.fuse(x, F.avg_pool2d(where, SPEC.unshuffle).to(x.dtype))
        return crop(frame + self.picture(x), *noisy.shape[-2:])


def truth(noisy: Tensor, clean: Tensor) -> Tensor:
    """The mask (B,1,H,W) that should have been drawn: 0 where nothing is off, a half at `HALF`."""
    off = (noisy - clean).abs().amax(1, keepdim=True)
    return off / (off + HALF)
