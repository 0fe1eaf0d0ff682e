"""What a network costs."""

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from .spatial import SpatialDenoiser
from .temporal import TemporalDenoiser


def count_parameters(module: nn.Module) -> int:
    """The number of learned values."""
    return sum(p.numel() for p in module.parameters())


def kflop_per_pixel(module: nn.Module, size: int = 256, *, ahead: bool = True) -> float:
    """Thousands of floating-point operations (two for each multiply-add) a pixel and frame.

    Counted by running one frame of `size` x `size` on the meta device, for the temporal network a frame in
    the middle of a stream, flow included, with the next frame if `ahead`.
    """
    module = type(module)(module.tier).to("meta")
    frame = torch.zeros(1, 3, size, size, device="meta")
    with FlopCounterMode(display=False) as counter:
        if isinstance(module, TemporalDenoiser):
            _, state = module.step(frame, frame, None, frame if ahead else None)
            start = counter.get_total_flops()
            module.step(frame, frame, state, frame if ahead else None)
            return float(counter.get_total_flops() - start) / size**2 / 1e3
        assert isinstance(module, SpatialDenoiser)
        module(frame, frame)
    return float(counter.get_total_flops()) / size**2 / 1e3
