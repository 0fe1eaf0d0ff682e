"""What a network is trained to make small."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor


def charbonnier(output: Tensor, target: Tensor, epsilon: float = 1e-3) -> Tensor:
    """The mean of sqrt(d**2 + epsilon**2): the absolute difference, smooth at zero."""
    return ((output - target).square() + epsilon**2).sqrt().mean()


def squared(output: Tensor, target: Tensor) -> Tensor:
    """The mean squared difference, which noisy targets need: it learns their mean."""
    return F.mse_loss(output, target)


def logarithmic(output: Tensor, target: Tensor, floor: float = 1 / 255) -> Tensor:
    """The mean of log(squared difference + floor**2): each picture counts alike, however much is wrong with it."""
    return ((output - target).square().mean((1, 2, 3)) + floor**2).log().mean()


def ssim(a: Tensor, b: Tensor) -> Tensor:
    """Structural similarity (Wang et al., IEEE TIP 2004) of (B,3,H,W), [0,1], in windows of 11 by 11."""

    def mean(x: Tensor) -> Tensor:
        return F.avg_pool2d(x, 11, 1)

    first, second = mean(a), mean(b)
    variance_a, variance_b = mean(a * a) - first**2, mean(b * b) - second**2
    covariance = mean(a * b) - first * second
    bright = (2 * first * second + 0.01**2) / (first**2 + second**2 + 0.01**2)
    shape = (2 * covariance + 0.03**2) / (variance_a + variance_b + 0.03**2)
    return (bright * shape).mean()


def mixed(output: Tensor, target: Tensor) -> Tensor:
    """0.84 (1 - SSIM) + 0.16 L1, after Zhao et al., IEEE TCI 2017."""
    return 0.84 * (1 - ssim(output, target)) + 0.16 * (output - target).abs().mean()


def steadiness(outputs: Tensor, targets: Tensor) -> Tensor:
    """How much the error of clips (B,T,3,H,W) changes from frame to frame: flicker."""
    error = outputs - targets
    return (error[:, 1:] - error[:, :-1]).abs().mean()


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "charbonnier": charbonnier,
    "l1": F.l1_loss,
    "logarithmic": logarithmic,
    "squared": squared,
    "mixed": mixed,
}


def psnr(output: Tensor, target: Tensor) -> Tensor:
    """Peak signal-to-noise ratio of each picture (B,3,H,W), dB, peak 1, not clipped."""
    return -10 * torch.log10((output - target).square().mean((1, 2, 3)).clamp(min=1e-12))
