"""How noisy a frame is, for the filters whose strength follows the noise."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vidnoise import dct
from vidnoise.scaling import enlarged
from vidnoise_filters.gray import is_gray

if TYPE_CHECKING:
    from torch import Tensor

    from vidnoise.frame import Frame
    from vidnoise.noise import NoiseEstimate

FLOOR = 1e-6
"""A deviation that stands for none at all."""
SILENT, AUDIBLE = 0.25, 0.75
"""Noise below the first, in 8-bit steps, is none and the frame is left alone; above the second it is removed whole."""
TEXTURE = 7
"""The second for noise in clips that neighbouring pixels share: texture is taken for it, and weak noise hardly seen."""
SHARED = 0.4
"""From this correlation on it may as well be texture: of clean clips that find themselves noisy it is 0.4 to 0.5."""
FAR = 2 / 255
"""Where many samples lie further beyond black and white than this, nothing was cut off."""


def noise_grid(frame: Frame, sigma: float, brightness: Tensor) -> Tensor:
    """The noise's deviation at some places of a frame, on the scale of its picture.

    Args:
        frame: its estimate is used, or one is made where it has none.
        sigma: in 8-bit steps, before any of it was cut off at black and white; 0 for the estimate.
        brightness: (3,h,w), the local mean of each channel there.

    Returns:
        (3,h,w).
    """
    import torch

    from vidnoise.noise import cut_off

    if sigma > 0:
        told = torch.full_like(brightness, sigma / 255)
        return cut_off(told, brightness) if is_cut_off(frame) else told
    estimate = _estimate(frame)
    levels, curve = estimate.levels.to(brightness.device), estimate.curve.to(brightness.device)
    above = torch.bucketize(brightness.flatten(1), levels).clamp(1, len(levels) - 1)
    low, high = levels[above - 1], levels[above]
    part = ((brightness.flatten(1) - low) / (high - low)).clamp(0, 1)
    return torch.lerp(curve.gather(1, above - 1), curve.gather(1, above), part).view_as(brightness)


def is_cut_off(frame: Frame) -> bool:
    """Whether noise was cut off at black or white: samples lie there, and not as many beyond."""
    sample = frame.image[:, ::4, ::4]
    cut, beyond = (((sample <= -far) | (sample >= 1 + far)).float().mean() for far in (0, FAR))
    return bool(cut > 0) and bool(beyond <= cut / 4)


def noise_level(frame: Frame, sigma: float) -> float:
    """One deviation for the whole picture, in 8-bit steps; arguments as for `noise_grid`."""
    return sigma if sigma > 0 else 255 * float(_estimate(frame).sigma.square().mean().sqrt())


def audible(frame: Frame, sigma: float, strength: float = 1, in_clip: bool = False) -> float:
    """The share of a denoiser's change that a frame wants, from 0 where no noise is found to 1.

    Args:
        frame: its estimate is used, or one is made where it has none.
        sigma: in 8-bit steps; 0 for the estimate.
        strength: a factor on the noise.
        in_clip: whether there are frames before or after it.
    """
    loud = AUDIBLE
    if in_clip and sigma == 0:
        loud += (TEXTURE - AUDIBLE) * min(_estimate(frame).correlation / SHARED, 1)
    return min(max((strength * noise_level(frame, sigma) - SILENT) / (loud - SILENT), 0), 1)


def noise_blocks(frame: Frame, sigma: float) -> Tensor:
    """The noise's deviation in 8x8 blocks (3,h,w), on the scale of the picture; above zero."""
    import torch.nn.functional as F

    means = F.avg_pool2d(in_blocks(frame.image), dct.BLOCK)
    return noise_grid(frame, sigma, means).clamp(min=FLOOR)


def noise_variance(frame: Frame, mixed: Tensor, sigma: float) -> Tensor:
    """The noise's variance in opponent colours by 8x8 blocks (3,h,w), of a frame whose picture in them is `mixed`."""
    from vidnoise.fusion import mix, opponent
    from vidnoise.scaling import area_means

    turn = opponent(mixed.device)
    brightness = mix(area_means(mixed, dct.BLOCK), turn.T)
    return mix(noise_grid(frame, sigma, brightness).square(), turn.square()).clamp_(min=FLOOR**2)


def in_blocks(image: Tensor) -> Tensor:
    """A picture (C,H,W) that was extended to whole blocks."""
    from vidnoise.nets.padding import pad

    return pad(image[None], dct.BLOCK)[0]


def in_pixels(blocks: Tensor, height: int, width: int) -> Tensor:
    """A value for each pixel (C,height,width) from values of 8x8 blocks (C,h,w), linearly between their centres."""
    return enlarged(blocks, dct.BLOCK)[:, :height, :width]


def noise_spectrum(frame: Frame, sigma: float) -> Tensor:
    """How the noise's power lies in colours and frequencies (3,64), see `NoiseEstimate`; arguments as for `noise_grid`.

    Where sigma is given the noise is white: in a gray picture all of it in the brightness.
    """
    from vidnoise.fusion import by_frequency
    from vidnoise.noise_spectrum import of_white

    if sigma == 0:
        return _estimate(frame).spectrum
    return by_frequency(of_white(is_gray(frame.image), frame.device))


def lasting(frame: Frame, sigma: float) -> float:
    """The share of the noise that no average over time takes away, see `NoiseEstimate`; 0 where sigma is given."""
    return 0.0 if sigma > 0 else float(_estimate(frame).lasting)


def _estimate(frame: Frame) -> NoiseEstimate:
    if frame.sigma is not None:
        return frame.sigma
    from vidnoise.noise import NoiseTracker

    return NoiseTracker().update(frame.image, True)
