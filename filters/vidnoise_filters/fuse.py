"""Temporal fusion along optical flow, then shrinkage of the noise that is left: a denoiser without trained weights."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, ClassVar

from vidnoise import dct
from vidnoise.filter import RecurrentFilter, option
from vidnoise.flow import SharedFlow, warp
from vidnoise.fusion import Look, band_of, join, look, mix, opponent, recall
from vidnoise.scaling import area_means, enlarged
from vidnoise.stillness import Watch
from vidnoise_filters.clipping import unclip
from vidnoise_filters.level import noise_spectrum, noise_variance
from vidnoise_filters.strips import in_strips

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from vidnoise.frame import Frame

SIDE = 2 * dct.BLOCK
"""Pictures are padded to multiples of this: a block of the halved chroma."""
MARGIN = dct.STEP
"""What overlapping blocks cannot reach at each border."""
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
        seen: of what stands still; None after the first frame.
    """

    mean: Tensor
    clean: Tensor
    variance: Tensor
    seen: Watch | None


@dataclass(frozen=True)
class Parts:
    """A frame taken apart.

    Attributes:
        frame: where it is from.
        colours: (2,H,W), chroma at full size, padded.
        luma: (1,H,W), padded.
        chroma: (2,H/2,W/2).
        luma_noise: (1,64,H/8,W/8), variance of luma by frequency.
        chroma_noise: (2,64,H/16,W/16), of chroma.
        finest: (2,H/8,W/8), of what halving takes from chroma.
    """

    frame: Frame
    colours: Tensor
    luma: Tensor
    chroma: Tensor
    luma_noise: Tensor
    chroma_noise: Tensor
    finest: Tensor


@dataclass(frozen=True)
class State:
    """What is carried from frame to frame: the last frame, luma at full size, chroma at half, frames ahead."""

    frame: Frame
    luma: Memory
    chroma: Memory
    ahead: tuple[Parts, ...]


@dataclass(frozen=True)
class Fuse(RecurrentFilter[State]):
    """Averages each frame with the past along the motion, as far as the two agree, then shrinks the noise left over.

    The past is warped to the frame along dense optical flow and both are compared in 8x8 cosine transforms. Where they
    differ by no more than the noise, a frequency is averaged as a Kalman filter does it, with the variance left of all
    earlier frames; where they differ by more, at errors of the flow and uncovered areas, the frame itself is taken.
    Before a fixed camera, what stands still is averaged where it is, and over several times as many frames. So edges
    that moved too far lose nothing but their low frequencies' noise. What noise is left is known by block and
    frequency, and removed by a Wiener filter on overlapping blocks, with the previous result as its model (in the
    manner of BM3D's second step: Dabov, Foi, Katkovnik, Egiazarian, "Image denoising by sparse 3-D transform-domain
    collaborative filtering", IEEE TIP 2007; the recursion is near Arias and Morel, "Kalman filtering of patches for
    frame-recursive video denoising", NTIRE 2019). Colours are opponent; chroma works at half size.

    (3,H,W) in and out; the frame's `confidence` is set: 1 where the past was taken whole, 0 where it was not.
    """

    halo: ClassVar[int] = 32
    bytes_per_pixel: ClassVar[int] = 265

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
    ahead: int = option(
        0,
        low=0,
        high=2,
        unit="frames",
        help="frames to look ahead: raise it for less noise, later and slower by a third each",
    )

    @property
    def wants_noise(self) -> bool:
        """Unless sigma is given."""
        return self.sigma == 0

    def step(self, frame: Frame, state: State | None, ahead: Sequence[Frame]) -> tuple[Frame, State]:
        """See `RecurrentFilter.step`."""
        import torch

        seen = state.ahead if state else ()
        parts, *later = [self._parts(f, seen) for f in (frame, *ahead)]
        flow = frame.flow if frame.flow is not None else SharedFlow()
        if state is None:
            flow.clear()
        past = None if state is None else _padded(flow.between(frame, state.frame))
        moves = [_padded(flow.between(frame, p.frame)) for p in later]
        luma, trust = remember(
            Look(parts.luma, parts.luma_noise),
            state.luma if state else None,
            past,
            [Look(warp(p.luma, move), p.luma_noise) for p, move in zip(later, moves, strict=True)],
            rounds=2,
        )
        chroma, _ = remember(
            Look(parts.chroma, parts.chroma_noise),
            state.chroma if state else None,
            past if past is None else past[:, ::2, ::2] / 2,
            [
                Look(warp(p.chroma, move[:, ::2, ::2] / 2), p.chroma_noise)
                for p, move in zip(later, moves, strict=True)
            ],
            rounds=1,  # a second gains nothing
        )
        colours = _restored(parts.colours, parts.chroma, chroma.clean, parts.finest)
        clean = torch.cat([luma.clean, colours])[:, : frame.height, : frame.width]
        flow.guide(frame, clean[:1] / math.sqrt(3))
        removed = min(self.strength, 1) * min(self.chroma, 1)
        image = unclip(mix(clean, opponent(frame.device).T), frame, self.sigma, removed)
        confidence = enlarged(trust, dct.BLOCK)[:, : frame.height, : frame.width]
        return frame.with_image(image, confidence), State(frame, luma, chroma, tuple(later))

    def _parts(self, frame: Frame, seen: Sequence[Parts]) -> Parts:
        for parts in seen:
            if parts.frame is frame:
                return parts
        mixed = _padded(mix(frame.image, opponent(frame.device)))
        level = self._level(frame, mixed)
        spectrum = noise_spectrum(frame, self.sigma).to(level.device)
        bands = band_of(level.device)
        return Parts(
            frame,
            mixed[1:],
            mixed[:1],
            area_means(mixed[1:], 2),
            level[:1, None] * (spectrum[:1] @ bands)[:, :, None, None],
            area_means(level[1:], 2)[:, None]
            * (spectrum[1:] @ _half_bands(level.device))[:, :, None, None]
            / 4,
            level[1:] * spectrum[1:, -1, None, None],
        )

    def _level(self, frame: Frame, mixed: Tensor) -> Tensor:
        """(3,h,w): the variance of each opponent channel, by 8x8 blocks."""
        variance = noise_variance(frame, mixed, self.sigma) * self.strength**2
        variance[1:] *= self.chroma**2
        return variance.clamp_(min=1e-12)


