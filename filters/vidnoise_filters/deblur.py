"""Motion deblurring: the path that was moved along is found and undone, and a guard leaves the rest as it was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from vidnoise.areas import HOP
from vidnoise.bent_motion import find_paths
from vidnoise.deconvolution import NOISES, deconvolve, undo
from vidnoise.filter import option
from vidnoise.flow import SharedFlow, search, visible, warp
from vidnoise.motion_blur import chances_if_blurred, directed
from vidnoise.options import QUALITIES
from vidnoise.ramps import ramp
from vidnoise.scaling import means_around
from vidnoise.strips import at_once
from vidnoise_filters.gray import as_gray_as
from vidnoise_filters.network import RecurrentNetworkFilter

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from torch.nn import Module

    from vidnoise.bent_motion import Paths
    from vidnoise.filter import Step
    from vidnoise.frame import Frame

UNLIKELY, LIKELY = 0.5, 0.75
"""Chance of any motion: below the first an area stays as it is, above the second it is sharpened whole."""
DOUBTED, TRUSTED = 0.3, 0.4
"""Confidence: below the first the frame stays as it was, above the second it is sharpened whole."""
LEARNED = 2 / 3
"""The network's share of the result; the rest is the best guess without it, of which it keeps too little."""
SPANS = (1, 2, 4, 8, 1)
"""Pixels by which ranges are shifted and joined, one after another: the result is held to that of 17x17 pixels."""
OVERSHOOT = 0.5
"""How far the result may leave that range, as a share of it."""
DETAILED = 24 / 255
"""A range from which on there is something to sharpen; where there is less, rings would show most, and less is changed."""
PAST = 1.5
"""Weight of what was made of the past against what is made of the frame alone, where both show the same."""
UNLIKE = 3.0
"""How many times the power of the change to the frame both have to differ by for half of that weight; rings do by less."""
STEADY = (2 / 255) ** 2
"""Power that is allowed for where nothing was changed."""


@dataclass(frozen=True)
class State:
    """The frame before, and what was made of it (3,H,W)."""

    frame: Frame
    done: Tensor


@dataclass(frozen=True)
class Deblur(RecurrentNetworkFilter[State]):
    """Takes the blur of camera shake and of moving things from frames, by a trained network, where there is any.

    Which straight motion blurred the frame is read from its spectrum, area by area; from there the bent path that the
    camera moved along is found (`vidnoise.bent_motion`) and undone by a Wiener filter, as far as it explains what is seen.
    A network makes the sharp frame of that and of the blurred one, from coarse to fine with the same weights at each
    scale, taking its features along (Tao et al., "Scale-recurrent Network for Deep Image Deblurring", CVPR 2018). It sees
    the frames before and after as well, brought here along optical flow, since what is blurred in one is often less so,
    or in another direction, in its neighbour. What is made of the frame is then averaged with what was made of the past,
    along the flow between the two: what rings in one does not in the other.

    A frame that is sharp passes untouched, and so does what is out of focus: there a disc explains the spectrum better than
    any path, or nothing fine is left across the path either. Elsewhere the result is taken only where there is blur, sure
    or explained by the path, and the network is confident, and held to the range of brightness around each pixel; areas
    with little detail are changed less. There ringing would show.

    (3,H,W) in and out.
    """

    halo: ClassVar[int] = 96
    bytes_per_pixel: ClassVar[int] = 700

    quality: str = option(
        "balanced",
        choices=QUALITIES,
        help="balanced has a network make the sharp frame; best asks it eight times, of the picture turned and mirrored; "
        "fast undoes the motion without a network",
    )
    strength: float = option(
        1.0, low=0, high=1, help="share of the change that is made: lower it for a softer picture"
    )
    ahead: int = option(
        1,
        low=0,
        high=1,
        unit="frames",
        help="frames that the network looks ahead: raise it for a sharper picture, later",
    )

    @property
    def weights(self) -> str:
        """None with quality=fast."""
        return "" if self.quality == "fast" else "deblur-balanced"

    @classmethod
    def examples(cls) -> tuple[Deblur, ...]:
        """All qualities."""
        return cls(), cls(quality="fast"), cls(quality="best")

    def stepping(self, device: torch.device, dtype: torch.dtype, int8: bool = False) -> Step[State]:
        """See `RecurrentNetworkFilter.stepping`."""
        from vidnoise.nets import load_at

        return partial(self._step, load_at(self.quality, self.weights, device, dtype, int8), dtype)

    def _step(
        self,
        network: Module | None,
        dtype: torch.dtype,
        frame: Frame,
        state: State | None,
        ahead: Sequence[Frame],
    ) -> tuple[Frame, State]:
        found = blur_of(frame, self.strength, dtype)
        if found is None:
            return frame, State(frame, frame.image)
        gray, chances, moved = found
        paths, near, steady = at_once(
            frame.image,
            lambda: find_paths(gray, chances),
            lambda: None if network is None else _near(frame, state.frame if state else None, ahead),
            lambda: deconvolve(gray, chances, NOISES[:1]),
        )
        share = moved = moved * explained(frame, chances, paths)
        if not bool(moved.any()):
            return frame, State(frame, frame.image)
        undone = undo(gray, chances, paths, steady, best_alone=network is None)
        sharp = frame.image + undone[:, 0]
        if network is not None and near is not None:
            output, trust = network(frame.image[None], undone[:, 1:], near[None])
            sharp, share = sharp.lerp(output[0], LEARNED), share * ramp(trust[0], DOUBTED, TRUSTED)
        done = sharpened(frame, sharp, share).image
        if state is not None:
            done = done + moved * (averaged(done, state.done, frame.image) - done)
        return frame.with_image(done), State(frame, done)


