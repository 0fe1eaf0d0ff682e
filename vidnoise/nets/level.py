"""How much noise a picture holds in each band of frequencies, read from how its 8x8 blocks are filled.

White noise is read off the high frequencies of flat blocks. Noise that went through demosaicing, resizing or compression
has lost them: what is left looks like texture, but for how evenly it fills the blocks and the colours. A small network
weighs that (blind noise estimation by learning is near Guo et al., "Toward convolutional blind denoising", CVPR 2019).
"""

import torch
from torch import Tensor, nn

from ..fusion import BANDS
from ..patterns import EQUAL

FINE = ((1, 1), (2, 2), (3, 3), (4, 5), (6, 7), (8, 9), (10, 11), (12, 14))
"""Sums of the two frequency indexes: what a block holds is told by these."""
SHARES = (0.01, 0.03, 0.08, 0.2, 0.45)
"""Where the blocks are cut into groups, from the flattest on; the busiest tell nothing of noise."""
WIDTH = 64
FEWEST, MANY = 64, 1000
"""Blocks that differ from one picture to the next: fewer say nothing; they are counted in thousands."""
QUIET = 0.3
"""In 8-bit steps: deviations below it, as rounding makes them, are not told apart."""
OF_ONE = len(SHARES) * 2 * 3 * len(FINE) + 3 * len(FINE)
OF_CHANGE = OF_ONE + 2


class NoiseLevel(nn.Module):
    """From what is described of a picture to the noise in it."""

    def __init__(self, features: int = OF_ONE) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(features, WIDTH),
            nn.GELU(),
            nn.Linear(WIDTH, WIDTH),
            nn.GELU(),
            nn.Linear(WIDTH, 3 * len(BANDS)),
        )

    def forward(self, features: Tensor) -> Tensor:
        """(N,F), see `describe` -> (N,9): the logarithm of `QUIET` plus the deviation, see `deviations`."""
        with torch.autocast(features.device.type, enabled=False):
            result: Tensor = self.layers(features.float())
        return result


class NoiseChange(NoiseLevel):
    """The same from a picture and how it differs from one before: texture stays as it is, noise does not."""

    def __init__(self) -> None:
        super().__init__(OF_ONE + OF_CHANGE)


def deviations(output: Tensor) -> Tensor:
    """What the network means: (N,9) -> (N,3,3), the noise of each opponent colour in each of the `BANDS`, [0,1] scale."""
    return (output.exp() - QUIET).clamp(min=0).view(-1, 3, len(BANDS)) / 255


def logarithms(deviation: Tensor) -> Tensor:
    """Undoes `deviations`."""
    return (deviation.flatten(1) * 255 + QUIET).log()


def describe(coefficients: Tensor, order: Tensor) -> Tensor:
    """What fills the blocks of a picture, as the network is told.

    Args:
        coefficients: (3,N,64), orthonormal DCT of blocks in opponent colours, [0,1] scale; at least one block.
        order: (64,), the sum of the two frequency indexes of each coefficient.

    Returns:
        (F,).
    """
    picked = torch.stack([((order >= low) & (order <= high)).float() for low, high in FINE])
    picked = (picked / picked.sum(1, keepdim=True)).T.to(coefficients.device)
    values = coefficients * 255
    power = values.square() @ picked
    activity = power[0, :, :4].mean(1) + 0.5 * power[1:, :, :4].mean((0, 2))
    ranks = activity.argsort()
    ends = [max(round(share * len(ranks)), 1) for share in SHARES]
    found = [_summary(power[:, ranks[end // 3 : end]]) for end in ends]
    empty = ((values[:, ranks[: ends[3]]].abs() < 0.5).float() @ picked).mean(1)
    return torch.cat([*found, empty.flatten()])


def describe_change(change: Tensor, order: Tensor) -> Tensor | None:
    """How a picture differs from one before, as the network is told.

    Args:
        change: (3,N,64), between blocks that show the same thing, transformed as for `describe` and scaled so that noise
            keeps its power.
        order: (64,), as for `describe`.

    Returns:
        (F,); None where that says nothing, as nearly all blocks are equal or none was found.
    """
    # A codec may have copied blocks.
    other = change[:, change.square().mean(2).amax(0) >= EQUAL**2]
    if other.shape[1] < FEWEST:
        return None
    shares = change.new_tensor([other.shape[1] / change.shape[1], change.shape[1] / MANY])
    return torch.cat([describe(other, order), shares])


def _summary(power: Tensor) -> Tensor:
    floored = power + QUIET**2
    whole, each = floored.mean(1).log(), floored.log().mean(1)
    return torch.cat([(whole.flatten() - 2) / 3, (whole - each).flatten() - 0.5])