def remember(
    new: Look, past: Memory | None, flow: Tensor | None, later: Sequence[Look], rounds: int
) -> tuple[Memory, Tensor]:
    """Fuse C channels with the past along a flow, look at them ahead, shrink: in so many rounds, 2 without a past.

    Returns:
        What is now known, and how far the past was trusted (C,h,w), 0 not at all to 1.
    """
    import torch

    known = look(new.picture, new.variance)
    seen, model, trust = None, None, torch.zeros_like(new.variance[:, 0])
    if past is not None and flow is not None:
        model = warp(past.clean, flow)
        known, share, seen = recall(known, Look(past.mean, past.variance), flow, past.seen)
        trust = share.mean(1)
    best = known
    for other in later:
        best, _ = join(best, other)
    clean = shrink(best.picture, best.variance, model, 2 if model is None else rounds)
    return Memory(known.picture, clean, known.variance, seen), trust


def shrink(picture: Tensor, variance: Tensor, model: Tensor | None, rounds: int) -> Tensor:
    """Remove noise of known variance (C,64,h,w) from (C,H,W), by a model of the clean picture where there is one.

    Args:
        picture: what is cleaned.
        variance: of its noise.
        model: much like the clean picture.
        rounds: 1, or 2 to clean it again with the first result as the model.
    """
    import torch.nn.functional as F

    height, width = picture.shape[1:]
    margin = rounds * MARGIN
    pictures = [_bordered(p, margin) for p in (picture, model) if p is not None]
    spread = F.interpolate(
        variance, size=(height // dct.STEP + 3, width // dct.STEP + 3), mode="bilinear", align_corners=True
    )
    if rounds == 1:
        spread = spread[:, :, 1:-1, 1:-1]

    def work(lines: slice) -> Tensor:
        parts = [p[:, lines.start : lines.stop + 2 * margin] for p in pictures]
        blocks = slice(lines.start // dct.STEP, (lines.stop + 2 * margin) // dct.STEP - 1)
        return _shrink_strip(parts, spread[:, :, blocks], rounds)

    return in_strips(picture, work)


def _shrink_strip(pictures: list[Tensor], variance: Tensor, rounds: int) -> Tensor:
    """Pictures with a border of one MARGIN a round on each side; the second, if there is one, is the model."""
    noisy = dct.forward_overlapping(pictures[0])
    power = noisy.square()
    known = (SURE**2 * variance).lt_(power)  # in place it gives floats, which is several times as fast
    model = dct.forward_overlapping(pictures[1]).square_() if len(pictures) > 1 else power * known
    first = dct.inverse_overlapping(_wiener(noisy, model.lerp_(power, known), variance))
    if rounds == 1:
        return first
    inner = slice(1, -1)
    noisy, variance = noisy[:, :, inner, inner], variance[:, :, inner, inner]
    return dct.inverse_overlapping(_wiener(noisy, dct.forward_overlapping(first).square_(), variance))


def _wiener(noisy: Tensor, power: Tensor, variance: Tensor) -> Tensor:
    """The best linear estimate where the clean coefficients have this power; the mean of a block is kept."""
    gain = power.div_(power + variance)
    gain[:, 0] = 1
    return gain.mul_(noisy)


def _restored(colours: Tensor, chroma: Tensor, clean: Tensor, noise: Tensor) -> Tensor:
    """Chroma at full size (2,H,W) from its clean half (2,H/2,W/2), and what halving took where that is no noise."""
    import torch.nn.functional as F

    lost = area_means(colours.square(), dct.STEP) - area_means(chroma.square(), dct.STEP // 2)
    lost = F.avg_pool2d(lost, 3, 1, 1, count_include_pad=False)
    floor = RESIDUE * noise.repeat_interleave(2, 1).repeat_interleave(2, 2)
    kept = (1 - floor / lost.clamp(min=1e-12)).clamp(min=0)
    base = enlarged(clean - enlarged(kept, 2) * chroma, 2)
    return base if not bool(kept.any()) else base.addcmul_(enlarged(kept, dct.STEP), colours)


def _padded(image: Tensor) -> Tensor:
    import torch.nn.functional as F

    _, height, width = image.shape
    if height % SIDE == 0 and width % SIDE == 0:
        return image
    return F.pad(image[None], (0, -width % SIDE, 0, -height % SIDE), mode="replicate")[0]


def _bordered(image: Tensor, margin: int) -> Tensor:
    import torch.nn.functional as F

    return F.pad(image[None], (margin,) * 4, mode="replicate")[0]


@cache
def _half_bands(device: torch.device) -> Tensor:
    """(3,64): the band that a frequency of a halved picture has in the whole one."""
    import torch

    step = torch.arange(dct.BLOCK, device=device) // 2
    return band_of(device)[:, (step[:, None] * dct.BLOCK + step).flatten()]