def blur_of(
    frame: Frame, strength: float, dtype: torch.dtype | None = None
) -> tuple[Tensor, Tensor, Tensor] | None:
    """Which motion may have blurred a frame; nothing where none is seen, or at no strength.

    Args:
        frame: the blurred frame.
        strength: share of the change that is made where there surely is blur.
        dtype: of the network that tells the motion; float32 if not given.

    Returns:
        The brightness (1,H,W), the chances of motions in its areas, see `motion_blur.blur_chances`, and the share of the
        change that is made at each pixel (1,H,W).
    """
    gray = frame.image.mean(0)[None]
    chances = chances_if_blurred(gray, LIKELY, dtype) if strength else None
    if chances is None:
        return None
    share = ramp(1 - chances[..., 0], UNLIKELY, LIKELY) * directed(chances)
    if not bool(share.any()):
        return None
    return gray, chances, strength * _in_pixels(share, frame.height, frame.width)


def explained(frame: Frame, chances: Tensor, paths: Paths) -> Tensor:
    """`Paths.explain` at each pixel of a frame (1,H,W)."""
    return _in_pixels(paths.explain(chances), frame.height, frame.width)


def sharpened(frame: Frame, sharp: Tensor, share: Tensor) -> Frame:
    """A frame changed by a share (1,H,W) towards what was made of it (3,H,W), but so that nothing rings."""
    high, low = _highest(frame.image), -_highest(-frame.image)
    span = high - low
    held = sharp.clamp(low - span * OVERSHOOT, high + span * OVERSHOOT)
    change = as_gray_as(held, frame.image) - frame.image
    plain = (span.amax(0, keepdim=True) / DETAILED).clamp(max=1)
    return frame.with_image(frame.image + change * share * plain)


def averaged(done: Tensor, past: Tensor, frame: Tensor) -> Tensor:
    """What was made of a frame and of the past (3,H,W), averaged along their flow as far as both show the same.

    Args:
        done: the frame, sharpened.
        past: what was made of the one before.
        frame: as it was: the more of it was changed, the further may the two be apart.
    """
    way, back = at_once(done, lambda: search(done, past), lambda: search(past, done))
    brought = warp(past, way, cubic=True)
    apart, changed = (means_around((x - done).square().mean(0, keepdim=True), 3)[0] for x in (brought, frame))
    alike = 1 / (1 + (apart / (UNLIKE * (changed + STEADY))).square())
    share = PAST * alike * visible(way, back)
    return done + share / (1 + share) * (brought - done)


def _near(frame: Frame, before: Frame | None, ahead: Sequence[Frame]) -> Tensor:
    """What the frames before and after show that this one does not (6,H,W)."""
    import torch

    from vidnoise.nets.deblur import news

    flow = frame.flow or SharedFlow()
    return torch.cat(
        [
            torch.zeros_like(frame.image)
            if other is None
            else news(frame.image, other.image, flow.between(frame, other), flow.between(other, frame))
            for other in (before, next(iter(ahead), None))
        ]
    )


def _in_pixels(share: Tensor, height: int, width: int) -> Tensor:
    """A share at each pixel (1,H,W) from that in areas (1,rows,columns)."""
    import torch.nn.functional as F

    size = [(n - 1) * HOP + 1 for n in share.shape[1:]]
    whole = F.interpolate(share[None], size, mode="bilinear", align_corners=True)
    return whole[0, :, :height, :width]


def _highest(image: Tensor) -> Tensor:
    """The highest value around each pixel of (3,H,W); many times as fast as pooling with so large a window."""
    import torch
    import torch.nn.functional as F

    found = F.pad(image[None], (sum(SPANS) // 2,) * 4, mode="replicate")[0]
    for axis in (1, 2):
        for span in SPANS:
            rest = found.shape[axis] - span
            found = torch.maximum(found.narrow(axis, 0, rest), found.narrow(axis, span, rest))
    return found
