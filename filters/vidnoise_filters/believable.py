"""What a network took away can be noise: no frequency changes by more than its noise can have.

Networks know natural pictures. Of what they never saw, such as saturated colours side by side in drawings, they take the
edges for noise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vidnoise import dct
from vidnoise.fusion import mix, opponent
from vidnoise.ramps import ramp
from vidnoise_filters.level import in_blocks

if TYPE_CHECKING:
    from torch import Tensor

NOISE, PICTURE = (5.0, 10.0), (8.0, 16.0)
"""Deviations of a coefficient: up to the first a change may be noise, from the second on it is the picture's. The second of
each are for changes that leave nothing: cameras have noise that is further out than chance has it."""
NOTHING, MUCH = 0.3, 0.6
"""Up to the first share of the change nothing is left."""
HARM = 1.0, 2.0
"""Power of what is the picture's in a block's change, against the noise's: above the first the noise does less harm."""


def believable(output: Tensor, noisy: Tensor, variance: Tensor) -> Tensor:
    """Give back what cannot be noise of what was taken away, in 8x8 cosine transforms.

    Args:
        output, noisy: (3,H,W); the output may be changed in place.
        variance: (3,64,h,w), of the noise in opponent colours, by blocks and frequency; see `fusion.coloured`.

    Returns:
        (3,H,W).
    """
    matrix = opponent(noisy.device)
    taken = _cells(dct.forward(mix(in_blocks(noisy - output), matrix)))
    power = taken.square().div_(_cells(variance).clamp(min=1e-12))
    which = (power.amax((0, 2)) > NOISE[0] ** 2).nonzero()[:, 0]
    if not len(which):
        return output
    taken, power = (part.index_select(1, which) for part in (taken, power))
    far = power.sqrt()
    basis, whole = dct.basis(noisy.device), in_blocks(output).contiguous()
    blocks = dct.cells(whole)
    rows, columns = which // blocks.shape[2], which % blocks.shape[2]
    left = mix(blocks[:, rows, columns].flatten(2) @ basis.T, matrix)
    some, far_out = (ramp(far, *ends) for ends in zip(NOISE, PICTURE, strict=True))
    still = ramp(left.abs() / taken.abs().clamp(min=1e-12), NOTHING, MUCH)
    wrong = far_out.maximum(some * still)
    kept = taken * wrong.maximum(ramp((power * wrong).mean((0, 2)), *HARM)[:, None])
    blocks[:, rows, columns] += mix(kept @ basis, matrix.T).view(3, -1, dct.BLOCK, dct.BLOCK)
    return whole[:, : output.shape[1], : output.shape[2]]


def _cells(coefficients: Tensor) -> Tensor:
    """(C,64,h,w) -> (C,hw,64), the same memory where frequencies lie side by side in it."""
    return coefficients.permute(0, 2, 3, 1).flatten(1, 2)
