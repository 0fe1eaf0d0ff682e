"""A small coarse-to-fine flow network for noisy pictures.

A pyramid of features, warped by the flow found so far and compared by local correlation, as in PWC-Net (Sun
et al., CVPR 2018), a hundred times smaller. Each picture comes with its noise level, so that a noisy frame
can be matched with a clean one.
"""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .tiers import FlowSpec
from .warp import warp

FINEST = 4  # the finest level's cell, in pixels


class Convolution(nn.Module):
    """A 3x3 convolution with bias, then a leaky rectifier."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, stride, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B,inputs,H,W) -> (B,outputs,H,W), each side divided by the stride and rounded up."""
        return F.leaky_relu(self.conv(x), 0.1, inplace=True)


class Correction(nn.Conv2d):
    """The last convolution: what is added to the flow; next to nothing before training."""

    def __init__(self, inputs: int) -> None:
        super().__init__(inputs, 2, 3, 1, 1)
        nn.init.normal_(self.weight, std=1e-2)
        if self.bias is not None:
            nn.init.zeros_(self.bias)


def correlate(a: Tensor, b: Tensor, radius: int) -> Tensor:
    """The correlation coefficients over channels of (B,C,H,W) `a` with `b` shifted by up to `radius`."""
    a, b = _standard(a), _standard(b)
    side = 2 * radius + 1
    count, channels, height, width = a.shape
    shifted = F.unfold(b, side, padding=radius).view(count, channels, side**2, height, width)
    return (a.unsqueeze(2) * shifted).mean(1)


def _standard(x: Tensor) -> Tensor:
    # Without this the products stay so small beside the other inputs that training does not find them.
    x = x - x.mean(1, keepdim=True)
    return x * torch.rsqrt(x.square().mean(1, keepdim=True) + 1e-5)


class Level(nn.Module):
    """One level: looks at the features of both pictures and corrects the flow."""

    def __init__(self, channels: int, radius: int) -> None:
        super().__init__()
        self.radius = radius
        seen = (2 * radius + 1) ** 2 if radius else channels
        self.body = nn.Sequential(Convolution(seen + channels + 2, channels), Convolution(channels, channels))
        self.out = Correction(channels)

    def forward(self, here: Tensor, there: Tensor, flow: Tensor) -> Tensor:
        """Features (B,C,h,w) of both pictures and the flow (B,2,h,w) so far -> a better flow, float32."""
        moved = warp(there, flow).to(here.dtype)
        seen = correlate(here, moved, self.radius) if self.radius else moved
        x = torch.cat([seen, here, flow.to(here.dtype) * 0.1], 1)
        change: Tensor = self.out(self.body(x))
        return flow + change.float()


class Refinement(nn.Module):
    """A last correction at half size, on the pictures themselves."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            Convolution(3 + 3 + 1 + 2, channels),
            Convolution(channels, channels),
            Convolution(channels, channels),
        )
        self.out = Correction(channels)

    def forward(self, here: Tensor, there: Tensor, sigma: Tensor, flow: Tensor) -> Tensor:
        """Half-size pictures (B,3,h,w), noise level (B,1,h,w), flow (B,2,h,w) -> a better flow, float32."""
        x = torch.cat([here, warp(there, flow), sigma, flow * 0.1], 1)
        change: Tensor = self.out(self.body(x.to(self.out.weight.dtype)))
        return flow + change.float()


class FlowNet(nn.Module):
    """Where each pixel of one picture is found in another."""

    def __init__(self, spec: FlowSpec) -> None:
        super().__init__()
        widths = spec.channels
        self.head = Convolution(3 * FINEST**2 + 1, widths[0])
        self.downs = nn.ModuleList(Convolution(a, b, 2) for a, b in pairwise(widths))
        self.levels = nn.ModuleList(Level(c, r) for c, r in zip(widths, spec.radius, strict=True))
        self.refine = Refinement(spec.refine) if spec.refine else None

    def features(self, picture: Tensor, level: Tensor) -> list[Tensor]:
        """Features of a picture (B,3,H,W), finest first; H, W multiples of 4.

        `level` (B,1,h,w) is the picture's noise level, of a quarter of its size or larger.
        """
        size = picture.shape[-2] // FINEST, picture.shape[-1] // FINEST
        x = torch.cat([F.pixel_unshuffle(picture - 0.5, FINEST), shrink(level, size) * 4], 1)
        pyramid: list[Tensor] = [self.head(x.to(self.head.conv.weight.dtype))]
        for down in self.downs:
            pyramid.append(down(pyramid[-1]))
        return pyramid

    def flows(self, here: list[Tensor], there: list[Tensor]) -> list[Tensor]:
        """Features of two pictures -> the flow of each level (B,2,h,w) in its cells, coarsest first."""
        coarsest = here[-1]
        flow = torch.zeros(
            coarsest.shape[0], 2, *coarsest.shape[-2:], device=coarsest.device, dtype=torch.float32
        )
        found: list[Tensor] = []
        for a, b, level in zip(reversed(here), reversed(there), reversed(self.levels), strict=True):
            if found:
                flow = _upsample(flow, 2, a.shape[-2], a.shape[-1])
            flow = level(a, b, flow)
            found.append(flow)
        return found

    def finish(self, flow: Tensor, here: Tensor, there: Tensor, level: Tensor) -> Tensor:
        """The finest level's flow, pictures (B,3,H,W), noise -> the flow of every pixel, in pixels."""
        height, width = here.shape[-2:]
        if self.refine is None:
            return _upsample(flow, FINEST, height, width)
        half = _upsample(flow, 2, height // 2, width // 2)
        level = shrink(level, (height // 2, width // 2))
        return _upsample(
            self.refine(F.avg_pool2d(here, 2), F.avg_pool2d(there, 2), level, half), 2, height, width
        )

    def forward(self, here: Tensor, there: Tensor, sigma_here: Tensor, sigma_there: Tensor) -> list[Tensor]:
        """Two pictures (B,3,H,W) with noise levels -> flows, coarsest first, the last one of full size."""
        first, second = sigma_here.mean(1, keepdim=True), sigma_there.mean(1, keepdim=True)
        found = self.flows(self.features(here, first), self.features(there, second))
        return [*found, self.finish(found[-1], here, there, first)]


def shrink(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Area averages of (B,C,H,W) at a smaller size that divides it."""
    return x if x.shape[-2:] == size else F.interpolate(x, size, mode="area")


def _upsample(flow: Tensor, factor: int, height: int, width: int) -> Tensor:
    return F.interpolate(flow, (height, width), mode="bilinear", align_corners=False) * factor
