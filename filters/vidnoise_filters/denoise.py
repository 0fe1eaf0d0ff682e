"""The learned denoiser: frames are averaged along optical flow, and a network cleans the average."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar, TypeAlias

from vidnoise import dct
from vidnoise.filter import option
from vidnoise.flow import FINE, QUICK, USUAL, Search, SharedFlow, warp
from vidnoise.fusion import Look, brightened, coloured, join, lasted, look, mix, opponent, recall
from vidnoise.options import QUALITIES
from vidnoise.stillness import Watch
from vidnoise_filters import fuse, steady
from vidnoise_filters.believable import believable
from vidnoise_filters.clipping import unclip
from vidnoise_filters.level import (
    audible,
    in_blocks,
    in_pixels,
    lasting,
    noise_blocks,
    noise_level,
    noise_spectrum,
)
from vidnoise_filters.network import RecurrentNetworkFilter
from vidnoise_filters.portion import Portion, bounded, picture_mask

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from torch.nn import Module

    from vidnoise.device import Device
    from vidnoise.filter import Stage, Step
    from vidnoise.frame import Frame, StreamInfo


@dataclass(frozen=True)
class State:
    """The last frame, what is known of it (opponent colours, averaged with all earlier frames), and what stands still."""

    frame: Frame
    known: Look
    seen: Watch | None


Known: TypeAlias = State | fuse.State | steady.State


@dataclass(frozen=True)
class Denoise(RecurrentNetworkFilter[Known]):
    """Averages each frame with its past, as far as the two agree, and cleans the average by a trained network.

    The average is `fuse`'s: frequency by frequency, along optical flow, over many frames where nothing moves. It leaves
    less noise, and it is known how much at each place and frequency; the network is told, and sees the frame itself, so
    that it can mend what the flow missed. Its body is residual groups without biases (Mohan et al., ICLR 2020) on folded
    pixels, with a map of the noise level as FFDNet has it (Zhang, Zuo, Zhang, IEEE TIP 2018). A frame in which no noise is
    found passes untouched; in clips, of weak noise that may be texture little is removed.

    (3,H,W) in and out; the frame's `confidence` is set: 1 where the past was taken whole, 0 where it was not.
    """

    halo: ClassVar[int] = 64
    bytes_per_pixel: ClassVar[int] = 625

    quality: str = option(
        "balanced",
        choices=("fastest", *QUALITIES),
        help="balanced has a network clean the average; best asks it eight times, of the picture turned and mirrored, and "
        "searches motion for longer; fast is `fuse`, in a fraction of the time; fastest is `steady`, for "
        "fixed cameras on slow machines",
    )
    sigma: float = option(
        0.0, low=0, high=100, unit="8-bit steps", help="deviation of the noise; 0 takes the estimate"
    )
    strength: float = option(
        1.0,
        low=0,
        high=2,
        help="up to 1 the share of the noise that is removed, above it a factor on the noise that is assumed: raise it for "
        "less noise and less detail",
    )
    chroma: float = option(
        1.0,
        low=0,
        high=2,
        help="the same for colour noise alone: below 1 some is kept, above 1 colours are smoothed further",
    )
    grain: float = option(
        0.0, low=0, high=1, help="share of the fine grain that is given back: raise it for a livelier picture"
    )
    mask: str = option(
        "",
        unit="file",
        help="a picture of any size, white where noise is removed, black where nothing is changed",
    )
    settled: float = option(
        1.0,
        low=0,
        high=1,
        help="share that is removed where a `fuse` before it trusted the past: lower it to work on the rest alone",
    )
    ahead: int = option(
        1,
        low=0,
        high=2,
        unit="frames",
        help="frames to look ahead: raise it for less noise, later and slower",
    )

    @property
    def wants_noise(self) -> bool:
        """Unless sigma is given, or nothing is removed."""
        return self.sigma == 0 and self.strength > 0

    @property
    def weights(self) -> str:
        """Those of `fuse` with quality=fast, none with fastest."""
        return {"fast": fuse.Fuse().weights, "fastest": ""}.get(self.quality, "temporal-balanced")

    @property
    def tileable(self) -> bool:
        """Not with a mask, which is of the whole picture."""
        return not self.mask

    def open(self, info: StreamInfo, device: Device) -> Stage:
        """See `Filter.open`.

        Raises:
            FilterError: the mask is no picture.
            VidnoiseError: the weights are missing or were changed.
        """
        if self.mask:
            picture_mask(self.mask, info.height, info.width)
        return super().open(info, device)

    def stepping(self, device: torch.device, dtype: torch.dtype, int8: bool = False) -> Step[Known]:
        """See `RecurrentNetworkFilter.stepping`."""
        from vidnoise.nets import load_at

        name = "" if self.quality in ("fast", "fastest") else self.weights
        return partial(self._step, load_at(self.quality, name, device, dtype, int8))

    def _step(
        self,
        network: Module | None,
        frame: Frame,
        state: Known | None,
        ahead: Sequence[Frame],
    ) -> tuple[Frame, Known | None]:
        heard = audible(frame, self.sigma, max(self.strength, 1), state is not None or bool(ahead))
        if self.strength == 0 or heard == 0:
            return frame, None
        after: Known
        if network is None:
            done, after = self._as_fuse_or_steady(frame, state, ahead)
        else:
            assert state is None or isinstance(state, State)
            done, after = self._averaged(network, frame, state, ahead)
        portion = Portion(heard * min(self.strength, 1), self.chroma, self.grain)
        return done.with_image(portion(frame.image, done.image, self._where(frame)), done.confidence), after

    def _as_fuse_or_steady(
        self, frame: Frame, state: Known | None, ahead: Sequence[Frame]
    ) -> tuple[Frame, Known]:
        strength = max(self.strength, 1)
        if self.quality == "fastest":
            assert state is None or isinstance(state, steady.State)
            return steady.Steady(sigma=self.sigma, strength=strength).step(frame, state, ())
        assert state is None or isinstance(state, fuse.State)
        return fuse.Fuse(sigma=self.sigma, strength=strength, ahead=self.ahead).step(frame, state, ahead)

    def _averaged(
        self, network: Module, frame: Frame, state: State | None, ahead: Sequence[Frame]
    ) -> tuple[Frame, State]:
        """The frame averaged along the motion, and the average cleaned."""
        level = self._level(frame)
        variance = self._variance(frame, level)
        fleeting = self._fleeting(frame, variance)
        known, trust, seen = _known(frame, fleeting, state, self._noise(frame), self._search)
        best = known
        for later in ahead:
            best, _ = join(best, self._coming(frame, later))
        output = _clean(network, frame, level, lasted(best, variance, lasting(frame, self.sigma)))
        if frame.flow is not None:
            frame.flow.guide(frame, output, self._search)
        most = in_pixels(level, frame.height, frame.width)
        clean = bounded(believable(output, frame.image, variance), frame.image, most)
        clean = unclip(clean, frame, self.sigma, 1)
        return frame.with_image(clean, trust[:, : frame.height, : frame.width]), State(frame, known, seen)

    def _coming(self, frame: Frame, later: Frame) -> Look:
        """A later frame, brought to where this one's things are."""
        matrix = opponent(frame.device)
        # What comes is averaged once, what was is carried on: its flow has to be better.
        how = QUICK if self._search is USUAL else FINE
        shared = frame.flow or SharedFlow()
        picture = warp(
            in_blocks(later.image), in_blocks(shared.between(frame, later, how)), cubic=how is FINE
        )
        sight = Look(mix(picture, matrix), self._fleeting(later, self._variance(later, self._level(later))))
        return brightened(sight, shared.brightening(frame, later, self._noise(frame), how))

    @property
    def _search(self) -> Search:
        return FINE if self.quality == "best" else USUAL

    def _noise(self, frame: Frame) -> float:
        """The deviation of the noise of the whole frame, on the scale of the picture."""
        return noise_level(frame, self.sigma) / 255

    def _level(self, frame: Frame) -> Tensor:
        """The deviation of the noise in 8x8 blocks (3,h,w), on the scale of the picture."""
        return noise_blocks(frame, self.sigma) * max(self.strength, 1)

    def _variance(self, frame: Frame, level: Tensor) -> Tensor:
        """The same by opponent colour and frequency (3,64,h,w)."""
        return coloured(level, noise_spectrum(frame, self.sigma).to(level.device), opponent(frame.device))

    def _fleeting(self, frame: Frame, variance: Tensor) -> Tensor:
        """What of it averages over time take away."""
        share = lasting(frame, self.sigma)
        return variance * (1 - share) if share else variance

    def _where(self, frame: Frame) -> Tensor | None:
        """The share of the change that is wanted at each pixel, (1,H,W); None for all of it."""
        where = None
        if self.settled < 1 and frame.confidence is not None:
            where = 1 - (1 - self.settled) * frame.confidence
        if self.mask:
            mask = picture_mask(self.mask, frame.height, frame.width).to(frame.device)
            where = mask if where is None else where * mask
        return where


