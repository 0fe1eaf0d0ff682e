"""Blind deblurring of one picture by a network that knows nothing but this picture.

A small network with fixed random input and a kernel are fitted together, until the network's output, blurred by the
kernel, is what is seen (Ren, Zhang, Wang, Hu & Zuo, "Neural Blind Deconvolution Using Deep Priors", CVPR 2020): such a
network makes what looks like a picture sooner than what looks like noise or ringing (Ulyanov, Vedaldi & Lempitsky, "Deep
Image Prior", CVPR 2018). It starts from the kernel and the picture of `blind_kernel`, which take seconds.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vidnoise.blind_kernel import deconvolve, extent, find_kernel, find_path
from vidnoise.errors import UsageError
from vidnoise.filter import plainly
from vidnoise.frame import check_picture
from vidnoise.motion_blur import blur_length
from vidnoise.options import Option, check

LARGEST = 2_000_000
"""Pixels; the network's memory grows with them."""
SHORTEST = 5
"""Side of a kernel, pixels."""
ROOM = 1.5
"""Side of a kernel against the length of the motion that it is about."""
LUMA = 0.299, 0.587, 0.114
"""Of BT.601; the kernel is found on it."""
INPUTS, CHANNELS, KEPT, LEVELS = 8, 32, 4, 4
"""Of the network: random channels that go in, features, those handed across, and halvings of the size."""
RATE, KERNEL_RATE = 1e-2, 1e-2
STEADY = 0.97
"""Share of the past in the mean of the network's outputs."""
CERTAIN = 1e-4
"""Added to the kernel that it starts with, so that each of its values can grow."""


@dataclass(frozen=True)
class Restored:
    """The sharp picture (3,H,W), the kernel (side,side) of sum 1, and the losses of all steps."""

    picture: Tensor
    kernel: Tensor
    losses: list[float]


class Generator(nn.Module):
    """Random numbers and a first guess in, a picture out, through a U-Net with thin bridges."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        widths = [inputs] + [CHANNELS] * LEVELS
        self.bridges = nn.ModuleList(_layer(n, KEPT, 1) for n in widths[:-1])
        self.downs = nn.ModuleList(
            nn.Sequential(_layer(n, CHANNELS, 3, 2), _layer(CHANNELS, CHANNELS, 3)) for n in widths[:-1]
        )
        self.ups = nn.ModuleList(_layer(CHANNELS + KEPT, CHANNELS, 3) for _ in range(LEVELS))
        self.picture = nn.Conv2d(CHANNELS, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(1,C,H,W) -> (1,3,H,W), [0,1]; H and W multiples of 2 ** LEVELS."""
        kept = []
        for down, bridge in zip(self.downs, self.bridges, strict=True):
            kept.append(bridge(x))
            x = down(x)
        for up, across in zip(self.ups, reversed(kept), strict=True):
            x = up(torch.cat([F.interpolate(x, scale_factor=2.0, mode="bilinear"), across], 1))
        return torch.sigmoid(self.picture(x))


def restore(
    picture: Tensor,
    side: int,
    seconds: float,
    *,
    steps: int | None = None,
    seed: int = 0,
    tell: Callable[[float, float], None] = lambda share, loss: None,
) -> Restored:
    """Take an unknown blur, the same everywhere, from a picture.

    Args:
        picture: (3,H,W), [0,1], floats of any type.
        side: of the kernel, pixels, odd: at least as long as the blur; 0 for what its first guess needs.
        seconds: how long the network is fitted.
        steps: stop after so many steps all the same; runs by steps repeat exactly.
        seed: of the network and its input.
        tell: called after each step with the share of the work that is done and the loss.

    Raises:
        UsageError: the picture is too small for the kernel, too large or none; the side is no such number; or none is
            given and no motion shows.
    """
    check_picture("a picture is", picture)
    check(
        "selfdeblur", "side", side, int, Option(help="", low=SHORTEST if side else 0, unit="pixels", step=2)
    )
    if not picture.isfinite().all():
        raise UsageError("a picture holds NaN or infinity; replace these, as by torch.nan_to_num")
    with plainly():
        return _restored(picture.detach().float().clone(), side, seconds, steps, seed, tell)


