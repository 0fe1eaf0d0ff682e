"""The spatial network grown by recurrence: it also sees its own past, and the next frame where there is one."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .flow import FlowNet
from .padding import crop, pad
from .spatial import Picture, Present
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
        level = pad(sigma.float().expand_as(noisy), multiple)
        coming = None if ahead is None else pad(ahead.float(), multiple)
        x = self.present(frame, level)
        trusted = x.new_zeros(x.shape[0], 1, *x.shape[-2:], dtype=torch.float32)
        here, there = None, None
        if state is not None or coming is not None:
            here = list(state.features) if state and state.features else self.flow.features(frame, level)
        if state is not None and here is not None:
            seen, trusted = self._past(frame, level, state, here)
            x = x + seen
        if coming is not None and here is not None:
            there = self.flow.features(coming, level)
            x = x + self._next(frame, level, coming, here, there)
        x = self.body(self.fusion(x))
        output = frame + self.picture(x)
        state = State(output, x[:, : self.tier.hidden], tuple(there) if there else None, trusted)
        return crop(output, height, width), state

    def _past(self, frame: Tensor, level: Tensor, state: State, here: list[Tensor]) -> tuple[Tensor, Tensor]:
        unshuffle = self.tier.unet.unshuffle
        before = state.output.detach()
        there = self.flow.features(before, level * LEFT)
        flow = self.flow.finish(self.flow.flows(here, there)[-1], frame, before, level)
        warped = warp(state.output, flow)
        trusted = trust(frame, warped, level, flow, unshuffle, noisy=1)
        small = F.avg_pool2d(flow, unshuffle) / unshuffle
        hidden = warp(state.hidden, small)
        return self.past(warped, trusted, hidden), trusted

    def _next(
        self, frame: Tensor, level: Tensor, coming: Tensor, here: list[Tensor], there: list[Tensor]
    ) -> Tensor:
        flow = self.flow.finish(self.flow.flows(here, there)[-1], frame, coming, level)
        warped = warp(coming, flow)
        return self.next(warped, trust(frame, warped, level, flow, self.tier.unet.unshuffle, noisy=2))  # type: ignore[no-any-return]

    def forward(self, noisy: Tensor, sigma: Tensor, ahead: Tensor) -> Tensor:
        """Clean clips (B,T,3,H,W) from their first frame on; `ahead` (B,) is 1 where the next frame is seen.

        Used for training: the frames are not padded over and over, and all of them keep their gradients.
        """
        outputs: list[Tensor] = []
        state = None
        frames = noisy.shape[1]
        for t in range(frames):
            coming = noisy[:, t + 1] if t + 1 < frames else None
            output, state = self._train_step(noisy[:, t], sigma[:, t], state, coming, ahead)
            outputs.append(output)
        return torch.stack(outputs, 1)

    def _train_step(
        self, noisy: Tensor, sigma: Tensor, state: State | None, coming: Tensor | None, ahead: Tensor
    ) -> tuple[Tensor, State]:
        x = self.present(noisy, sigma)
        trusted = x.new_zeros(x.shape[0], 1, *x.shape[-2:], dtype=torch.float32)
        here = list(state.features) if state and state.features else self.flow.features(noisy, sigma)
        there = None
        if state is not None:
            seen, trusted = self._past(noisy, sigma, state, here)
            x = x + seen
        if coming is not None:
            there = self.flow.features(coming, sigma)
            x = x + self._next(noisy, sigma, coming, here, there) * ahead.view(-1, 1, 1, 1).to(x.dtype)
        x = self.body(self.fusion(x))
        output = noisy + self.picture(x)
        return output, State(output, x[:, : self.tier.hidden], tuple(there) if there else None, trusted)
