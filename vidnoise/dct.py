"""Discrete cosine transform (type 2, orthonormal) of 8x8 blocks as products or convolutions, which every device does fast.

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


def ordered() -> Tensor:
    """The frequencies in order of the sum of their two indexes (64,), on the CPU."""
    import torch

    return sums(torch.device("cpu")).argsort(stable=True)


def forward(x: Tensor) -> Tensor:
    """Blocks side by side: (N,H,W), H and W multiples of 8 -> (N,64,H/8,W/8)."""
    import torch.nn.functional as F

    if x.is_cuda:
        return multiplied(F.pixel_unshuffle(x[:, None], BLOCK), basis(x.device))
    return F.conv2d(x[:, None], _kernels(basis(x.device), BLOCK), stride=BLOCK)


def inverse(c: Tensor) -> Tensor:
    """Undoes `forward`."""
    count, _, height, width = c.shape
    cells = multiplied(c, basis(c.device).T).permute(0, 2, 3, 1)
    cells = cells.view(count, height, width, BLOCK, BLOCK).transpose(2, 3)
    return cells.reshape(count, height * BLOCK, width * BLOCK)


def cells(image: Tensor) -> Tensor:
    """The blocks of a picture (C,H,W), H and W multiples of 8, in the same memory: (C,H/8,W/8,8,8)."""
    count, height, width = image.shape
    return image.view(count, height // BLOCK, BLOCK, width // BLOCK, BLOCK).transpose(2, 3)


def multiplied(c: Tensor, matrix: Tensor) -> Tensor:
    """Coefficients (N,64,h,w), each block's through a matrix (64,64).

    On a CPU as a convolution, which takes half the time of a product there.
    """
    import torch.nn.functional as F

    cells = c.permute(0, 2, 3, 1)
    if c.is_cuda:
        return (cells @ matrix.T).permute(0, 3, 1, 2)
    depth = BLOCK**2
    return F.conv2d(cells.flatten(2)[:, None], _kernels(matrix, 1), stride=(1, depth))


def _kernels(matrix: Tensor, height: int) -> Tensor:
    """The rows of a matrix (64,64) as kernels of a convolution (64,1,height,64/height) whose results lie side by side."""
    rows = matrix.contiguous().view(len(matrix), height, -1, 1)
    return rows.permute(0, 3, 1, 2)


@cache
def basis(device: torch.device) -> Tensor:
    """(64,64): row 8*v+u is the pattern of that coefficient."""
    import torch

    frequency = torch.arange(BLOCK, dtype=torch.float64)[:, None]
    line = torch.cos(math.pi * (torch.arange(BLOCK) + 0.5) * frequency / BLOCK) * math.sqrt(2 / BLOCK)
    line[0] /= math.sqrt(2)
    return torch.kron(line, line).float().to(device)
