"""Training of DnCNN, with batch normalisation."""

from torch import nn

from ..nets.dncnn import DnCNN
from .tasks import SpatialTask


class DnCNNTask(SpatialTask):
    """Single pictures; the statistics of the batches are folded into the weights that ship."""

    def network(self) -> nn.Module:
        """With batch normalisation."""
        return DnCNN(normalised=True)
