"""Training of MPRNet: what each stage makes is held against the target, so that the first hands on a picture."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from ..nets.mprnet import MPRNet
from .tasks import Batch, SpatialTask


class MPRNetTask(SpatialTask):
    """Single noisy pictures."""

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """The recipe's loss of both stages."""
        assert isinstance(model, MPRNet)
        return supervised(self.measure, model.both(batch["noisy"], batch["sigma"]), batch["target"])


def supervised(
    measure: Callable[[Tensor, Tensor], Tensor], pictures: Sequence[Tensor], target: Tensor
) -> Tensor:
    """The sum of a loss over what all stages make."""
    return torch.stack([measure(picture, target) for picture in pictures]).sum()
