"""How long the motion blur of a picture is, read from how fast neighbouring pixels come to differ.

Between pixels a distance apart the mean difference grows with the distance: at once in a sharp picture, and in a blurred
one only as far as the blur reaches, along its direction. A small network weighs how it grows in four directions.
"""

import torch
from torch import Tensor, nn

CELL = 96
"""Pixels: the side of what is described at once."""
DISTANCES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
DIRECTIONS = ((0, 1), (1, 1), (1, 0), (1, -1))
EVERY = 2
"""Every other pixel of every other line is compared: it is quicker and tells as much."""
WIDTH = 64
FLOOR = 0.3 / 255
"""Differences below it, as rounding makes them, are not told apart."""
FEATURES = 3 * len(DISTANCES) * len(DIRECTIONS) + 1


class BlurLength(nn.Module):
    """From what is described of a cell to the length of its blur."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(FEATURES, WIDTH), nn.GELU(), nn.Linear(WIDTH, WIDTH), nn.GELU(), nn.Linear(WIDTH, 1)
        )

    def forward(self, features: Tensor) -> Tensor:
        """(N,F), see `describe` -> (N,): the logarithm, to base 2, of one more than the length in pixels."""
        with torch.autocast(features.device.type, enabled=False):
            result: Tensor = self.layers(features.float())[:, 0]
        return result


def describe(cells: Tensor) -> Tensor:
    """What the network is told of cells: (N,CELL,CELL), brightness, [0,1] -> (N,F)."""
    means, peaks, edges = [], [], []
    for down, right in DIRECTIONS:
        for distance in DISTANCES:
            apart = _difference(cells, down * distance, right * distance)
            means.append(apart.mean((1, 2)) + FLOOR)
            peaks.append((apart.square().mean((1, 2)) + FLOOR**2).sqrt())
            edges.append(apart.amax((1, 2)) + FLOOR)
    mean, peak, edge = (torch.stack(values, 1).log() for values in (means, peaks, edges))
    contrast = mean.mean(1, keepdim=True)
    largest = edge.amax(1, keepdim=True)
    return torch.cat([mean - contrast, peak - mean, edge - largest, (contrast + 4) / 2], 1)


def _difference(cells: Tensor, down: int, right: int) -> Tensor:
    height, width = cells.shape[1:]
    left = max(-right, 0)
    here = cells[:, : height - down : EVERY, left : width - max(right, 0) : EVERY]
    there = cells[:, down::EVERY, left + right : width - max(right, 0) + right : EVERY]
    return (here - there).abs()
