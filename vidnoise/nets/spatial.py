"""One frame and a map of its noise level in, the clean frame out."""

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .body import body
from .padding import crop, extend, pad
from .residual import conv3
from .tiers import Tier


class Present(nn.Module):
    """The first convolution: the unshuffled frame and its noise level become features.

    Args:
        unshuffle: pixels are folded into channels by this factor a side.
        channels: of the features.
        told: channels of the noise level, or of what else is told of the frame.
    """

    def __init__(self, unshuffle: int, channels: int, told: int = 3) -> None:
        super().__init__()
        self.unshuffle = unshuffle
        self.conv = conv3(3 * unshuffle**2 + told, channels)
        nn.init.kaiming_normal_(self.conv.weight, nonlinearity="linear")

    def forward(self, noisy: Tensor, level: Tensor) -> Tensor:
        """Frame (B,3,H,W) and noise level (B,3,H/u,W/u) -> (B,C,H/u,W/u)."""
        x = torch.cat([part.to(self.conv.weight.dtype) for part in (self.fold(noisy), level)], 1)
        return self.conv(x.contiguous(memory_format=torch.channels_last))  # type: ignore[no-any-return]

    def fold(self, noisy: Tensor) -> Tensor:
        """(B,3,H,W) -> (B,3uu,H/u,W/u)."""
        return F.pixel_unshuffle(noisy, self.unshuffle)


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
        return self.unfold(self.conv(x).contiguous().float())  # channels that lie side by side take longer

    def unfold(self, x: Tensor) -> Tensor:
        """(B,3uu,H/u,W/u) -> (B,3,H,W)."""
        return F.pixel_shuffle(x, self.unshuffle)


class PictureDenoiser(nn.Module):
    """Removes noise from single pictures: `forward(noisy, sigma) -> clean`.

    noisy: (B,3,H,W), any size, nominal [0,1], not clipped. sigma: (B,3,H,W) or broadcastable to it: the noise's
    standard deviation, on the scale of `noisy`. clean: (B,3,H,W), float32.

    Attributes:
        blind: whether it finds out by itself how much noise there is, and leaves sigma unread.
        multiple: height and width are padded to multiples of this.
    """

    blind: ClassVar[bool] = False
    multiple: int = 1


class Folded(PictureDenoiser):
    """A body that works on folded pixels and the noise level; what it finds is added to the noisy picture.

    Args:
        present: from a picture and its noise level to features.
        body: from features to features.
        picture: from features to what is added.
        multiple: see `PictureDenoiser`.
    """

    def __init__(self, present: Present, body: nn.Module, picture: nn.Module, multiple: int) -> None:
        super().__init__()
        self.present, self.body, self.picture, self.multiple = present, body, picture, multiple

    def forward(self, noisy: Tensor, sigma: Tensor) -> Tensor:
        """See `PictureDenoiser`."""
        frame = pad(noisy.float(), self.multiple)
        level = noise_level(sigma, frame, self.present.unshuffle)
        return crop(frame + self.change(frame, level), *noisy.shape[-2:])

    def change(self, frame: Tensor, told: Tensor) -> Tensor:
        """What is added to a padded frame (B,3,H,W), of which (B,C,H/u,W/u) is told."""
        change: Tensor = self.picture(self.body(self.present(frame, told)))
        return change


class SpatialDenoiser(Folded):
    """Removes noise of a known level from single pictures."""

    def __init__(self, tier: Tier) -> None:
        spec = tier.denoise
        present, picture = Present(spec.unshuffle, spec.width), Picture(spec.unshuffle, spec.width)
        super().__init__(present, body(spec), picture, spec.multiple)
        self.tier = tier
