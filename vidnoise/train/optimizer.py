"""What changes the weights: AdamW, and Muon for convolutions where a recipe asks for it."""

from typing import Any

import torch
from torch import Tensor, nn

from .recipe import Recipe

DECAY = 0.01
"""Weight decay of convolutions under Muon, which has no other bound on their size."""


class Optimizer:
    """AdamW, and for the convolutions Muon if `recipe.muon` is above 0.

    Muon (K. Jordan et al., 2024; Liu et al., "Muon is Scalable for LLM Training", 2025) makes the singular values of each
    change alike, so that what is rare in the gradients is learned as soon as what is common.

    Args:
        model: its 4-dimensional parameters lie in memory as channels_last.
        inherited: names of parameters that change at `recipe.inherited` of the rate.
        recipe: see `Recipe`.
    """

    def __init__(self, model: nn.Module, inherited: set[str], recipe: Recipe) -> None:
        named = list(model.named_parameters())
        self.kernels = [(n, p) for n, p in named if recipe.muon and p.ndim == 4]
        self.matrices = [nn.Parameter(_rows(p.detach()).view(len(p), -1)) for _, p in self.kernels]
        turned = {n: m for (n, _), m in zip(self.kernels, self.matrices, strict=True)}
        shares = {n: recipe.inherited if n in inherited else 1.0 for n, _ in named}
        rest = [{"params": [p], "share": shares[n]} for n, p in named if n not in turned]
        inner = [{"params": [m], "share": shares[n] * recipe.muon} for n, m in turned.items()]
        self.parts: list[torch.optim.Optimizer] = []
        if rest:
            adam = torch.optim.AdamW(rest, betas=(0.9, 0.98), weight_decay=recipe.decay, fused=True)
            self.parts.append(adam)
        if inner:
            self.parts.append(torch.optim.Muon(inner, weight_decay=DECAY, adjust_lr_fn="match_rms_adamw"))

    def step(self, rate: float) -> None:
        """Change the weights by their gradients, at a learning rate."""
        for (_, kernel), matrix in zip(self.kernels, self.matrices, strict=True):
            matrix.grad = None if kernel.grad is None else _rows(kernel.grad).flatten(1)
        for part in self.parts:
            for group in part.param_groups:
                group["lr"] = rate * group["share"]
            part.step()

    def state_dict(self) -> dict[str, Any]:
        """To go on from; see `load_state_dict`."""
        return {str(k): part.state_dict() for k, part in enumerate(self.parts)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a `state_dict` of the same recipe."""
        for k, part in enumerate(self.parts):
            part.load_state_dict(state[str(k)])


def _rows(kernel: Tensor) -> Tensor:
    # (O,I,h,w) to (O,h,w,I), as channels_last lies in memory: a matrix of weights is then a view, and changes them.
    return kernel.permute(0, 2, 3, 1)
