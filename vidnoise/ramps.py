"""What grows evenly from 0 to 1: over a value, along a line, into a square."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor


def ramp(value: Tensor, low: float, high: float) -> Tensor:
    """From 0 up to `low` to 1 from `high` on."""
    return ((value - low) / (high - low)).clamp(0, 1)


def rise(count: int, margin: int, device: torch.device) -> Tensor:
    """From 0 at both ends to 1 within `margin`, (count,)."""
    import torch

    line = torch.arange(count, device=device)
    return (torch.minimum(line, count - 1 - line) / margin).clamp(0, 1)


def fade(side: int, margin: int, device: torch.device) -> Tensor:
    """`rise` from all four sides of a square, (side,side): what repeats itself has no seams then."""
    line = rise(side, margin, device)
    return line * line[:, None]
