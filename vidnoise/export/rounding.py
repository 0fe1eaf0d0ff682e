"""Which way each weight is rounded to 8 bits, so that what a convolution gives changes least.

After Frantar, Ashkboos, Hoefler, Alistarh, "GPTQ: Accurate Post-Training Quantization for Generative Pre-trained
Transformers", ICLR 2023: weights are rounded one after another, and those that are still to come make up for the error,
as far as what the convolution is given allows.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..nets.rounded import HALF

if TYPE_CHECKING:
    from .samples import Inputs
    from .subject import Subject

DAMPING = 1e-3
"""Of the mean power of what a convolution is given: holds still what it was not given."""
RESULTS = 4096
"""Of each frame, about, that are looked at."""
LEAST = 1e-12
"""Power that stands for none."""


def powers(subject: Subject, given: Iterable[Inputs]) -> dict[str, Tensor]:
    """For each convolution's weights, by name: the products (G,C,C) of all that one result is made of, by group, summed."""
    found: dict[str, Tensor] = {}

    def hook(name: str) -> Any:
        def add(module: nn.Module, inputs: tuple[Tensor, ...], _: Tensor) -> None:
            seen = _seen(module, inputs[0])
            seen = seen[..., :: seen.shape[-1] // RESULTS | 1].double()  # odd, so that all columns come up
            found[name] = found.get(name, 0) + seen @ seen.mT

        return add

    layers = {
        f"{name}.weight": module
        for name, module in subject.network.named_modules()
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d)
    }
    hooks = [module.register_forward_hook(hook(name)) for name, module in layers.items()]
    try:
        for inputs in given:
            subject(*inputs)
    finally:
        for handle in hooks:
            handle.remove()
    return found


def _seen(module: nn.Module, x: Tensor) -> Tensor:
    """What each result of a convolution is made of, from (B,C,H,W) to (G,C/G*taps,N)."""
    if isinstance(module, nn.ConvTranspose2d):
        return x.transpose(0, 1).reshape(module.groups, x.shape[1] // module.groups, -1)
    assert isinstance(module, nn.Conv2d)
    windows = F.unfold(x, module.kernel_size, module.dilation, module.padding, module.stride)  # type: ignore[arg-type]
    return windows.transpose(0, 1).reshape(module.groups, windows.shape[1] // module.groups, -1)


def in_steps(weight: Tensor, step: Tensor, power: Tensor | None, transposed: bool) -> Tensor:
    """Weights of a convolution as whole numbers of steps, int8.

    Args:
        weight: as in PyTorch.
        step: of each output channel.
        power: see `powers`; None rounds to the nearest.
        transposed: whether the convolution is.
    """
    if power is None:
        return (weight / step).round().to(torch.int8)
    inner = weight.permute(1, 2, 3, 0) if transposed else weight
    scale = (step.permute(1, 2, 3, 0) if transposed else step).expand(inner.shape)
    shape = (len(power), -1, power.shape[-1])
    whole = _round(inner.reshape(shape).double(), scale.reshape(shape)[..., :1].double(), power)
    whole = whole.reshape(inner.shape).to(torch.int8)
    return whole.permute(3, 0, 1, 2) if transposed else whole


def _round(weight: Tensor, step: Tensor, power: Tensor) -> Tensor:
    """(G,R,C) weights by (G,R,1) steps; each row is multiplied by what `power` (G,C,C) is of."""
    count = power.shape[-1]
    usual = power.diagonal(dim1=1, dim2=2).mean(1)[:, None, None] * DAMPING + LEAST
    inverse = torch.linalg.inv(power + usual * torch.eye(count, dtype=power.dtype))
    spread = torch.linalg.cholesky(inverse, upper=True)
    left, whole = weight.clone(), torch.empty_like(weight)
    for i in range(count):
        whole[..., i] = (left[..., i] / step[..., 0]).round().clamp(-HALF, HALF)
        error = (left[..., i] - whole[..., i] * step[..., 0]) / spread[:, i, i, None]
        left[..., i + 1 :] -= error[..., None] * spread[:, None, i, i + 1 :]
    return whole
