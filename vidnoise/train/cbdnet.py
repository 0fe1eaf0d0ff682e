"""Training of CBDNet: what its first network says of the noise is held against the truth."""

from torch import Tensor, nn

from ..nets.cbdnet import CBDNet
from .tasks import Batch, SpatialTask

BELOW = 0.3
"""Weight of the squared error where the level is overestimated; where it is underestimated, 1 less this."""
TOLD, SMOOTH = 5.0, 0.5
"""Weights of the level's error and of its unevenness beside the loss of the picture."""


class CBDNetTask(SpatialTask):
    """Single pictures, and the level of their noise."""

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """The recipe's loss of the picture, the asymmetric one of the level, and the level's total variation."""
        assert isinstance(model, CBDNet)
        clean, level = model.both(batch["noisy"])
        told = TOLD * asymmetric(level, batch["sigma"]) + SMOOTH * variation(level)
        return self.measure(clean, batch["target"]) + told


def asymmetric(level: Tensor, true: Tensor) -> Tensor:
    """The mean squared error, which counts for more where noise is overlooked: what is left of it is seen."""
    error = level - true
    return ((error < 0).float().sub(BELOW).abs() * error.square()).mean()


def variation(level: Tensor) -> Tensor:
    """The mean squared difference of neighbours."""
    across, down = level.diff(dim=3), level.diff(dim=2)
    return across.square().mean() + down.square().mean()
