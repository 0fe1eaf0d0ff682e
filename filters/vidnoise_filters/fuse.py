"""Temporal fusion along optical flow, then shrinkage of the noise that is left, frequency by frequency."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from vidnoise import dct
from vidnoise.filter import RecurrentFilter, option
from vidnoise.flow import QUICK, SharedFlow, warp
from vidnoise.fusion import Look, band_means, brightened, halved, join, lasted, mix, opponent, recall
from vidnoise.light import lines
from vidnoise.scaling import area_means, enlarged, means_around
from vidnoise.shrinkage import WEIGHTS, shrink
from vidnoise.stillness import Watch
from vidnoise.strips import at_once, in_strips
from vidnoise_filters.clipping import unclipping
from vidnoise_filters.level import lasting, noise_level, noise_spectrum, noise_variance

if TYPE_CHECKING:
    from torch import Tensor

    from vidnoise.frame import Frame

SIDE = 2 * dct.BLOCK
"""Pictures are padded to multiples of this: a block of the halved chroma."""
HALF = dct.BLOCK // 2
RESIDUE = 1.2
"""How much more than the noise the finest chroma must hold to be kept; as a ratio of powers."""


class Way(NamedTuple):
    """How what another frame shows comes here.

    Attributes:
        flow: (2,H,W), from here to there.
        gain: (h,1), how many times as bright it is here, by rows of blocks.
    """

    flow: Tensor
    gain: Tensor


@dataclass(frozen=True)
class Memory:
    """What is known of C channels after a frame.

    Attributes:
        known: (C,H,W), averaged along the motion, nothing else smoothed away.
        clean: (C,H,W), after shrinkage.
        seen: what stands still; None after the first frame.
    """

    known: Look
    clean: Tensor
    seen: Watch | None


class Average(NamedTuple):
    """C channels of a frame among others.

    Attributes:
        known: (C,H,W), averaged with the past.
        best: (C,H,W), and with what comes.
        model: (C,H,W), the past after shrinkage, brought here; None without one.
        trust: (C,h,w), how far the past was trusted, 0..1.
        seen: as in `Memory`.
    """

    known: Look
    best: Look
    model: Tensor | None
    trust: Tensor
    seen: Watch | None


@dataclass(frozen=True)
class Parts:
    """A frame taken apart.

    Attributes:
        frame: where it is from.
        colours: (2,H,W), chroma at full size, padded.
        luma: of (1,H,W), padded.
        chroma: of (2,H/2,W/2).
        finest: (2,H/8,W/8), noise in what halving takes from chroma.
        lasting: how many times the noise of `luma` and `chroma` there is that goes along with what moves, beside it.
    """

    frame: Frame
    colours: Tensor
    luma: Look
    chroma: Look
    finest: Tensor
    lasting: float


@dataclass(frozen=True)
class State:
    """What is carried from frame to frame.

    Attributes:
        frame: the last one.
        luma: at full size.
        chroma: at half.
        ahead: the frames that were looked at ahead.
    """

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
    frequency, and removed by a Wiener filter on two grids of blocks, with the previous result as its model, which a network
    of 8 thousand weights corrects (see `vidnoise.shrinkage`; the recursion is near Arias and Morel, "Kalman filtering of
    patches for frame-recursive video denoising", NTIRE 2019). Colours are opponent; chroma works at half size.

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

    @property
    def weights(self) -> str:
        """Of the network that corrects the shrinkage."""
        return WEIGHTS

    def step(self, frame: Frame, state: State | None, ahead: Sequence[Frame]) -> tuple[Frame, State]:
        """See `RecurrentFilter.step`."""
        seen = state.ahead if state else ()
        shared = frame.flow if frame.flow is not None else SharedFlow()
        others = ([state.frame] if state else []) + list(ahead)
        noise = noise_level(frame, self.sigma) / 255
        ((parts, *later), correct), ways = at_once(
            frame.image,
            lambda: (
                [self._parts(f, seen) for f in (frame, *ahead)],
                unclipping(frame, self.sigma, min(self.strength, 1) * min(self.chroma, 1)),
            ),
            lambda: [
                Way(
                    _padded(shared.between(frame, other, QUICK)),
                    shared.brightening(frame, other, noise, QUICK),
                )
                for other in others
            ],
        )
        average, (chroma, colours) = at_once(
            frame.image,
            lambda: _averaged(
                parts.luma, state.luma if state else None, [p.luma for p in later], ways, parts.lasting
            ),
            lambda: _colours(parts, state.chroma if state else None, [p.chroma for p in later], ways),
        )
        luma = _memory(average)
        _, confidence = at_once(
            frame.image,
            lambda: shared.guide(frame, luma.clean[:, : frame.height, : frame.width] / math.sqrt(3)),
            lambda: enlarged(average.trust, dct.BLOCK)[:, : frame.height, : frame.width],
        )
        image = _picture(frame, luma.clean, colours, correct)
        return frame.with_image(image, confidence), State(frame, luma, chroma, tuple(later))

    def _parts(self, frame: Frame, seen: Sequence[Parts]) -> Parts:
        for parts in seen:
            if parts.frame is frame:
                return parts
        mixed = _padded(mix(frame.image, opponent(frame.device)))
        level = self._level(frame, mixed)
        spectrum = noise_spectrum(frame, self.sigma).to(level.device)
        share = lasting(frame, self.sigma)
        luma, chroma = halved(mixed, level * (1 - share), spectrum)
        finest = level[1:] * band_means(spectrum)[1:, -1, None, None]
        return Parts(frame, mixed[1:], luma, chroma, finest, share / (1 - share))

    def _level(self, frame: Frame, mixed: Tensor) -> Tensor:
        """(3,h,w): the variance of each opponent channel, by 8x8 blocks."""
        variance = noise_variance(frame, mixed, self.sigma) * self.strength**2
        variance[1:] *= self.chroma**2
        return variance.clamp_(min=1e-12)


def _averaged(
    new: Look, past: Memory | None, later: Sequence[Look], ways: Sequence[Way], beside: float
) -> Average:
    """Average C channels with the past, if there is one, and with looks ahead; each has a way here, the past the first."""
    import torch

    if past is None:
        known, model, trust, seen = new, None, torch.zeros_like(new.variance[:, 0]), None
    else:
        flow, gain = ways[0]
        known, share, seen = recall(new, past.known, flow, past.seen, gain)
        model = warp(past.clean, flow).mul_(lines(gain, past.clean.shape[1], dct.BLOCK))
        trust = share.mean(1)
    best = known
    for other, way in zip(later, ways[past is not None :], strict=True):
        best, _ = join(best, brightened(Look(warp(other.picture, way.flow), other.variance), way.gain))
    return Average(known, lasted(best, new.variance, beside), model, trust, seen)


def _memory(average: Average) -> Memory:
    return Memory(average.known, shrink(average.best, average.model), average.seen)


def _colours(
    parts: Parts, past: Memory | None, later: Sequence[Look], ways: Sequence[Way]
) -> tuple[Memory, Tensor]:
    """What is to be remembered of chroma, and its clean picture at full size (2,H,W)."""
    halved_ways = [Way(way.flow[:, ::2, ::2] / 2, (way.gain[::2] + way.gain[1::2]) / 2) for way in ways]
    memory = _memory(_averaged(parts.chroma, past, later, halved_ways, parts.lasting))
    return memory, _restored(parts.colours, parts.chroma.picture, memory.clean, parts.finest)


def _restored(colours: Tensor, chroma: Tensor, clean: Tensor, noise: Tensor) -> Tensor:
    """Chroma at full size (2,H,W) from its clean half (2,H/2,W/2), and what halving took where that is no noise."""
    lost = colours - enlarged(chroma, 2)
    power = means_around(area_means(lost.square(), HALF))
    floor = RESIDUE * noise.repeat_interleave(2, 1).repeat_interleave(2, 2)
    kept = (1 - floor / power.clamp(min=1e-12)).clamp(min=0)
    base = enlarged(clean, 2)
    return base if not bool(kept.any()) else base.addcmul_(enlarged(kept, HALF), lost)


def _picture(
    frame: Frame, luma: Tensor, colours: Tensor, correct: Callable[[Tensor, slice], Tensor] | None
) -> Tensor:
    """(3,H,W) in RGB from luma (1,H,W) and chroma (2,H,W), which may go on beyond the frame."""
    import torch

    turn = opponent(frame.device).T

    def work(lines: slice) -> Tensor:
        whole = slice(lines.start, lines.stop + -lines.stop % dct.BLOCK)
        picture = mix(torch.cat([luma[:, whole], colours[:, whole]]), turn)
        if correct is not None:
            correct(picture, whole)
        return picture[:, : lines.stop - lines.start, : frame.width]

    return in_strips(frame.image, work)


def _padded(image: Tensor) -> Tensor:
    import torch.nn.functional as F

    _, height, width = image.shape
    if height % SIDE == 0 and width % SIDE == 0:
        return image
    return F.pad(image[None], (0, -width % SIDE, 0, -height % SIDE), mode="replicate")[0]
