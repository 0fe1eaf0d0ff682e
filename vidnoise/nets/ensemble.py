"""A network asked eight times, of the picture as it is, turned and mirrored, and the mean of its answers."""

from typing import Any

import torch
from torch import Tensor, nn

from .together import load_together

Way = tuple[int, bool]
ORIENTATIONS: list[Way] = [(turns, mirrored) for mirrored in (False, True) for turns in range(4)]


class Ensemble(nn.Module):
    """Any network from pictures to pictures, at eight times its cost.

    What it gets wrong depends in part on how the picture lies, and that part averages out (Timofte, Rothe, Van Gool, "Seven
    ways to improve example-based single image super resolution", CVPR 2016).
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, *inputs: Tensor) -> Any:
        """Inputs (B,C,H,W) of one place, each of any size -> what the network gives, one picture or several."""
        answers = [self._asked(inputs, way) for way in ORIENTATIONS]
        means = [torch.stack(each).mean(0) for each in zip(*answers, strict=True)]
        return means[0] if len(means) == 1 else tuple(means)

    def _asked(self, inputs: tuple[Tensor, ...], way: Way) -> list[Tensor]:
        output = self.network(*(_lay(x, *way) for x in inputs))
        return [_back(x, *way) for x in (output if isinstance(output, tuple) else (output,))]


def load_at(
    quality: str, name: str, device: torch.device, dtype: torch.dtype, int8: bool = False
) -> nn.Module | None:
    """The shipped network `name` as a filter of that quality asks it, see `load_together`; None without a name."""
    if not name:
        return None
    network = load_together(name, device, dtype, int8)
    return Ensemble(network) if quality == "best" else network


def _lay(x: Tensor, turns: int, mirrored: bool) -> Tensor:
    return (x.flip(3) if mirrored else x).rot90(turns, (2, 3))


def _back(x: Tensor, turns: int, mirrored: bool) -> Tensor:
    x = x.rot90(-turns, (2, 3))
    return x.flip(3) if mirrored else x
