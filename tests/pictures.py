"""Photographs, and how near one picture is to another."""

import numpy as np
import torch
from numpy.typing import NDArray
from skimage import data


def photographs() -> list[NDArray[np.uint8]]:
    return [data.astronaut(), data.coffee(), data.chelsea()]


def tensor(picture: NDArray[np.uint8]) -> torch.Tensor:
    """A picture (H,W,3) as (3,H,W) in 0..1."""
    return torch.from_numpy(picture).permute(2, 0, 1).contiguous().float() / 255


def coffee(height: int = 160, width: int = 224, top: int = 60, left: int = 60) -> torch.Tensor:
    return tensor(data.coffee()[top : top + height, left : left + width])


def panned(
    count: int, dx: int = 3, dy: int = 1, *, height: int = 160, width: int = 224
) -> list[torch.Tensor]:
    """What a camera sees that moves over a photograph."""
    return [coffee(height, width, 60 + dy * i, 60 + dx * i) for i in range(count)]


def psnr(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(-10 * torch.log10((a - b).square().mean()))
