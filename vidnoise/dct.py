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


@cache
def _basis(device: torch.device) -> Tensor:
    """(64,64): row 8*v+u is the pattern of that coefficient."""
    import torch

    frequency = torch.arange(BLOCK, dtype=torch.float64)[:, None]
    line = torch.cos(math.pi * (torch.arange(BLOCK) + 0.5) * frequency / BLOCK) * math.sqrt(2 / BLOCK)
    line[0] /= math.sqrt(2)
    return torch.kron(line, line).float().to(device)
