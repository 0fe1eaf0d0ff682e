"""Bias-free residual blocks, and groups of them: what the denoisers' bodies are made of.

Without biases and normalisation a network maps zero to zero and scales with its input, so it carries over to
noise levels it was not trained on (Mohan et al., ICLR 2020), and an absent input (all zero) adds nothing.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .tiers import GroupsSpec


def conv3(inputs: int, outputs: int) -> nn.Conv2d:
    """A 3x3 convolution without bias that keeps the size."""
    return nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)


class Block(nn.Module):
    """x + conv(relu(conv(x)))."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = conv3(channels, channels)
        self.second = conv3(channels, channels)
        nn.init.kaiming_normal_(self.first.weight, nonlinearity="relu")
        start_small(self.second.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(B,C,H,W) -> (B,C,H,W)."""
        change: Tensor = self.second(F.relu(self.first(x), inplace=True))
        return change.add_(x)


def start_small(weight: Tensor) -> None:
    """Initialise the end of a residual branch, so that a deep stack without normalisation is stable."""
    nn.init.kaiming_normal_(weight, nonlinearity="linear")
    with torch.no_grad():
        weight.mul_(0.2)


def start_as_identity(weight: Tensor) -> None:
    """Initialise a 3x3 convolution as the identity and a little: a deep plain stack then learns as a residual one does.

    After Zagoruyko, Komodakis, "DiracNets: Training Very Deep Neural Networks Without Skip-Connections", 2017.
    """
    start_small(weight)
    with torch.no_grad():
        weight[:, :, 1, 1] += torch.eye(weight.shape[0])


def blocks(count: int, channels: int, kind: Callable[[int], nn.Module] = Block) -> nn.Sequential:
    """`count` residual blocks in a row."""
    return nn.Sequential(*(kind(channels) for _ in range(count)))


class Group(nn.Module):
    """Some modules and a convolution; what they make is added to what they were given.

    Args:
        channels: of all of them.
        modules: each keeps the shape.
    """

    def __init__(self, channels: int, *modules: nn.Module) -> None:
        super().__init__()
        self.inner = nn.Sequential(*modules)
        self.last = conv3(channels, channels)
        start_small(self.last.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(B,C,H,W) -> (B,C,H,W)."""
        change: Tensor = self.last(self.inner(x))
        return change.add_(x)


def groups(spec: GroupsSpec, block: Callable[[int], nn.Module] = Block) -> Group:
    """Residual groups in a residual group, all at one size: many thin layers, each of which learns fast.

    After Zhang, Li, Li, Wang, Zhong, Fu, "Image Super-Resolution Using Very Deep Residual Channel Attention Networks", ECCV
    2018.
    """
    inner = (Group(spec.width, *blocks(spec.blocks, spec.width, block)) for _ in range(spec.groups))
    return Group(spec.width, *inner)
