"""Training of DnCNN, with batch normalisation until its weights are folded."""

from torch import nn

from ..nets.dncnn import DnCNN
from .tasks import SpatialTask


class DnCNNTask(SpatialTask):
    """Single pictures; the statistics of the batches are folded into the weights that ship."""

    def network(self) -> nn.Module:
        """With batch normalisation, unless the recipe says `folded`."""
        return DnCNN(normalised=not self.recipe.folded)
