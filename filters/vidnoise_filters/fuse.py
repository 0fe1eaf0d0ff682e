"""Temporal fusion along optical flow, then shrinkage of the noise that is left: a denoiser without trained weights."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, ClassVar

from vidnoise.filter import RecurrentFilter, option
from vidnoise.flow import SharedFlow, warp
from vidnoise_filters import dct
from vidnoise_filters.level import noise_grid

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from vidnoise.frame import Frame

SIDE = 2 * dct.BLOCK
"""Pictures are padded to multiples of this: a block of the halved chroma."""
MARGIN = dct.STEP
"""What overlapping blocks cannot reach at each border."""
STRIP = 64
"""Lines shrunk at once on a CPU, so that their coefficients stay in its caches."""
QUIET = 0.05 / 255
"""Noise below this deviation is left alone."""
SURE = 2.7
"""A coefficient this many deviations from zero is no noise."""
RESIDUE = 1.5
"""How much more than the noise the finest chroma must hold to be kept; as a ratio of powers."""


@dataclass(frozen=True)
class Memory:
    """What is known of C channels after a frame.

    Attributes:
        mean: (C,H,W), the past averaged along the motion; nothing else was smoothed away.
        clean: (C,H,W), the same after shrinkage.
        variance: (C,64,H/8,W/8), of the noise left in `mean`, by block and frequency.
    """

    mean: Tensor
    clean: Tensor
    variance: Tensor


@dataclass(frozen=True)
class State:
    """What is carried from frame to frame: luma at full size, chroma at half."""

    frame: Frame
    luma: Memory
    chroma: Memory


@dataclass(frozen=True)
class Fuse(RecurrentFilter[State]):
    """Averages each frame with the past along the motion, as far as the two agree, then shrinks the noise left over.

    The past is warped to the frame along dense optical flow and both are compared in 8x8 cosine transforms. Where they
    differ by no more than the noise, a frequency is averaged as a Kalman filter does it, with the variance left of all
    earlier frames; where they differ by more, at errors of the flow and uncovered areas, the frame itself is
    taken. So edges that moved too far lose nothing but their low frequencies' noise. What noise is left is known by
    block and frequency, and removed by a Wiener filter on overlapping blocks, with the previous result as its model
    (in the manner of BM3D's second step: Dabov, Foi, Katkovnik, Egiazarian, "Image denoising by sparse 3-D
    transform-domain collaborative filtering", IEEE TIP 2007; the recursion is near Arias and Morel, "Kalman filtering of
    patches for frame-recursive video denoising", NTIRE 2019). Colours are opponent; chroma works at half size.

    (3,H,W) in and out; the frame's `confidence` is set: 1 where the past was taken whole, 0 where it was not.
    """

    halo: ClassVar[int] = 32
    bytes_per_pixel: ClassVar[int] = 250

    sigma: float = option(
        0.0, low=0, high=100, unit="8-bit steps", help="deviation of the noise; 0 takes the estimate"
    )
    strength: float = option(
        1.0,
        low=0,
        high=2,
        help="factor on the noise that is assumed: raise it for less noise and less detail",
    )
    chroma: float = option(
        1.0,
        low=0,
        high=2,
        help="a further factor for colour noise: raise it for less, 0 leaves colours as they are",
    )

    @property
    def wants_noise(self) -> bool:
        """Unless sigma is given."""
        return self.sigma == 0

    def step(self, frame: Frame, state: State | None, ahead: Sequence[Frame]) -> tuple[Frame, State]:
        """See `RecurrentFilter.step`."""
        import torch

        height, width = frame.height, frame.width
        opponent = _padded(_mix(frame.image, _opponent(frame.device)))
        luma, chroma = opponent[:1], _halved(opponent[1:])
        noise = self._noise(frame, opponent)
        flow = frame.flow if frame.flow is not None else SharedFlow()
        past_luma = past_chroma = motion = None
        if state is not None:
            motion = _padded(flow.between(frame, state.frame))
            past_luma, past_chroma = state.luma, state.chroma
        luma_done, gain = remember(luma, noise[:1], past_luma, motion)
        half = None if motion is None else _halved(motion) / 2
        chroma_done, _ = remember(chroma, _halved(noise[1:]) / 4, past_chroma, half)
        fine = _fine(opponent[1:] - _doubled(chroma), noise[1:])
        clean = torch.cat([luma_done.clean, _doubled(chroma_done.clean) + fine])[:, :height, :width]
        flow.guide(frame, clean[:1] / math.sqrt(3))
        confidence = _grown(1 - gain.mean(1), dct.BLOCK)[:, :height, :width]
        image = _mix(clean, _opponent(frame.device).T)
        return frame.with_image(image, confidence), State(frame, luma_done, chroma_done)

    def _noise(self, frame: Frame, opponent: Tensor) -> Tensor:
        """(3,h,w): the variance of each opponent channel, by 8x8 blocks."""
        import torch

        small = torch.nn.functional.avg_pool2d(opponent, dct.BLOCK)
        turn = _opponent(frame.device)
        variance = noise_grid(frame, self.sigma, _mix(small, turn.T)).square() * self.strength**2
        variance = _mix(variance, turn.square()).clamp(min=1e-12)
        variance[1:] *= self.chroma**2
        return variance


def remember(new: Tensor, noise: Tensor, past: Memory | None, flow: Tensor | None) -> tuple[Memory, Tensor]:
    """Fuse C channels (C,H,W), with noise of variance (C,h,w), with the past along a flow; then shrink.

    Returns:
        What is now known, and the share of the new frame in it (C,64,h,w), 1 where nothing of the past was taken.
    """
    import torch

    noise = noise[:, None]
    if past is None or flow is None:
        variance = noise.expand(-1, dct.BLOCK**2, -1, -1)
        return Memory(new, shrink(new, variance, None), variance.contiguous()), torch.ones_like(variance)
    moved = warp(torch.cat([past.mean, past.clean]), flow, cubic=True)
    mean, model = moved[: len(new)], moved[len(new) :]
    blocks = torch.nn.functional.avg_pool2d(flow, dct.BLOCK) / dct.BLOCK
    variance = warp(past.variance.flatten(0, 1), blocks).view_as(past.variance)
    change = dct.forward(new - mean)
    error = _local_mean(change.square()).sub_(noise).sub_(variance).clamp_(min=0).add_(variance)
    gain = error / (error + noise)
    mean = mean + dct.inverse(gain * change)
    variance = gain * noise
    return Memory(mean, shrink(mean, variance, model), variance), gain


def shrink(picture: Tensor, variance: Tensor, model: Tensor | None) -> Tensor:
    """Remove noise of known variance (C,64,h,w) from (C,H,W), by a model of the clean picture where there is one."""
    import torch

    height, width = picture.shape[1:]
    pictures = [_bordered(p) for p in (picture, model) if p is not None]
    spread = torch.nn.functional.interpolate(
        variance, size=(height // dct.STEP + 1, width // dct.STEP + 1), mode="bilinear", align_corners=True
    )
    if picture.is_cuda:
        return _shrink_strip(pictures, spread)
    done = torch.empty_like(picture)
    for start in range(0, height, STRIP):
        stop = min(start + STRIP, height)
        lines = [p[:, start : stop + 2 * MARGIN] for p in pictures]
        rows = spread[:, :, start // dct.STEP : stop // dct.STEP + 1]
        done[:, start:stop] = _shrink_strip(lines, rows)
    return done


def _shrink_strip(pictures: list[Tensor], variance: Tensor) -> Tensor:
    """Pictures with a border of MARGIN on each side; the second, if there is one, is the model."""
    import torch

    noisy = dct.forward_overlapping(pictures[0])
    power = noisy.square()
    known = power > SURE**2 * variance
    if len(pictures) > 1:
        power = torch.where(known, power, dct.forward_overlapping(pictures[1]).square())
    else:
        power *= known
    gain = power / (power + variance)
    gain[:, 0] = 1
    weight = 1 / (gain.square() * variance).sum(1, keepdim=True)
    return dct.inverse_overlapping(noisy * gain, weight)


def _fine(residue: Tensor, noise: Tensor) -> Tensor:
    """What halving took from the chroma (2,H,W), where it is more than the noise (2,h,w)."""
    import torch.nn.functional as F

    power = F.avg_pool2d(residue.square(), dct.STEP)
    power = F.avg_pool2d(F.pad(power, (1, 1, 1, 1), mode="replicate"), 3, 1)
    floor = RESIDUE * noise.repeat_interleave(2, 1).repeat_interleave(2, 2)
    gain = (1 - floor / power.clamp(min=1e-12)).clamp(min=0)
    return residue * _grown(gain, dct.STEP)


@cache
def _opponent(device: torch.device) -> Tensor:
    """Rows: luma, red against blue, green against both; orthonormal, so that white noise stays white."""
    import torch

    rows = torch.tensor([[1.0, 1, 1], [1, 0, -1], [1, -2, 1]])
    return (rows / rows.norm(dim=1, keepdim=True)).to(device)


def _mix(image: Tensor, matrix: Tensor) -> Tensor:
    return (matrix @ image.flatten(1)).view_as(image)


def _padded(image: Tensor) -> Tensor:
    import torch.nn.functional as F

    _, height, width = image.shape
    if height % SIDE == 0 and width % SIDE == 0:
        return image
    return F.pad(image[None], (0, -width % SIDE, 0, -height % SIDE), mode="replicate")[0]


def _bordered(image: Tensor) -> Tensor:
    import torch.nn.functional as F

    return F.pad(image[None], (MARGIN,) * 4, mode="replicate")[0]


def _halved(image: Tensor) -> Tensor:
    import torch.nn.functional as F

    return F.avg_pool2d(image, 2)


def _doubled(image: Tensor) -> Tensor:
    return _grown(image, 2)


def _grown(image: Tensor, factor: int) -> Tensor:
    import torch.nn.functional as F

    return F.interpolate(image[None], scale_factor=factor, mode="bilinear", align_corners=False)[0]


@cache
def _frequency_mean(device: torch.device) -> Tensor:
    """Each frequency's power averaged with its neighbours, as a 1x1 convolution."""
    import torch

    steps = torch.arange(dct.BLOCK)
    near = ((steps[:, None] - steps).abs() <= 1).float()
    return (
        torch.kron(near, near).div_(torch.kron(near, near).sum(1, keepdim=True))[..., None, None].to(device)
    )


def _local_mean(power: Tensor) -> Tensor:
    """Over neighbouring frequencies and neighbouring blocks: one sample says little of a variance."""
    import torch.nn.functional as F

    power = F.conv2d(power, _frequency_mean(power.device))
    return F.avg_pool2d(F.pad(power, (1, 1, 1, 1), mode="replicate"), 3, 1)
