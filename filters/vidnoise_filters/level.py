"""How noisy a frame is, for the filters whose strength follows the noise."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from vidnoise.frame import Frame
    from vidnoise.noise import NoiseEstimate


def noise_map(frame: Frame, sigma: float) -> Tensor:
    """The noise's deviation on the scale of the picture: (3,1,1) for a given sigma, else (3,H,W) by brightness.

    Args:
        frame: its estimate is used, or one is made where it has none.
        sigma: in 8-bit steps; 0 for the estimate.
    """
    import torch

    if sigma > 0:
        return torch.full((3, 1, 1), sigma / 255, device=frame.device)
    return _estimate(frame).map(frame.image)


def noise_level(frame: Frame, sigma: float) -> float:
    """One deviation for the whole picture, in 8-bit steps; arguments as for `noise_map`."""
    return sigma if sigma > 0 else 255 * float(_estimate(frame).sigma.square().mean().sqrt())


def _estimate(frame: Frame) -> NoiseEstimate:
    if frame.sigma is not None:
        return frame.sigma
    from vidnoise.noise import NoiseTracker

    return NoiseTracker().update(frame.image, True)
