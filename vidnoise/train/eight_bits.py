"""Training for 8 bits: a network computes with rounded weights and activations, and learns to live with them.

The gradient passes the rounding as if it were not there (Jacob et al., "Quantization and Training of Neural Networks for
Efficient Integer-Arithmetic-Only Inference", CVPR 2018). Rounded as `vidnoise export --int8` does: weights by channel,
symmetric; activations by layer, over the range that they have in the picture; layers that see pictures stay in float.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..nets.dwnet import SeparableBlock
from ..nets.residual import Block, Group
from ..nets.rounded import HALF, steps

KEPT = ("present.conv.", "doubt.")
"""Layers that see pictures though others come before them, by their weights."""
SUMS = (Block, SeparableBlock, Group)
"""Modules that add to what they are given: their sums are rounded too, not only what the next convolution sees of them."""
ACTIVATION_STEPS = 255
"""Over the range of activations."""
LEAST = 1e-12
"""A step that stands for none, where all is zero."""


class EightBitConvolution(nn.Conv2d):
    """A convolution that rounds what goes in, and its weights."""

    def forward(self, x: Tensor) -> Tensor:
        """As `nn.Conv2d`."""
        weight, how = round_weights(self.weight, 0), (self.stride, self.padding, self.dilation, self.groups)
        return F.conv2d(round_activations(x), weight, self.bias, *how)  # type: ignore[arg-type]


class EightBitTransposed(nn.ConvTranspose2d):
    """A transposed convolution that rounds what goes in, and its weights."""

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """As `nn.ConvTranspose2d`."""
        weight, how = round_weights(self.weight, 1), (self.stride, self.padding, self.output_padding)
        return F.conv_transpose2d(round_activations(x), weight, self.bias, *how, self.groups, self.dilation)  # type: ignore[arg-type]


def to_eight_bits(network: nn.Module) -> nn.Module:
    """Have all convolutions but those that see pictures round; changes the network in place, and none of its names."""
    layers = {n: m for n, m in network.named_modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)}
    names = list(layers)
    for name in names[1:]:
        if not any(part in f"{name}." for part in KEPT):
            transposed = isinstance(layers[name], nn.ConvTranspose2d)
            layers[name].__class__ = EightBitTransposed if transposed else EightBitConvolution
    for module in network.modules():
        if isinstance(module, SUMS):
            module.register_forward_hook(lambda _module, _inputs, result: round_activations(result))
    return network


def round_weights(weight: Tensor, axis: int) -> Tensor:
    """Weights as files of 8 bits hold them, each channel along `axis` by its own step."""
    return _to_steps(weight, steps(weight.detach(), axis, HALF))


def round_activations(x: Tensor) -> Tensor:
    """Activations (B,...) as 8 bits hold them, each sample over the range that it has, zero included."""
    low, high = (torch.stack(ends) for ends in zip(*(sample.aminmax() for sample in x.detach()), strict=True))
    step = (high.float().clamp(min=0) - low.float().clamp(max=0)) / ACTIVATION_STEPS
    return _to_steps(x, step.view(-1, *[1] * (x.ndim - 1)))


def _to_steps(values: Tensor, step: Tensor) -> Tensor:
    exact, step = values.float(), step.float().clamp(min=LEAST)
    with torch.no_grad():
        off = (exact / step).round_().mul_(step).sub_(exact)
    return (exact + off).to(values.dtype)
