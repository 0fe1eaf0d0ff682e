"""Averaging over time along the motion, frequency by frequency: a Kalman filter on 8x8 cosine transforms.

Two sights of one thing are averaged where they differ by no more than their noise, and the surer one is kept where
they differ by more: at errors of the flow and at uncovered areas. What noise is left is known by block and frequency
(near Arias and Morel, "Kalman filtering of patches for frame-recursive video denoising", NTIRE 2019).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

from vidnoise import dct
from vidnoise.flow import warp
from vidnoise.light import lines
from vidnoise.scaling import area_means, means_around
from vidnoise.stillness import Watch, standing, watch

if TYPE_CHECKING:
    import torch
    from torch import Tensor


TOLERATED = 3.0
"""Blocks that differ by up to this many times the power of their noise may show the same thing, not quite aligned."""

COARSE = (0, 1, 8)
"""The mean of a block and its slopes across and down: what was uncovered differs most in these."""

ALIKE, BY_CHANCE = 1.6, 3.0
"""They may differ by up to so many times the power of their noise, over all channels: in 3x3 blocks, in one by itself."""

STRICT = 3.0
"""By how much more a difference of these counts: between two textures noise hides that they are not the same."""

SLACK = 0.3
"""By how much the power of a difference may exceed the noise's by chance: two deviations of its measure. Where nothing
moves this much is not counted; counted, it ends the memory after ten frames or so."""


BANDS = ((0, 2), (3, 5), (6, 14))
"""Sums of the two frequency indexes: the spectrum of noise is told by these."""

COARSE_FROM = 2.0
"""How many times the power of the middle band the lowest may have in fine noise, of which a codec takes the detail."""

COARSEST = 8.0
"""How many times the power of the lowest band the mean of a block may have: a camera's colour noise has 3 to 12 times."""


@dataclass(frozen=True)
class Look:
    """One sight of C channels (C,H,W), H and W multiples of 8, and the variance of its noise by 8x8 blocks.

    The variance is (C,64,h,w), a frequency each, or (C,1,h,w) for white noise.
    """

    picture: Tensor
    variance: Tensor


def look(picture: Tensor, variance: Tensor) -> Look:
    """A frame (C,H,W) with noise of variance (C,64,h,w) or, if white, (C,h,w), as the first or the surer of two sights."""
    import torch

    whole = variance if variance.ndim == 4 else variance[:, None].expand(-1, dct.BLOCK**2, -1, -1)
    return Look(picture, whole.contiguous(memory_format=torch.channels_last))


def lasted(sight: Look, variance: Tensor, share: float) -> Look:
    """A sight whose noise is more by a share of some variance, which went along with what moves and was not averaged."""
    return Look(sight.picture, sight.variance.add(variance, alpha=share)) if share else sight


def coloured(level: Tensor, spectrum: Tensor, matrix: Tensor) -> Tensor:
    """The variance of noise in opponent colours, by frequency.

    Args:
        level: (3,h,w), its standard deviation in R, G and B by 8x8 blocks.
        spectrum: (3,64), the power of each opponent colour by frequency, 1 where it is that of white noise that is
            independent in R, G and B.
        matrix: (3,3), from RGB to those colours, orthonormal.

    Returns:
        (3,64,h,w).
    """
    whole = mix(level.square(), matrix.square())[..., None] * spectrum[:, None, None]
    return whole.permute(0, 3, 1, 2)  # frequencies side by side, as `dct` has them


def halved(picture: Tensor, level: Tensor, spectrum: Tensor) -> tuple[Look, Look]:
    """Luma, and chroma at half the size, where that shows as much.

    Args:
        picture: (3,H,W) in opponent colours, H and W multiples of 16.
        level: (3,h,w), the variance of the noise by 8x8 blocks.
        spectrum: (3,64), as `coloured` takes it.
    """
    power = spectrum[:, :, None, None]
    half = area_means(level[1:], 2)[:, None] / 4
    luma = look(picture[:1], level[:1, None] * power[:1])
    return luma, look(area_means(picture[1:], 2), half * power[1:, _halved(level.device)])


