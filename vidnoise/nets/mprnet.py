"""MPRNet: a first stage makes the whole picture, and hands on to a second what that picture shows to be worth keeping.

Zamir, Arora, Khan, Hayat, Khan, Yang, Shao, "Multi-Stage Progressive Image Restoration", CVPR 2021; small, without biases,
and of two stages. The first is a U-Net, which sees far around, the second residual groups, which keep the detail. Both work
on pixels folded 2 by 2, so that the features of one are added to those of the other as they are, and on the whole picture,
not on patches of it. No block weighs its channels by their means over the picture: what is far away changes nothing.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .body import body
from .padding import crop, pad
from .residual import conv3, start_small
from .spatial import Picture, PictureDenoiser, Present, noise_level
from .tiers import GroupsSpec, UNetSpec

UNSHUFFLE, WIDTH = 2, 32
WIDE = UNetSpec(UNSHUFFLE, channels=(WIDTH, 48, 64), encoder=(0, 1, 2), decoder=(1, 1))
FINE = GroupsSpec(UNSHUFFLE, WIDTH, groups=3, blocks=2)


class Stage(nn.Module):
    """From a picture, and what is known of it, to features and a better picture.

    Args:
        spec: of its body.
        told: channels that are told of the picture.
    """

    def __init__(self, spec: UNetSpec | GroupsSpec, told: int) -> None:
        super().__init__()
        self.present = Present(UNSHUFFLE, WIDTH, told)
        self.body = body(spec)
        self.picture = Picture(UNSHUFFLE, WIDTH)

    def forward(self, frame: Tensor, told: Tensor, handed: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """A padded frame (B,3,H,W), what is told of it and handed on, both (B,C,H/u,W/u) -> features, and (B,3,H,W)."""
        seen = self.present(frame, told)
        features = self.body(seen if handed is None else seen + handed)
        return features, frame + self.picture(features)


class SupervisedAttention(nn.Module):
    """Adds to a stage's features what it finds in them, as far as the picture that was made of them lets it through."""

    def __init__(self) -> None:
        super().__init__()
        self.find = conv3(WIDTH, WIDTH)
        self.judge = conv3(3 * UNSHUFFLE**2, WIDTH)
        start_small(self.find.weight)

    def forward(self, features: Tensor, picture: Tensor) -> Tensor:
        """(B,C,H/u,W/u) and (B,3,H,W) -> (B,C,H/u,W/u)."""
        seen = F.pixel_unshuffle(picture, UNSHUFFLE).to(self.judge.weight.dtype)
        share = torch.sigmoid(self.judge(seen.contiguous(memory_format=torch.channels_last)))
        found: Tensor = self.find(features)
        return features + share * found


class Stages(nn.Module):
    """The two stages.

    Args:
        told: see `Stage`.
    """

    def __init__(self, told: int) -> None:
        super().__init__()
        self.wide, self.fine = Stage(WIDE, told), Stage(FINE, told)
        self.attention = SupervisedAttention()

    def forward(self, frame: Tensor, told: Tensor) -> tuple[Tensor, Tensor]:
        """A padded frame (B,3,H,W), and what is told of it (B,C,H/u,W/u) -> what each stage makes of it (B,3,H,W)."""
        features, first = self.wide(frame, told)
        _, second = self.fine(frame, told, self.attention(features, first))
        return first, second


class MPRNet(PictureDenoiser):
    """Noise of a known level."""

    multiple = WIDE.multiple

    def __init__(self) -> None:
        super().__init__()
        self.stages = Stages(3)

    def forward(self, noisy: Tensor, sigma: Tensor) -> Tensor:
        """See `PictureDenoiser`."""
        return self.both(noisy, sigma)[1]

    def both(self, noisy: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """The clean picture (B,3,H,W) as the first stage makes it, and as the second does."""
        frame = pad(noisy.float(), self.multiple)
        first, second = self.stages(frame, noise_level(sigma, frame, UNSHUFFLE))
        return crop(first, *noisy.shape[-2:]), crop(second, *noisy.shape[-2:])


class MPRNetDeblurrer(nn.Module):
    """The blur of motion in single pictures, of which it is told what undoing the likely motion changes."""

    def __init__(self) -> None:
        super().__init__()
        self.stages = Stages(2 * UNSHUFFLE**2)

    def forward(self, blurred: Tensor, undone: Tensor) -> Tensor:
        """(B,3,H,W), nominal [0,1], and (B,2,H,W) as `deconvolution.deconvolve` gives it -> (B,3,H,W), float32."""
        return self.both(blurred, undone)[1]

    def both(self, blurred: Tensor, undone: Tensor) -> tuple[Tensor, Tensor]:
        """The sharp picture (B,3,H,W) as the first stage makes it, and as the second does."""
        frame, told = (pad(x.float(), WIDE.multiple) for x in (blurred, undone))
        first, second = self.stages(frame, F.pixel_unshuffle(told, UNSHUFFLE))
        return crop(first, *blurred.shape[-2:]), crop(second, *blurred.shape[-2:])
