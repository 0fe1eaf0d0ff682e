"""Training of the network with a mask: what it draws is held against where the noise truly is."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..nets.masked import Masked, truth
from .tasks import Batch, SpatialTask

DRAWN = 0.1
"""Weight of the mask's error beside the loss of the picture."""


class MaskedTask(SpatialTask):
    """Single pictures, and where their noise is."""

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """The recipe's loss of the picture, and the cross entropy of the mask."""
        assert isinstance(model, Masked)
        logits = model.logits(batch["noisy"])
        clean = model.clean(batch["noisy"], torch.sigmoid(logits))
        drawn = F.binary_cross_entropy_with_logits(logits, truth(batch["noisy"], batch["target"]))
        return self.measure(clean, batch["target"]) + DRAWN * drawn
