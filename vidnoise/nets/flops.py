"""What a network costs."""

import copy

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from .blur import BlurMotion
from .deblur import UNDONE, Deblurrer
from .level import NoiseLevel
from .mprnet import MPRNetDeblurrer
from .shrinkage import Shrinkage
from .temporal import TemporalDenoiser


def count_parameters(module: nn.Module) -> int:
    """The number of learned values."""
    return sum(p.numel() for p in module.parameters())


def kflop_per_pixel(module: nn.Module, size: int = 256) -> float:
    """Thousands of floating-point operations (two for each multiply-add) a pixel and frame.

    Counted by running one frame of `size` x `size` on the meta device. The fusion over time is not learned and
    does not count. The networks that hear noise and measure blur are 0: they cost the same for any picture.
    """
    if isinstance(module, BlurMotion | NoiseLevel):
        return 0.0
    module = copy.deepcopy(module).to("meta", torch.float32)
    frame = torch.zeros(1, 3, size, size, device="meta")
    with FlopCounterMode(display=False) as counter:
        if isinstance(module, TemporalDenoiser):
            blocks = torch.zeros(1, 9, size // 8, size // 8, device="meta")
            module(frame, blocks[:, :3], frame, blocks[:, :3], blocks)
        elif isinstance(module, Deblurrer):
            module(frame, frame[:, :UNDONE], frame.repeat(1, 2, 1, 1))
        elif isinstance(module, Shrinkage):
            # Luma, and two channels of colour at half the size, each in two grids of blocks.
            planes = torch.zeros(3, 64, size // 8, size // 8, device="meta")
            module(planes, planes, planes)
        elif isinstance(module, MPRNetDeblurrer):
            module(frame, frame[:, :2])
        else:
            module(frame, frame)
    return float(counter.get_total_flops()) / size**2 / 1e3
