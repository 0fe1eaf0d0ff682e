"""The spatial network grown by recurrence: it also sees its own past, and the next frame if there is one."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .flow import FlowNet
from .padding import crop, pad
from .spatial import Picture, Present, noise_level
from .tiers import Tier
from .unet import UNet, blocks, conv3
from .warp import trust, warp

# The previous output keeps about this share of the noise; the flow network is told so.
LEFT = 0.25


@dataclass(frozen=True)
class State:
    """What one stream hands on from frame to frame, at the padded size.

    Attributes:
        output: (B,3,H,W) the previous clean frame.
        hidden: (B,C,H/u,W/u) features of the previous frame.
        features: the flow features of the next frame, if it was looked at.
        trust: (B,1,H/u,W/u) how far the past was trusted at the previous frame, 0 to 1 (0 at a start).
    """

    output: Tensor
    hidden: Tensor
    features: tuple[Tensor, ...] | None
    trust: Tensor


class Past(nn.Module):
    """Warped pictures and features become features; all zero in, zero out."""

    def __init__(self, unshuffle: int, hidden: int, channels: int) -> None:
        super().__init__()
        self.unshuffle = unshuffle
        self.conv = conv3(3 * unshuffle**2 + 1 + hidden, channels)
        with torch.no_grad():
            self.conv.weight.mul_(0.5)

    def forward(self, picture: Tensor, trusted: Tensor, *hidden: Tensor) -> Tensor:
        """Picture (B,3,H,W), trust (B,1,H/u,W/u), features (B,C,H/u,W/u) -> (B,channels,H/u,W/u)."""
        x = torch.cat([F.pixel_unshuffle(picture, self.unshuffle), trusted, *hidden], 1)
        x = x.to(self.conv.weight.dtype).contiguous(memory_format=torch.channels_last)
        return self.conv(x)  # type: ignore[no-any-return]


class TemporalDenoiser(nn.Module):
    """Removes noise of a known level from video, one frame at a time.

    Without a past and without a next frame it is the spatial network of the same shape.
    """

    def __init__(self, tier: Tier) -> None:
        super().__init__()
        self.tier = tier
        first, unshuffle = tier.unet.channels[0], tier.unet.unshuffle
        self.present = Present(unshuffle, first)
        self.past = Past(unshuffle, tier.hidden, first)
        self.next = Past(unshuffle, 0, first)
        self.fusion = blocks(tier.fusion, first)
        self.body = UNet(tier.unet)
        self.picture = Picture(unshuffle, first)
        self.flow = FlowNet(tier.flow)

    def step(
        self, noisy: Tensor, sigma: Tensor, state: State | None = None, ahead: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """Clean one frame.

        Args:
            noisy: (B,3,H,W), any size, nominal [0,1], not clipped.
            sigma: (B,3,H,W) or broadcastable to it: the noise's standard deviation.
            state: what the previous step returned; None at a start or a cut.
            ahead: (B,3,H,W), the next noisy frame, or None.

        Returns:
            The clean frame (B,3,H,W), float32, and the state for the next step.
        """
        height, width = noisy.shape[-2:]
        multiple = self.tier.unet.multiple
        frame = pad(noisy.float(), multiple)
        level = noise_level(sigma, frame, self.tier.unet.unshuffle)
        coming = None if ahead is None else pad(ahead.float(), multiple)
        output, after = self._advance(frame, level, state, coming, 1.0)
        return crop(output, height, width), after

    def _advance(
        self, frame: Tensor, level: Tensor, state: State | None, coming: Tensor | None, seen: Tensor | float
    ) -> tuple[Tensor, State]:
        # At the padded size; `seen` is how much of the next frame is let in.
        x = self.present(frame, level)
        trusted = level.new_zeros(level.shape[0], 1, *level.shape[-2:])
        here, there = None, None
        if state is not None or coming is not None:
            known = state.features if state else None
            here = list(known) if known else self.flow.features(frame, level.mean(1, keepdim=True))
        if state is not None and here is not None:
            past, trusted = self._past(frame, level, state, here)
            x = x + past
        if coming is not None and here is not None:
            there = self.flow.features(coming, level.mean(1, keepdim=True))
            x = x + (self._next(frame, level, coming, here, there) * seen).to(x.dtype)
        x = self.body(self.fusion(x))
        output = frame + self.picture(x)
        return output, State(output, x[:, : self.tier.hidden], tuple(there) if there else None, trusted)

    def _flow(
        self, here: list[Tensor], there: list[Tensor], frame: Tensor, other: Tensor, level: Tensor
    ) -> tuple[Tensor, Tensor]:
        # The flow of every pixel, and of every cell in cells.
        flow = self.flow.finish(self.flow.flows(here, there)[-1], frame, other, level.mean(1, keepdim=True))
        cell = self.tier.unet.unshuffle
        return flow, F.avg_pool2d(flow, cell) / cell

    def _past(self, frame: Tensor, level: Tensor, state: State, here: list[Tensor]) -> tuple[Tensor, Tensor]:
        before = state.output.detach()
        there = self.flow.features(before, level.mean(1, keepdim=True) * LEFT)
        flow, small = self._flow(here, there, frame, before, level)
        warped = warp(state.output, flow)
        trusted = trust(frame, warped, level, small, noisy=1)
        past: Tensor = self.past(warped, trusted, warp(state.hidden, small))
        return past, trusted

    def _next(
        self, frame: Tensor, level: Tensor, coming: Tensor, here: list[Tensor], there: list[Tensor]
    ) -> Tensor:
        flow, small = self._flow(here, there, frame, coming, level)
        warped = warp(coming, flow)
        seen: Tensor = self.next(warped, trust(frame, warped, level, small, noisy=2))
        return seen

    def forward(self, noisy: Tensor, sigma: Tensor, ahead: Tensor) -> Tensor:
        """Clean clips (B,T,3,H,W) from their first frame on; `ahead` (B,) is 1 where the next frame is seen.

        Used for training: the size must be a multiple of the network's, and all frames keep their gradients.
        """
        outputs: list[Tensor] = []
        state = None
        seen = ahead.view(-1, 1, 1, 1)
        frames = noisy.shape[1]
        for t in range(frames):
            coming = noisy[:, t + 1] if t + 1 < frames else None
            level = noise_level(sigma[:, t], noisy[:, t], self.tier.unet.unshuffle)
            output, state = self._advance(noisy[:, t], level, state, coming, seen)
            outputs.append(output)
        return torch.stack(outputs, 1)
