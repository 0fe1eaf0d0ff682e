"""Shrinking the noise that is left in a picture, in 8x8 cosine transforms: each coefficient by what is known of it.

The best linear estimate of a coefficient needs its power without the noise. A model of the clean picture tells that roughly
(BM3D's second step: Dabov, Foi, Katkovnik, Egiazarian, "Image denoising by sparse 3-D transform-domain collaborative
filtering", IEEE TIP 2007); a small network corrects it by all of the block and of those beside it.
"""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING

from vidnoise import dct
from vidnoise.fusion import Look
from vidnoise.strips import in_strips

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch
    from torch import Tensor

    Gains = Callable[..., Tensor]

WEIGHTS = "shrinkage"
"""The name of the network's."""
HALF = dct.BLOCK // 2
SURE = 2.7
"""A coefficient this many deviations from zero is no noise."""


def shrink(noisy: Look, model: Tensor | None) -> Tensor:
    """Remove the noise from pictures (C,H,W).

    Args:
        noisy: the pictures, and what noise they have.
        model: (C,H,W), about what they are without it, such as the last result, brought here; None takes what surely is no
            noise.

    Returns:
        (C,H,W).
    """
    import torch

    from vidnoise.nets import load

    network, height = load(WEIGHTS, noisy.picture.device, torch.float32), noisy.picture.shape[1]
    if model is None:
        model = in_strips(noisy.picture, lambda lines: shrunk(sure, noisy, None, lines))

    def work(lines: slice) -> Tensor:
        # With the blocks above and below, which the network looks at.
        wide = slice(max(lines.start - dct.BLOCK, 0), min(lines.stop + dct.BLOCK, height))
        return shrunk(network, noisy, model, wide)[:, lines.start - wide.start : lines.stop - wide.start]

    return in_strips(noisy.picture, work)


def shrunk(gains: Gains, noisy: Look, model: Tensor | None, lines: slice) -> Tensor:
    """Some lines (C,h,W) of pictures whose coefficients are multiplied by gains.

    Two grids of blocks, half a block apart in both directions, are cleaned and averaged, so that none of them shows.

    Args:
        gains: `nets.shrinkage.Shrinkage`, or without a model `sure`.
        noisy, model: as for `shrink`.
        lines: from and to a multiple of 8.
    """
    pictures = [noisy.picture] if model is None else [noisy.picture, model]
    rows = slice(lines.start // dct.BLOCK, lines.stop // dct.BLOCK)
    one = _multiplied(gains, [p[:, lines] for p in pictures], noisy.variance[:, :, rows])
    other = _multiplied(gains, [_wider(p, lines) for p in pictures], _between(noisy.variance, rows))
    return _blended(one, other[:, HALF:-HALF, HALF:-HALF])


def estimated(power: Tensor, model: Tensor) -> Tensor:
    """Power without noise, as a ratio to the noise's: a coefficient's own where that surely is none, else the model's."""
    import torch

    # As a float at once, and by this rather than `where`, which takes ten times as long.
    known = torch.gt(power, SURE**2, out=torch.empty_like(power))
    return model.lerp(power, known)


def sure(noisy: Tensor, variance: Tensor) -> Tensor:
    """Gains (N,64,h,w) that leave what surely is no noise: for a first model where there is none."""
    power = noisy.square()
    power.mul_((SURE**2 * variance).lt_(power))
    return power.div_(power + variance)


def _multiplied(gains: Gains, pictures: list[Tensor], variance: Tensor) -> Tensor:
    """The first picture, block by block; the mean of a block is kept."""
    noisy, *model = (dct.forward(picture) for picture in pictures)
    clean = gains(noisy, *model, variance) * noisy
    clean[:, 0] = noisy[:, 0]
    return dct.inverse(clean)


def _blended(one: Tensor, other: Tensor) -> Tensor:
    """Two pictures (C,H,W) of blocks, the other's half a block aside, each weighing most in the middle of its blocks."""
    count, height, width = one.shape
    cells = [
        p.view(count, height // dct.BLOCK, dct.BLOCK, width // dct.BLOCK, dct.BLOCK) for p in (one, other)
    ]
    return cells[0].lerp(cells[1], _weight(one.device)).view_as(one)


@cache
def _weight(device: torch.device) -> Tensor:
    """(8,1,8): the other's weight in the first's blocks."""
    import torch

    middle = ((torch.arange(dct.BLOCK, device=device) + 0.5) * (math.pi / dct.BLOCK)).sin().sqrt()
    own = middle[:, None, None] * middle
    aside = own.roll((HALF, HALF), (0, 2))
    return aside / (own + aside)


def _wider(image: Tensor, lines: slice) -> Tensor:
    """Some lines (C,h,W) with half a block more on each side: (C,h+8,W+8)."""
    import torch.nn.functional as F

    above, below = min(HALF, lines.start), min(HALF, image.shape[1] - lines.stop)
    inside = image[None, :, lines.start - above : lines.stop + below]
    return F.pad(inside, (HALF, HALF, HALF - above, HALF - below), mode="replicate")[0]


def _between(values: Tensor, rows: slice) -> Tensor:
    """The means at the corners of some rows of blocks: (C,64,h,w) -> (C,64,h+1,w+1)."""
    import torch.nn.functional as F

    first = max(rows.start - 1, 0)
    means = F.avg_pool2d(values[:, :, first : rows.stop + 1], 2, 1, 1, count_include_pad=False)
    return means[:, :, rows.start - first : rows.stop + 1 - first]
