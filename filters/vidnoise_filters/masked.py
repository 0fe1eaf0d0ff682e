"""A network that draws where the noise is, and cleans there."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from vidnoise.filter import option
from vidnoise.flow import SharedFlow, warp
from vidnoise_filters.gray import as_gray_as
from vidnoise_filters.level import audible
from vidnoise_filters.network import RecurrentNetworkFilter

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from vidnoise.filter import Step
    from vidnoise.frame import Frame
    from vidnoise.nets import Masked as Network

SURE = 0.8
"""A pixel whose mask is above it is an impulse: off by more than 80 8-bit steps."""
ENOUGH = 1e-3
"""A frame with so large a share of impulses is noisy."""


@dataclass(frozen=True)
class Seen:
    """A frame, and the mask of its noise (1,H,W), 0..1."""

    frame: Frame
    mask: Tensor


@dataclass(frozen=True)
class State:
    """Frames before the last one and it, as many as are looked at, and those after it that are known."""

    past: tuple[Seen, ...]
    ahead: tuple[Seen, ...]


@dataclass(frozen=True)
class Masked(RecurrentNetworkFilter[State]):
    """Draws a mask of where the noise is, and cleans there: for impulses, and noise that is not everywhere alike.

    A light network draws the mask; a U-Net sees it beside the frame, and where the mask says that a pixel is lost it goes
    by what surrounds it. With several frames, their masks are brought to this one along optical flow: noise that lasts is
    seen more surely in several masks, an impulse in its own alone. 168 thousand operations a pixel. A frame in which no
    noise is found passes untouched.

    (3,H,W) in and out.
    """

    halo: ClassVar[int] = 128
    bytes_per_pixel: ClassVar[int] = 500

    strength: float = option(
        1.0, low=0, high=1, help="share of the noise that is removed: raise it for less noise and less detail"
    )
    threshold: float = option(
        0.2,
        low=0,
        high=1,
        help="areas whose mask is below it are cleaned in part only: raise it to leave cleaner areas as they are, 0 cleans "
        "all alike",
    )
    frames: int = option(
        1,
        low=1,
        high=7,
        step=2,
        unit="frames",
        help="how many frames' masks are fused: raise it for a surer mask, later and slower",
    )

    @property
    def ahead(self) -> int:
        """Half the frames; as many before are looked at."""
        return self.frames // 2

    @property
    def wants_motion(self) -> bool:
        """With more than one frame."""
        return self.frames > 1

    @property
    def wants_noise(self) -> bool:
        """To know what is clean."""
        return self.strength > 0

    @property
    def weights(self) -> str:
        """The filter's name."""
        return self.name

    def stepping(self, device: torch.device, dtype: torch.dtype, int8: bool = False) -> Step[State]:
        """See `RecurrentNetworkFilter.stepping`; there are no 8 bits for it."""
        from vidnoise.nets import Masked as Network
        from vidnoise.nets import load

        network = load(self.weights, device, dtype)
        assert isinstance(network, Network)
        return partial(self._step, network)

    def _step(
        self, network: Network, frame: Frame, state: State | None, ahead: Sequence[Frame]
    ) -> tuple[Frame, State]:
        past, known = (state.past, state.ahead) if state else ((), ())
        now, *later = (_seen(network, f, known) for f in (frame, *ahead))
        after = State(tuple(deque((*past, now), self.ahead)), tuple(later))
        share = max(audible(frame, 0), _hit(now.mask)) * self.strength
        if share == 0:
            return frame, after
        mask = _fused(now, (*past, *later))
        change = as_gray_as(network.clean(frame.image[None], mask[None])[0], frame.image) - frame.image
        where = (mask / self.threshold).clamp(max=1) if self.threshold else 1.0
        return frame.with_image(frame.image + share * where * change), after


def _seen(network: Network, frame: Frame, known: Sequence[Seen]) -> Seen:
    for seen in known:
        if seen.frame is frame:
            return seen
    return Seen(frame, network.logits(frame.image[None])[0].sigmoid())


def _hit(mask: Tensor) -> float:
    """The same from impulses, which an estimate of the noise between them overlooks, by a mask (1,H,W)."""
    return min(float((mask > SURE).float().mean()) / ENOUGH, 1)


def _fused(now: Seen, others: Sequence[Seen]) -> Tensor:
    """The mask of a frame (1,H,W): its own, or what those of the others say in the mean where that is more."""
    import torch

    if not others:
        return now.mask
    flow = now.frame.flow or SharedFlow()
    brought = [warp(other.mask, flow.between(now.frame, other.frame)) for other in others]
    return torch.maximum(now.mask, torch.stack(brought).mean(0))
