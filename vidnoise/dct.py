"""Discrete cosine transform (type 2, orthonormal) of 8x8 blocks as matrix products, which every device does fast.

Coefficients are planes: (N,64,h,w) for N pictures with h x w blocks, coefficient 8*v+u for the vertical frequency v
and the horizontal frequency u; plane 0 is the mean times 8. In memory a
block's coefficients lie side by side ("channels last").
"""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor

BLOCK = 8
STEP = BLOCK // 2
"""Distance of overlapping blocks."""


@cache
def sums(device: torch.device) -> Tensor:
    """(64,): the sum of the two frequencies of each coefficient."""
    import torch

    frequency = torch.arange(BLOCK, device=device)
    return (frequency[:, None] + frequency).flatten()


def forward(x: Tensor) -> Tensor:
    """Blocks side by side: (N,H,W), H and W multiples of 8 -> (N,64,H/8,W/8)."""
    count, height, width = x.shape
    cells = x.view(count, height // BLOCK, BLOCK, width // BLOCK, BLOCK).transpose(2, 3)
    return (cells.flatten(3) @ _basis(x.device).T).permute(0, 3, 1, 2)


def inverse(c: Tensor) -> Tensor:
    """Undoes `forward`."""
    count, _, height, width = c.shape
    cells = c.permute(0, 2, 3, 1) @ _basis(c.device)
    cells = cells.view(count, height, width, BLOCK, BLOCK).transpose(2, 3)
    return cells.reshape(count, height * BLOCK, width * BLOCK)


def forward_overlapping(x: Tensor) -> Tensor:
    """Blocks every 4 pixels: (N,H,W), H and W multiples of 4 -> (N,64,H/4-1,W/4-1)."""
    import torch.nn.functional as F

    count, height, width = x.shape
    cells = x.view(count, height // STEP, STEP, width // STEP, STEP).transpose(2, 3)
    return F.conv2d(cells.flatten(3).permute(0, 3, 1, 2), _overlapping(x.device))


def inverse_overlapping(c: Tensor) -> Tensor:
    """The mean of overlapping blocks, where four meet: (N,64,h,w) -> (N,4(h-1),4(w-1)).

    That is the picture that went into `forward_overlapping` less a margin of 4 pixels.
    """
    import torch.nn.functional as F

    cells = F.conv2d(c, _meeting(c.device)).permute(0, 2, 3, 1)
    count, height, width, _ = cells.shape
    lines = cells.reshape(count, height, width, STEP, STEP).transpose(2, 3)
    return lines.reshape(count, height * STEP, width * STEP)


@cache
def _basis(device: torch.device) -> Tensor:
    """(64,64): row 8*v+u is the pattern of that coefficient."""
    import torch

    frequency = torch.arange(BLOCK, dtype=torch.float64)[:, None]
    line = torch.cos(math.pi * (torch.arange(BLOCK) + 0.5) * frequency / BLOCK) * math.sqrt(2 / BLOCK)
    line[0] /= math.sqrt(2)
    return torch.kron(line, line).float().to(device)


@cache
def _overlapping(device: torch.device) -> Tensor:
    """A block is 2x2 cells of 4x4 pixels, and the cells' pixels are channels: (64,16,2,2)."""
    import torch

    cells = _basis(device).view(64, 2, STEP, 2, STEP).permute(0, 2, 4, 1, 3).reshape(64, STEP * STEP, 2, 2)
    return cells.contiguous(memory_format=torch.channels_last)


@cache
def _meeting(device: torch.device) -> Tensor:
    """The four blocks over a cell, each with a quarter: (16,64,2,2)."""
    import torch

    back = _overlapping(device).flip(2, 3).transpose(0, 1) / 4
    return back.contiguous(memory_format=torch.channels_last)
