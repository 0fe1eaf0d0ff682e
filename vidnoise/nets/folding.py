"""Batch normalisation for training, and how it goes into the convolution before it when training is over."""

import copy

from torch import Tensor, nn
from torch.nn.utils import fuse_conv_bn_eval

from .residual import conv3


class Normalised(nn.Module):
    """A 3x3 convolution and the normalisation of what it gives over the batch (Ioffe, Szegedy, ICML 2015)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.convolution = conv3(inputs, outputs)
        self.normalisation = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(B,C,H,W) -> (B,D,H,W)."""
        return self.normalisation(self.convolution(x))  # type: ignore[no-any-return]

    def folded(self) -> nn.Conv2d:
        """One convolution that gives the same, with the statistics seen so far."""
        self.eval()
        return fuse_conv_bn_eval(self.convolution, self.normalisation)


def folded(network: nn.Module) -> nn.Module:
    """A copy of a network as it ships, without batch normalisation."""
    network = copy.deepcopy(network)
    for parent in list(network.modules()):
        for name, child in parent.named_children():
            if isinstance(child, Normalised):
                setattr(parent, name, child.folded())
    return network
