"""The spatial network behind a fusion over time: it sees what was averaged along the motion, and the frame itself."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .. import dct
from ..fusion import BANDS, Look, band_means, mix
from .body import body
from .padding import crop, extend, pad
from .residual import conv3
from .rounded import told
from .spatial import Picture, Present
from .tiers import Tier


class TemporalDenoiser(nn.Module):
    """Removes noise of a known level from frames that were averaged with their past.

    The average is what is cleaned, like a single picture with less noise; the frame itself and what the average says of its
    noise tell where the motion was missed.
    """

    def __init__(self, tier: Tier) -> None:
        super().__init__()
        self.tier = tier
        first, unshuffle = tier.denoise.width, tier.denoise.unshuffle
        self.present = Present(unshuffle, first)
        self.doubt = conv3(3 * unshuffle**2 + 3 + 3 * len(BANDS), first)
        with torch.no_grad():
            self.doubt.weight.mul_(0.3)
        self.body = body(tier.denoise)
        self.picture = Picture(unshuffle, first)

    def forward(self, fused: Tensor, left: Tensor, noisy: Tensor, sigma: Tensor, bands: Tensor) -> Tensor:
        """Clean frames.

        Args:
            fused: (B,3,H,W), any size, nominal [0,1]: the average over time.
            left: (B,3,h,w), the standard deviation of the noise in it, by 8x8 blocks.
            noisy: (B,3,H,W), the frames themselves, not clipped.
            sigma: (B,3,h,w), the standard deviation of their noise, by 8x8 blocks.
            bands: (B,9,h,w), the deviation in `fused` by frequency; see `bands_of`.

        Returns:
            (B,3,H,W), float32.
        """
        height, width = fused.shape[-2:]
        multiple, cell = self.tier.denoise.multiple, self.tier.denoise.unshuffle
        frame, raw = pad(fused.float(), multiple), pad(noisy.float(), multiple)
        rows, columns = frame.shape[-2] // cell, frame.shape[-1] // cell
        level, noise, spread = (_to_cells(v, cell, rows, columns) for v in (left, sigma, bands))
        dtype = self.doubt.weight.dtype
        seen = (F.pixel_unshuffle(raw - frame, cell), noise, spread)
        doubt = torch.cat([part.to(dtype) for part in seen], 1).contiguous(memory_format=torch.channels_last)
        x = self.present(frame, level).add_(self.doubt(doubt))
        with told(lambda: _deviation(sigma, left, bands)):
            x = self.body(x)
        return crop(frame + self.picture(x), height, width)


def _deviation(sigma: Tensor, left: Tensor, bands: Tensor) -> float:
    """Of the noise in the strongest colour and frequencies: gray noise adds up in the brightness."""
    colour = bands.mean((0, 2, 3)).amax() / left.mean().clamp(min=1e-9)
    return float(sigma.mean() * colour.clamp(min=1))


def _to_cells(values: Tensor, cell: int, rows: int, columns: int) -> Tensor:
    # Values of 8x8 blocks for the cells of the network, linearly in between: it brings each step of the noise into the
    # picture. The last ones go on where the picture was padded.
    grown = F.interpolate(values, scale_factor=dct.BLOCK / cell, mode="bilinear", align_corners=False)
    return extend(grown[..., :rows, :columns], rows, columns)


def bands_of(look: Look, matrix: Tensor) -> tuple[Tensor, Tensor]:
    """What noise a fused picture of opponent colours has left.

    Args:
        look: the picture (3,H,W) and the variance of its noise (3,64,h,w).
        matrix: (3,3), from RGB to those colours, orthonormal.

    Returns:
        The standard deviation of R, G and B (3,h,w), and of the three opponent colours in each of the `BANDS` (9,h,w).
    """
    variance = look.variance
    whole = mix(variance.mean(1), matrix.T.square()).clamp(min=0).sqrt()
    return whole, band_means(variance).clamp(min=0).sqrt().flatten(0, 1)
