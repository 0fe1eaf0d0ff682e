"""Noise that was cut off at black and white: its mean is off, and a good denoiser finds just that mean.

Where a picture x carries white noise of deviation s and is clipped at 0, its mean is s * (z F(z) + f(z)) with z = x/s and
f, F the normal density and distribution (A. Foi, "Clipped noisy images: heteroskedastic modeling and practical
denoising", Signal Processing 2009). Dark areas come out too light, and light ones too dark.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vidnoise_filters.level import noise_grid, noise_level

if TYPE_CHECKING:
    from torch import Tensor

    from vidnoise.frame import Frame

BLOCK = 8
AT_ZERO = 0.4
"""The mean of the noise alone, clipped at zero, in deviations: 1 / sqrt(2 pi)."""
FALL = 2.3
"""How fast the excess falls with the mean, both in deviations: within 0.01 of the true curve."""
FEW = 8
"""Areas where one in this many samples is cut off are corrected whole, those with fewer in part."""
REACH = 2.5
"""Deviations from black and white at which the noise is whole."""


def unclip(clean: Tensor, frame: Frame, sigma: float, amount: float) -> Tensor:
    """Undo the shift in a denoised picture (3,H,W) of a frame; itself where the frame has no samples at 0 or 1.

    Args:
        clean: the local mean of the frame.
        frame: the noisy picture, which tells where samples were cut off, and its noise estimate.
        sigma: in 8-bit steps; 0 for the estimate.
        amount: 1 where the noise was removed whole, 0 where it was left.
    """
    import torch

    if amount == 0:
        return clean
    sample = frame.image[:, ::4, ::4]
    if not bool(((sample <= 0) | (sample >= 1)).any()):
        return clean
    reach = min(REACH * noise_level(frame, sigma) / 255, 0.5)
    levels = torch.tensor([reach, 1 - reach], device=clean.device).repeat(3, 1, 1)
    dark, light = noise_grid(frame, sigma, levels).mul(amount).clamp(min=1e-6).chunk(2, 2)
    clean = clean - _excess(clean, dark) * _share(frame.image <= 0)
    return clean + _excess(1 - clean, light) * _share(frame.image >= 1)


def _excess(mean: Tensor, deviation: Tensor) -> Tensor:
    """By how much a clipped mean lies above what it is the mean of; all of it below the mean of pure noise."""
    import torch

    excess = (mean * (-FALL / deviation)).add_(FALL * AT_ZERO).exp_().mul_(AT_ZERO * deviation)
    return torch.minimum(excess, mean).clamp_(min=0)


def _share(cut: Tensor) -> Tensor:
    """How far an area is affected, 0 to 1, from where samples (3,H,W) are cut off."""
    import torch.nn.functional as F

    height, width = cut.shape[1:]
    share = F.avg_pool2d(cut.float(), BLOCK, ceil_mode=True)
    share = F.avg_pool2d(share, 3, 1, 1, count_include_pad=False).mul_(FEW).clamp_(max=1)
    return F.interpolate(share[None], scale_factor=BLOCK, mode="nearest")[0, :, :height, :width]