@cache
def _halved(device: torch.device) -> Tensor:
    """(64,): the frequency that each of a halved picture has in the whole one."""
    import torch

    step = torch.arange(dct.BLOCK, device=device) // 2
    return (step[:, None] * dct.BLOCK + step).flatten()


def by_frequency(spectrum: Tensor) -> Tensor:
    """The power of noise by opponent colour and frequency (3,64), from that in the `BANDS` (3,3).

    Noise that has far more in the lowest band than in the next has more yet in the mean of a block.
    """
    power = spectrum @ band_of(spectrum.device)
    low, middle = spectrum[:, :2].clamp(min=1e-12).unbind(1)
    power[:, 0] *= (low / middle / COARSE_FROM).clamp(1, COARSEST)
    return power


def spectrum(noise: Tensor, level: Tensor, matrix: Tensor) -> Tensor:
    """The power (3,3), as `by_frequency` takes it, of noise that is known (3,H,W), of deviation `level` (3,h,w)."""
    whole = mix(level.square(), matrix.square()).mean((1, 2))[:, None]
    return band_power(noise, matrix) / whole.clamp(min=1e-12)


def band_power(noise: Tensor, matrix: Tensor) -> Tensor:
    """The power (3,3) of noise (3,H,W) in each opponent colour and band, without the means of blocks."""
    shares = band_of(noise.device).clone()
    shares[0, 0] = 0
    power = dct.forward(mix(noise, matrix)).square().mean((2, 3))
    return power @ (shares / shares.sum(1, keepdim=True)).T


def band_means(power: Tensor) -> Tensor:
    """Power by frequency (C,64,...) as its mean in each of the `BANDS` (C,3,...)."""
    import torch

    shares = band_of(power.device)
    return torch.einsum("bf,cf...->cb...", shares / shares.sum(1, keepdim=True), power)


@cache
def band_of(device: torch.device) -> Tensor:
    """(3,64): 1 where a frequency belongs to a band."""
    import torch

    order = dct.sums(device)
    return torch.stack([((order >= low) & (order <= high)).float() for low, high in BANDS])


def brightened(sight: Look, gain: Tensor | None) -> Look:
    """A sight in another light, so many times as bright, (h,1) by rows of blocks, which may go on below it."""
    if gain is None or bool((gain == 1).all()):
        return sight
    gain = gain[: sight.variance.shape[2]]
    return Look(
        sight.picture * lines(gain, sight.picture.shape[1], dct.BLOCK), sight.variance * gain.square()
    )


def recall(
    new: Look, past: Look, flow: Tensor, seen: Watch | None, gain: Tensor | None = None
) -> tuple[Look, Tensor, Watch]:
    """Average a frame with the past, which lies along a flow (2,H,W), or where it was if that is seen to stand still.

    Args:
        new: the frame.
        past: what is known of those before.
        flow: from the frame to the one before.
        seen: what the last call returned.
        gain: (h,1), how many times as bright the frame is as the one before, by rows of blocks; see `light.brightening`.

    Returns:
        What is now known, the past's share in it (C,64,h,w), and what to give as `seen` with the next frame.
    """
    moved = Look(warp(past.picture, flow, cubic=True), _moved_blocks(past.variance, flow))
    moved, past = brightened(moved, gain), brightened(past, gain)
    seen = watch(past, seen if seen is None else replace(seen, before=brightened(seen.before, gain)))
    still = standing(new, past, seen)
    if still is None:
        return *join(new, moved), seen
    return *join(new, _chosen(still, past, moved), SLACK * still[:, None]), seen


def _chosen(where: Tensor, one: Look, other: Look) -> Look:
    """The first sight in some blocks (1,h,w), the second elsewhere."""
    import torch

    pixels = where.repeat_interleave(dct.BLOCK, 1).repeat_interleave(dct.BLOCK, 2)
    picture = torch.where(pixels, one.picture, other.picture)
    return Look(picture, torch.where(where[:, None], one.variance, other.variance))