def _restored(
    picture: Tensor,
    side: int,
    seconds: float,
    steps: int | None,
    seed: int,
    tell: Callable[[float, float], None],
) -> Restored:
    most = _largest(picture, side)
    if not side and not blur_length(picture):
        raise UsageError(
            "no motion blur shows in this picture, and taking away what is not there would make it worse; "
            "--size 15 tries all the same, with blur that spreads over 15 pixels"
        )
    gray = torch.einsum("c,chw->hw", picture.new_tensor(LUMA), picture)
    path = find_path(gray)
    kernel = find_kernel(gray, path, side or min(most, round(ROOM * extent(path)) // 2 * 2 + 3))
    first = deconvolve(picture, kernel)
    with torch.enable_grad(), torch.random.fork_rng(devices=[picture.device] if picture.is_cuda else []):
        torch.manual_seed(seed)
        return _fitted(picture, first, kernel, seconds, steps, tell)


def _fitted(
    seen: Tensor,
    first: Tensor,
    kernel: Tensor,
    seconds: float,
    steps: int | None,
    tell: Callable[[float, float], None],
) -> Restored:
    height, width = seen.shape[1:]
    side, margin = len(kernel), len(kernel) // 2
    wide = _extended(first, margin)
    given = torch.cat([0.1 * torch.rand(1, INPUTS, *wide.shape[2:], device=seen.device), wide], 1)
    network = Generator(given.shape[1]).to(seen.device)
    shape = (kernel + CERTAIN).log().requires_grad_()
    groups = [{"params": list(network.parameters()), "lr": RATE}, {"params": [shape], "lr": KERNEL_RATE}]
    optimizer, mean = torch.optim.Adam(groups), first
    losses: list[float] = []
    begun = time.monotonic()
    while (share := _done(len(losses), steps, time.monotonic() - begun, seconds)) < 1:
        output = network(given)
        spread = shape.flatten().softmax(0).view(1, 1, side, side)
        blurred = F.conv2d(output.transpose(0, 1), spread.flip(2, 3)).transpose(0, 1)
        loss = F.mse_loss(blurred[0, :, :height, :width], seen)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        now = output.detach()[0, :, margin : margin + height, margin : margin + width]
        mean = torch.lerp(now, mean, STEADY) if losses else now
        losses.append(float(loss.detach()))
        tell(share, losses[-1])
    found = shape.detach().flatten().softmax(0).view(side, side) if losses else kernel
    return Restored(mean, found, losses)


def _done(step: int, steps: int | None, passed: float, seconds: float) -> float:
    """The share of the work that is over, by time or by steps, whichever is more."""
    by_time = passed / seconds if seconds > 0 else 1.0
    return by_time if steps is None else max(by_time, step / steps)


def _layer(inputs: int, outputs: int, size: int, stride: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False, padding_mode="reflect")
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.LeakyReLU(0.1, inplace=True))


def _extended(picture: Tensor, margin: int) -> Tensor:
    """A picture (3,H,W) mirrored by `margin`, at the right and the bottom up to whole cells of the network: (1,3,h,w)."""
    cell = 2**LEVELS
    right, bottom = (margin + -(n + 2 * margin) % cell for n in (picture.shape[2], picture.shape[1]))
    return F.pad(picture[None], (margin, right, margin, bottom), mode="reflect")


def _largest(picture: Tensor, side: int) -> int:
    """The largest side of a kernel that a picture has room for, once both are checked."""
    height, width = picture.shape[1:]
    most = (min(height, width) - 1) // 2 // 2 * 2 - 1
    if most < SHORTEST:
        raise UsageError(
            f"a picture of {width}x{height} is too small to find its blur; give one of 16x16 or more"
        )
    if side > most:
        raise UsageError(
            f"a picture of {width}x{height} is too small for a kernel of {side} pixels; add --size {most} or less"
        )
    if height * width > LARGEST:
        raise UsageError(
            f"a picture of {width}x{height} is too large for this; crop or shrink it to at most "
            f"{LARGEST / 1e6:.0f} million pixels"
        )
    return most
