"""Motion deblurring: a network sharpens what is blurred, and a guard leaves the rest as it was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from vidnoise.filter import RecurrentFilter, RecurrentStage, option
from vidnoise.flow import SharedFlow
from vidnoise.motion_blur import blur_length, blur_lengths

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from vidnoise.device import Device
    from vidnoise.filter import Stage
    from vidnoise.frame import Frame, StreamInfo
    from vidnoise.nets import Deblurrer

SHARP, BLURRED = 1.5, 3.0
"""Pixels: what is blurred by less than the first stays as it is, by more than the second is sharpened whole; a frame most
of which is blurred by less than the first stays as a whole."""
DOUBTED, TRUSTED = 0.5, 0.6
"""Confidence: below the first the frame stays as it was, above the second the network's result is taken."""
AROUND = 9
"""Pixels: the side of the neighbourhood whose range the result is held to."""
OVERSHOOT = 0.5
"""How far the result may leave that range, as a share of it."""


@dataclass(frozen=True)
class Deblur(RecurrentFilter["Frame"]):
    """Takes the blur of camera shake and of moving things from frames, by a trained network, where there is any.

    The network works from coarse to fine with the same weights at each scale and takes its features along (Tao et al.,
    "Scale-recurrent Network for Deep Image Deblurring", CVPR 2018); it sees the frames before and after as well, brought
    here along optical flow, since what is blurred in one is often less so, or in another direction, in its neighbour.

    How long the blur is, is measured first: a frame that is sharp passes untouched. Elsewhere the result is taken only
    where there is blur and the network is confident, and held to the range of brightness around each pixel, so that
    nothing rings.

    (3,H,W) in and out.
    """

    halo: ClassVar[int] = 96
    bytes_per_pixel: ClassVar[int] = 700

    strength: float = option(
        1.0, low=0, high=1, help="share of the change that is made: lower it for a softer picture"
    )
    ahead: int = option(
        1, low=0, high=1, unit="frames", help="frames to look ahead: raise it for a sharper picture, later"
    )

    def open(self, info: StreamInfo, device: Device) -> Stage:
        """See `Filter.open`.

        Raises:
            VidnoiseError: the weights are missing or were changed.
        """
        network = _network(device.torch, device.dtype)
        return RecurrentStage(self, lambda frame, state, ahead: self._step(network, frame, state, ahead))

    def step(self, frame: Frame, state: Frame | None, ahead: Sequence[Frame]) -> tuple[Frame, Frame]:
        """See `RecurrentFilter.step`; in float32, on the device of the frame."""
        import torch

        return self._step(_network(frame.device, torch.float32), frame, state, ahead)

    def _step(
        self, network: Deblurrer, frame: Frame, state: Frame | None, ahead: Sequence[Frame]
    ) -> tuple[Frame, Frame]:
        if state is None and frame.flow is not None:
            frame.flow.clear()
        lengths = blur_lengths(frame.image)
        if self.strength == 0 or blur_length(lengths) < SHARP:
            return frame, frame
        where = _blurred(lengths, frame.height, frame.width) * self.strength
        sharp, trust = network(frame.image[None], _near(frame, state, ahead)[None])
        change = _bounded(sharp[0], frame.image) - frame.image
        return frame.with_image(frame.image + change * _sure(trust[0]) * where), frame


def _network(device: torch.device, dtype: torch.dtype) -> Deblurrer:
    from vidnoise.nets import Deblurrer, load

    network = load("deblur-balanced", device, dtype)
    assert isinstance(network, Deblurrer)
    return network


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


def _blurred(lengths: Tensor, height: int, width: int) -> Tensor:
    """The share of the change that is made at each pixel (1,H,W), from the length of the blur in cells (h,w)."""
    import torch.nn.functional as F

    share = ((lengths - SHARP) / (BLURRED - SHARP)).clamp(0, 1)
    return F.interpolate(share[None, None], (height, width), mode="bilinear")[0]


def _sure(trust: Tensor) -> Tensor:
    """From the network's confidence (1,H,W) to the share of its change that is made."""
    return ((trust - DOUBTED) / (TRUSTED - DOUBTED)).clamp(0, 1)


def _bounded(sharp: Tensor, blurred: Tensor) -> Tensor:
    """The result (3,H,W), held to the blurred frame's range around each pixel and a little more: what rings leaves it."""
    import torch.nn.functional as F

    high = F.max_pool2d(blurred[None], AROUND, 1, AROUND // 2)[0]
    low = -F.max_pool2d(-blurred[None], AROUND, 1, AROUND // 2)[0]
    room = (high - low) * OVERSHOOT
    return sharp.clamp(low - room, high + room)