def join(sure: Look, doubtful: Look, slack: Tensor | None = None) -> tuple[Look, Tensor]:
    """Average two sights of one thing, the second as far as it differs from the first by no more than their noise.

    Args:
        sure: is taken where they differ.
        doubtful: the other.
        slack: as a share of the noise's power, (1,1,h,w): a difference that is larger by so much is still one of noise.

    Returns:
        The average, and the second's share in it (C,64,h,w).
    """
    # In place where it can be: there are many coefficients, and memory that is new takes longer than the sums.
    change = dct.forward(doubtful.picture - sure.picture)
    power = change.square()
    expected = sure.variance + doubtful.variance
    total = _local_mean(power)
    if slack is not None:
        total.addcmul_(slack, expected, value=-1)
    foreign = _foreignness(power.div_(expected))
    total.clamp_(min=expected.mul_(foreign))
    share = total.reciprocal_().mul_(sure.variance)
    picture = dct.inverse(change.mul_(share)).add_(sure.picture)
    return Look(picture, sure.variance.addcmul(sure.variance, share, value=-1)), share


def _foreignness(ratio: Tensor) -> Tensor:
    """By how much more than noise blocks differ as a whole (C,1,h,w), 1 where that may be the flow's small error.

    What was uncovered differs most in its low frequencies; the fine ones, where noise hides it, must not be taken either.

    Args:
        ratio: (C,64,h,w), the power of a difference to that of noise.
    """
    whole = means_around(ratio.mean(1))
    coarse = ratio[:, COARSE].mean((0, 1))[None]
    other = (means_around(coarse) - ALIKE).clamp(min=0) + (coarse - BY_CHANCE).clamp(min=0)
    return (1 + (whole - TOLERATED).clamp(min=0) + STRICT * other)[:, None]


def _moved_blocks(values: Tensor, flow: Tensor) -> Tensor:
    """What blocks (C,64,h,w) hold, taken along a flow (2,8h,8w) from the nearest block."""
    import torch

    count, depth, height, width = values.shape
    steps = area_means(flow, dct.BLOCK).div_(dct.BLOCK).round_().long()
    columns = (torch.arange(width, device=flow.device) + steps[0]).clamp_(0, width - 1)
    rows = (torch.arange(height, device=flow.device)[:, None] + steps[1]).clamp_(0, height - 1)
    flat = values.permute(0, 2, 3, 1).reshape(count, height * width, depth)
    moved = flat.index_select(1, (rows * width + columns).flatten())
    return moved.view(count, height, width, depth).permute(0, 3, 1, 2)


def _local_mean(power: Tensor) -> Tensor:
    """Over neighbouring frequencies and neighbouring blocks: one sample says little of a variance."""
    import torch.nn.functional as F

    return F.avg_pool2d(
        dct.multiplied(power, _frequency_mean(power.device)), 3, 1, 1, count_include_pad=False
    )


@cache
def _frequency_mean(device: torch.device) -> Tensor:
    """(64,64): each frequency's power averaged with its neighbours."""
    import torch

    steps = torch.arange(dct.BLOCK)
    near = ((steps[:, None] - steps).abs() <= 1).float()
    weights = torch.kron(near, near)
    weights /= weights.sum(1, keepdim=True)
    return weights.to(device)


@cache
def opponent(device: torch.device) -> Tensor:
    """Rows: luma, red against blue, green against both; orthonormal, so that white noise stays white."""
    import torch

    rows: Tensor = torch.tensor([[1.0, 1, 1], [1, 0, -1], [1, -2, 1]])
    rows = rows / rows.norm(dim=1, keepdim=True)
    return rows.to(device)


def mix(image: Tensor, matrix: Tensor) -> Tensor:
    """The channels of (3,H,W) through a matrix (3,3)."""
    mixed: Tensor = matrix @ image.flatten(1)
    return mixed.view_as(image)
