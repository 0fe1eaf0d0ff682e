"""One frame and a map of its noise level in, the clean frame out."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .padding import crop, extend, pad
from .tiers import Tier
from .unet import UNet, conv3


class Present(nn.Module):
    """The first convolution: the unshuffled frame and its noise level become features."""

    def __init__(self, unshuffle: int, channels: int) -> None:
        super().__init__()
        self.unshuffle = unshuffle
        self.conv = conv3(3 * unshuffle**2 + 3, channels)
        nn.init.kaiming_normal_(self.conv.weight, nonlinearity="linear")

    def forward(self, noisy: Tensor, level: Tensor) -> Tensor:
        """Frame (B,3,H,W) and noise level (B,3,H/u,W/u) -> (B,C,H/u,W/u)."""
        x = torch.cat([F.pixel_unshuffle(noisy, self.unshuffle), level], 1).to(self.conv.weight.dtype)
        return self.conv(x.contiguous(memory_format=torch.channels_last))  # type: ignore[no-any-return]


def noise_level(sigma: Tensor, frame: Tensor, cell: int) -> Tensor:
    """The mean noise level (B,3,H/cell,W/cell) in the cells of a padded frame (B,3,H,W).

    `sigma` is of the frame's size before padding, or broadcastable to it.
    """
    count, channels, height, width = frame.shape
    if sigma.shape[-2:] == (1, 1):
        return sigma.float().expand(count, channels, height // cell, width // cell)
    return F.avg_pool2d(extend(sigma.float(), height, width), cell).expand(count, channels, -1, -1)


class Picture(nn.Module):
    """The last convolution: features become what is added to the noisy frame."""

    def __init__(self, unshuffle: int, channels: int) -> None:
        super().__init__()
        self.unshuffle = unshuffle
        self.conv = conv3(channels, 3 * unshuffle**2)
        with torch.no_grad():
            self.conv.weight.mul_(0.1)  # an untrained network returns about what it was given

    def forward(self, x: Tensor) -> Tensor:
        """(B,C,H/u,W/u) -> (B,3,H,W), float32."""
        return F.pixel_shuffle(self.conv(x).float(), self.unshuffle)


class SpatialDenoiser(nn.Module):
    """Removes noise of a known level from single pictures."""

    def __init__(self, tier: Tier) -> None:
        super().__init__()
        self.tier = tier
        first = tier.unet.channels[0]
        self.present = Present(tier.unet.unshuffle, first)
        self.body = UNet(tier.unet)
        self.picture = Picture(tier.unet.unshuffle, first)

    def forward(self, noisy: Tensor, sigma: Tensor) -> Tensor:
        """Clean a batch of pictures.

        Args:
            noisy: (B,3,H,W), any size, nominal [0,1], not clipped.
            sigma: (B,3,H,W) or broadcastable to it: the noise's standard deviation, on the scale of `noisy`.

        Returns:
            (B,3,H,W), float32.
        """
        height, width = noisy.shape[-2:]
        multiple = self.tier.unet.multiple
        frame = pad(noisy.float(), multiple)
        x = self.present(frame, noise_level(sigma, frame, self.tier.unet.unshuffle))
        return crop(frame + self.picture(self.body(x)), height, width)
