"""Temporal fusion along optical flow, then shrinkage of the noise that is left: a denoiser without trained weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from vidnoise import dct
from vidnoise.filter import RecurrentFilter, option
from vidnoise.flow import QUICK, SharedFlow, warp
from vidnoise.fusion import Look, brightened, by_frequency, join, look, mix, opponent, recall
from vidnoise.light import lines
from vidnoise.scaling import area_means, enlarged, means_around
from vidnoise.stillness import Watch
from vidnoise.strips import at_once, in_strips
from vidnoise_filters.clipping import unclipping
from vidnoise_filters.level import noise_level, noise_spectrum, noise_variance

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from vidnoise.frame import Frame

SIDE = 2 * dct.BLOCK
"""Pictures are padded to multiples of this: a block of the halved chroma."""
HALF = dct.BLOCK // 2
SURE = 2.7
"""A coefficient this many deviations from zero is no noise."""
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
    """What is known of C channels after a frame: averaged along the motion, nothing else smoothed away; what stands still.

    Attributes:
        known: (C,H,W), by block and frequency.
        seen: None after the first frame.
    """

    known: Look
    seen: Watch | None = None


@dataclass(frozen=True)
class Parts:
    """A frame taken apart.

    Attributes:
        frame: where it is from.
        colours: (2,H,W), chroma at full size, padded.
        luma: of (1,H,W), padded.
        chroma: of (2,H/2,W/2).
        finest: (2,H/8,W/8), noise in what halving takes from chroma.
    """

    frame: Frame
    colours: Tensor
    luma: Look
    chroma: Look
    finest: Tensor


@dataclass(frozen=True)
class State:
    """What is carried from frame to frame.

    Attributes:
        frame: the last one.
        luma: at full size.
        chroma: at half.
        clean: (1,H,W), luma after shrinkage.
        ahead: the frames that were looked at ahead.
    """

    frame: Frame
    luma: Memory
    chroma: Memory
    clean: Tensor
    ahead: tuple[Parts, ...]


@dataclass(frozen=True)
class Fuse(RecurrentFilter[State]):
    """Averages each frame with the past along the motion, as far as the two agree, then shrinks the noise left over.

    The past is warped to the frame along dense optical flow and both are compared in 8x8 cosine transforms. Where they
    differ by no more than the noise, a frequency is averaged as a Kalman filter does it, with the variance left of all
    earlier frames; where they differ by more, at errors of the flow and uncovered areas, the frame itself is taken.
    Before a fixed camera, what stands still is averaged where it is, and over several times as many frames. So edges
    that moved too far lose nothing but their low frequencies' noise. What noise is left is known by block and
    frequency, and removed by a Wiener filter on two grids of blocks, with the previous result as its model (in the
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
        seen = state.ahead if state else ()
        shared = frame.flow if frame.flow is not None else SharedFlow()
        if state is None:
            shared.clear()
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
        ((luma, best, trust), model), (chroma, colours) = at_once(
            frame.image,
            lambda: (
                remember(parts.luma, state.luma if state else None, [p.luma for p in later], ways),
                _brought(state.clean, ways[0]) if state else None,
            ),
            lambda: _colours(parts, state.chroma if state else None, [p.chroma for p in later], ways),
        )
        clean = shrink(best, shrink(best, None) if model is None else model)
        _, confidence = at_once(
            frame.image,
            lambda: shared.guide(frame, clean[:, : frame.height, : frame.width] / math.sqrt(3)),
            lambda: enlarged(trust, dct.BLOCK)[:, : frame.height, : frame.width],
        )
        image = _picture(frame, clean, colours, correct)
        return frame.with_image(image, confidence), State(frame, luma, chroma, clean, tuple(later))

    def _parts(self, frame: Frame, seen: Sequence[Parts]) -> Parts:
        for parts in seen:
            if parts.frame is frame:
                return parts
        mixed = _padded(mix(frame.image, opponent(frame.device)))
        level = self._level(frame, mixed)
        spectrum = noise_spectrum(frame, self.sigma).to(level.device)
        power = by_frequency(spectrum)
        half = area_means(level[1:], 2)[:, None] / 4
        return Parts(
            frame,
            mixed[1:],
            look(mixed[:1], level[:1, None] * power[:1, :, None, None]),
            look(area_means(mixed[1:], 2), half * power[1:, _halved(level.device)][:, :, None, None]),
            level[1:] * spectrum[1:, -1, None, None],
        )

    def _level(self, frame: Frame, mixed: Tensor) -> Tensor:
        """(3,h,w): the variance of each opponent channel, by 8x8 blocks."""
        variance = noise_variance(frame, mixed, self.sigma) * self.strength**2
        variance[1:] *= self.chroma**2
        return variance.clamp_(min=1e-12)


def _brought(picture: Tensor, way: Way) -> Tensor:
    """A picture (C,H,W) along a way."""
    return warp(picture, way.flow).mul_(lines(way.gain, picture.shape[1], dct.BLOCK))


def remember(
    new: Look, past: Memory | None, later: Sequence[Look], ways: Sequence[Way]
) -> tuple[Memory, Look, Tensor]:
    """Fuse C channels with the past, if there is one, and with looks ahead; each has a way here, the past the first.

    Returns:
        What is to be remembered, the best that is known of the frame, and how far the past was trusted (C,h,w), 0..1.
    """
    import torch

    known, memory, trust = new, Memory(new), torch.zeros_like(new.variance[:, 0])
    if past is not None:
        known, share, seen = recall(new, past.known, ways[0].flow, past.seen, ways[0].gain)
        memory, trust = Memory(known, seen), share.mean(1)
    for other, way in zip(later, ways[past is not None :], strict=True):
        known, _ = join(known, brightened(Look(warp(other.picture, way.flow), other.variance), way.gain))
    return memory, known, trust


def shrink(noisy: Look, model: Tensor | None) -> Tensor:
    """Remove the noise from (C,H,W) by a model of the clean picture, or where there is none by what surely is no noise.

    Two grids of blocks, half a block apart in both directions, are cleaned and averaged, so that none of them shows.
    """
    pictures = [p for p in (noisy.picture, model) if p is not None]

    def work(lines: slice) -> Tensor:
        clean = _shrunk([p[:, lines] for p in pictures], noisy.variance[:, :, _blocks(lines)])
        other = _shrunk([_wider(p, lines) for p in pictures], _between(noisy.variance, _blocks(lines)))
        return _blended(clean, other[:, HALF:-HALF, HALF:-HALF])

    return in_strips(noisy.picture, work)


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


def _blocks(lines: slice) -> slice:
    return slice(lines.start // dct.BLOCK, lines.stop // dct.BLOCK)


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


def _shrunk(pictures: list[Tensor], variance: Tensor) -> Tensor:
    """The first picture cleaned block by block; the second, if there is one, is the model."""
    noisy = dct.forward(pictures[0])
    power = noisy.square()
    known = (SURE**2 * variance).lt_(power)  # in place it gives floats, which is several times as fast
    if len(pictures) > 1:
        power = dct.forward(pictures[1]).square_().lerp_(power, known)
    else:
        power.mul_(known)
    # The best linear estimate where the clean coefficients have this power; the mean of a block is kept.
    gain = power.div_(power + variance)
    gain[:, 0] = 1
    return dct.inverse(gain.mul_(noisy))


def _colours(
    parts: Parts, past: Memory | None, later: Sequence[Look], ways: Sequence[Way]
) -> tuple[Memory, Tensor]:
    """What is to be remembered of chroma, and its clean picture (2,H,W)."""
    halved = [Way(way.flow[:, ::2, ::2] / 2, (way.gain[::2] + way.gain[1::2]) / 2) for way in ways]
    memory, best, _ = remember(parts.chroma, past, later, halved)
    clean = shrink(best, None)  # a model gains nothing here
    return memory, _restored(parts.colours, parts.chroma.picture, clean, parts.finest)


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


@cache
def _halved(device: torch.device) -> Tensor:
    """(64,): the frequency that each of a halved picture has in the whole one."""
    import torch

    step = torch.arange(dct.BLOCK, device=device) // 2
    return (step[:, None] * dct.BLOCK + step).flatten()
