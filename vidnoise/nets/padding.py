"""Any size in, a multiple of some number inside."""

import torch.nn.functional as F
from torch import Tensor


def pad(x: Tensor, multiple: int) -> Tensor:
    """Extend (B,C,H,W) at the right and the bottom to multiples of `multiple`, by the edge's values."""
    height, width = x.shape[-2:]
    return extend(x, height + -height % multiple, width + -width % multiple)


def extend(x: Tensor, height: int, width: int) -> Tensor:
    """Extend (B,C,H,W) at the right and the bottom to a larger size, by the edge's values."""
    right, down = width - x.shape[-1], height - x.shape[-2]
    return F.pad(x, (0, right, 0, down), mode="replicate") if down or right else x


def crop(x: Tensor, height: int, width: int) -> Tensor:
    """Undo `pad`."""
    return x[..., :height, :width]