def _known(
    frame: Frame, variance: Tensor, state: State | None, noise: float, how: Search
) -> tuple[Look, Tensor, Watch | None]:
    """The frame averaged with its past, how far that was trusted (1,H,W), and what stands still."""
    import torch.nn.functional as F

    matrix = opponent(frame.device)
    image = in_blocks(frame.image)
    new = look(mix(image, matrix), variance)
    if state is None:
        return new, image.new_zeros(1, *image.shape[1:]), None
    shared = frame.flow or SharedFlow()
    flow, gain = shared.between(frame, state.frame, how), shared.brightening(frame, state.frame, noise, how)
    known, share, seen = recall(new, state.known, in_blocks(flow), state.seen, gain)
    trust = share[:1].mean(1, keepdim=True)
    return known, F.interpolate(trust, scale_factor=float(dct.BLOCK), mode="bilinear")[0], seen


def _clean(network: Module, frame: Frame, level: Tensor, best: Look) -> Tensor:
    from vidnoise.nets import bands_of

    matrix = opponent(frame.device)
    left, bands = bands_of(best, matrix)
    fused = mix(best.picture, matrix.T)[:, : frame.height, : frame.width]
    output: Tensor = network(*(part[None] for part in (fused, left, frame.image, level, bands)))[0]
    return output
