"""Noise that was cut off at black and white: its mean is off, and a good denoiser finds just that mean.

Where a picture x carries white noise of deviation s and is clipped at 0, its mean is s * (z F(z) + f(z)) with z = x/s and
f, F the normal density and distribution (A. Foi, "Clipped noisy images: heteroskedastic modeling and practical
denoising", Signal Processing 2009). Dark areas come out too light, and light ones too dark.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vidnoise import dct
from vidnoise.scaling import means_around
from vidnoise_filters.level import in_blocks, is_cut_off, noise_grid, noise_level

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from vidnoise.frame import Frame

AT_ZERO = 0.4
"""The mean of the noise alone, clipped at zero, in deviations: 1 / sqrt(2 pi)."""
FALL = 2.3
"""How fast the excess falls with the mean, both in deviations: within 0.01 of the true curve."""
FEW = 8
"""Areas where one in this many samples is cut off are corrected whole, those with fewer in part."""
LEAST = 0.2
"""Areas with a smaller share of the correction have none: it would be a tenth of an 8-bit step at a deviation of 30."""
REACH = 2.5
"""Deviations from black and white at which the noise is whole."""


def unclip(clean: Tensor, frame: Frame, sigma: float, amount: float) -> Tensor:
    """Undo the shift in a denoised picture (3,H,W) of a frame, which may be changed in place. See `unclipping`."""
    correct = unclipping(frame, sigma, amount)
    if correct is None:
        return clean
    whole = in_blocks(clean).contiguous()
    return correct(whole, slice(0, whole.shape[1]))[:, : frame.height, : frame.width]


def unclipping(frame: Frame, sigma: float, amount: float) -> Callable[[Tensor, slice], Tensor] | None:
    """What undoes the shift in some lines of a denoised picture; None where the frame has no samples at 0 or 1.

    Args:
        frame: the noisy picture, which tells where samples were cut off, and its noise estimate.
        sigma: in 8-bit steps; 0 for the estimate.
        amount: 1 where the noise was removed whole, 0 where it was left.

    Returns:
        A function of whole 8x8 blocks (3,h,w) of the local mean of the frame, which it changes in place and gives back,
        and of which lines they are.
    """
    import torch

    if amount == 0 or not is_cut_off(frame):
        return None
    reach = min(REACH * noise_level(frame, sigma) / 255, 0.5)
    levels = torch.tensor([reach, 1 - reach], device=frame.device).repeat(3, 1, 1)
    dark, light = noise_grid(frame, sigma, levels).mul(amount).clamp(min=1e-6).chunk(2, 2)
    at_black, at_white = (_share(frame.image, at) for at in (0, 1))

    def correct(clean: Tensor, lines: slice) -> Tensor:
        rows, cells = slice(lines.start // dct.BLOCK, lines.stop // dct.BLOCK), dct.cells(clean)
        for share, deviation, turn in ((at_black[:, rows], dark, False), (at_white[:, rows], light, True)):
            _shift(cells, share, deviation, turn)
        return clean

    return correct


def _shift(cells: Tensor, share: Tensor, deviation: Tensor, turn: bool) -> None:
    """Correct the blocks (3,h,w,8,8) of which a share (3,h,w) lies at black, or with `turn` at white."""
    where = (share > LEAST).nonzero(as_tuple=True)
    some = cells[where]
    excess = _excess(1 - some if turn else some, deviation[where[0]]).mul_(share[where][:, None, None])
    cells[where] = some.add_(excess, alpha=1 if turn else -1)


def _excess(mean: Tensor, deviation: Tensor) -> Tensor:
    """By how much a clipped mean lies above what it is the mean of; all of it below the mean of pure noise."""
    import torch

    excess = (mean * (-FALL / deviation)).add_(FALL * AT_ZERO).exp_().mul_(AT_ZERO * deviation)
    return torch.minimum(excess, mean).clamp_(min=0)


def _share(image: Tensor, limit: int) -> Tensor:
    """How far each 8x8 block is affected, 0 to 1, from where samples lie at black (0) or white (1) or beyond."""
    import torch
    import torch.nn.functional as F

    step = 2  # a quarter of the samples tells as much
    seen = image[:, ::step, ::step]
    cut = (seen <= 0 if limit == 0 else seen >= 1).to(torch.float32)
    share = F.avg_pool2d(cut, dct.BLOCK // step, ceil_mode=True)
    return means_around(share).mul_(FEW).clamp_(max=1)
