"""Residual groups in 8 bits, for processors that multiply bytes faster than anything else.

Weights are rounded by channel, activations over the range that each convolution was seen to be given (Jacob et al.,
"Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference", CVPR 2018). Within a group
all is bytes; what goes from group to group keeps its precision, so that errors do not add up. Strong noise makes
activations larger, so there are two ranges: a network that is told the noise says how strong it is.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache

import torch
from torch import Tensor, nn

from ..device import cpu_features
from .residual import Block, Group

BYTE, SIGNED, MIDDLE = 255, 127, 128
"""The largest byte; steps from zero to either end where zero is in the middle; and that middle."""
HALF = 63
"""Steps from zero to the largest weight on processors that add two products in 16 bits."""
LOOKED_AT = 100_000
"""Values of a picture, about, whose largest is its reach: the largest of all are few, and would cost others precision."""
WEAK, OTHER = "weak noise", "other"
"""Ranges are known for these."""
WEAKEST = 15 / 255
"""Up to this deviation noise is weak."""
TOLERATED = 0.002
"""Power of an error against that of what a group changes."""
GEOMETRY = ([1, 1], [1, 1], [1, 1], 1)
"""Stride, padding, dilation and groups of all convolutions here."""


_noise: ContextVar[Tensor | None] = ContextVar("noise", default=None)


@contextmanager
def told(sigma: Tensor) -> Iterator[None]:
    """Within, networks work on noise of this deviation, of any shape, on the scale of the picture."""
    token = _noise.set(sigma)
    try:
        yield
    finally:
        _noise.reset(token)


def _strength() -> str:
    sigma = _noise.get()
    return WEAK if sigma is not None and float(sigma.mean()) <= WEAKEST else OTHER


class ByteConvolution:
    """A 3x3 convolution of bytes.

    Args:
        convolution: what it rounds.
        reach: the magnitude of what it is given.
        signed: whether it is given values below zero.
    """

    def __init__(self, convolution: nn.Conv2d, reach: float, signed: bool) -> None:
        self.step, self.zero = (reach / SIGNED, MIDDLE) if signed else (reach / BYTE, 0)
        weight = convolution.weight.detach().float()
        steps = (weight.abs().amax((1, 2, 3)) / weight_steps()).clamp(min=torch.finfo(torch.float32).tiny)
        whole = (weight / steps.view(-1, 1, 1, 1)).round().to(torch.int8).contiguous()
        packed = torch.ops.onednn.qconv_prepack(whole, steps, self.step, self.zero, *GEOMETRY, None)
        self.weights = packed, steps, torch.zeros(len(steps), dtype=torch.int32)

    def bytes_of(self, x: Tensor) -> Tensor:
        """(B,C,H,W) as this one takes it."""
        steps = torch.add(x.new_tensor(self.zero), x, alpha=1 / self.step)
        return steps.round_().clamp_(0, BYTE).to(torch.uint8)

    def relu(self, x: Tensor, after: "ByteConvolution") -> Tensor:
        """Bytes to what is above zero, as bytes that `after` takes."""
        to = (after.step, after.zero, torch.uint8)
        result: Tensor = torch.ops.onednn.qconv2d_pointwise(
            x, self.step, self.zero, *self.weights, None, *GEOMETRY, *to, "relu", [], ""
        )
        return result

    def add(self, x: Tensor, to: Tensor, before: "ByteConvolution", after: "ByteConvolution") -> Tensor:
        """Add to bytes that `before` takes; they become bytes that `after` takes, in their place."""
        x_and_weights = (x, self.step, self.zero, *self.weights)
        steps = (after.step, after.zero, torch.uint8, before.step, before.zero)
        # What it returns is one more copy.
        torch.ops.onednn.qconv2d_pointwise.binary(
            *x_and_weights, to, None, *GEOMETRY, *steps, "sum", 1.0, "none", [], ""
        )
        return to

    def exactly(self, x: Tensor, dtype: torch.dtype) -> Tensor:
        """Bytes to what is not rounded."""
        result: Tensor = torch.ops.onednn.qconv2d_pointwise(
            x, self.step, self.zero, *self.weights, None, *GEOMETRY, 1.0, 0, dtype, "none", [], ""
        )
        return result


class RoundedGroup(nn.Module):
    """A group of residual blocks; what it is given and gives is in the precision of its caller.

    Args:
        group: what it rounds.
        reach: for weak noise, or otherwise, or both: the magnitude of what each of its convolutions is given, one after
            another.
    """

    def __init__(self, group: Group, reach: Mapping[str, Sequence[float]]) -> None:
        super().__init__()
        parts = convolutions(group).values()
        self.layers = {
            noise: [
                ByteConvolution(p, r, i % 2 == 0) for i, (p, r) in enumerate(zip(parts, far, strict=True))
            ]
            for noise, far in reach.items()
        }

    def forward(self, x: Tensor) -> Tensor:
        """(B,C,H,W) -> (B,C,H,W)."""
        layers = self.layers.get(_strength()) or next(iter(self.layers.values()))
        total = layers[0].bytes_of(x)
        for first, second, after in zip(layers[:-1:2], layers[1::2], layers[2::2], strict=True):
            total = second.add(first.relu(total, second), total, first, after)
        return layers[-1].exactly(total, x.dtype).add_(x)


def weight_steps() -> int:
    """From zero to the largest weight: all that a byte has where the processor adds products in 32 bits (VNNI)."""
    return SIGNED if {"avx512_vnni", "avx_vnni"} & cpu_features() else HALF


def convolutions(group: Group) -> dict[str, nn.Conv2d]:
    """Those of a group, in the order in which they come, by name."""
    return {name: part for name, part in group.named_modules() if isinstance(part, nn.Conv2d)}


def round_groups(network: nn.Module, reach: Mapping[str, Mapping[str, float]]) -> None:
    """Have the groups of residual blocks compute in 8 bits; changes a network on a CPU in place.

    Args:
        network: any.
        reach: what `observed` found.
    """
    for name, group in _groups(network).items():
        parts = [f"{name}.{part}" for part in convolutions(group)]
        inside = {noise: [far[part] for part in parts] for noise, far in reach.items()}
        network.set_submodule(name, RoundedGroup(group, inside))


@contextmanager
def observed(network: nn.Module) -> Iterator[dict[str, dict[str, float]]]:
    """How far activations reach: where noise is told and weak, and otherwise.

    The magnitude of what each convolution in a group is given, by name: of `LOOKED_AT` values the largest, of several runs
    within the mean; both kinds of noise apart. Known at the end.
    """
    seen: dict[str, dict[str, list[float]]] = {WEAK: {}, OTHER: {}}
    found: dict[str, dict[str, float]] = {}

    def hook(name: str) -> object:
        def look(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            values = inputs[0].detach().float().abs().flatten()
            some = values[:: max(len(values) // LOOKED_AT, 1) | 1]
            far = float(some.max())
            seen[_strength()].setdefault(name, []).append(far)

        return look

    named = {
        f"{name}.{part}": layer
        for name, group in _groups(network).items()
        for part, layer in convolutions(group).items()
    }
    hooks = [layer.register_forward_pre_hook(hook(name)) for name, layer in named.items()]  # type: ignore[arg-type]
    try:
        yield found
    finally:
        for each in hooks:
            each.remove()
    for noise in filter(seen.get, seen):
        found[noise] = {name: sum(all) / len(all) for name, all in seen[noise].items()}


@lru_cache(maxsize=1)
def works() -> bool:
    """Whether this build of PyTorch computes in bytes as it should: its operators for that are not promised to anyone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = nn.Sequential(Group(8, Block(8)))
    x = torch.linspace(-1, 1, 8 * 81).view(1, 8, 9, 9).contiguous(memory_format=torch.channels_last)
    try:
        with torch.no_grad():
            with observed(network) as reach:
                exact = network(x)
            round_groups(network, reach)
            return bool((network(x) - exact).square().mean() < TOLERATED * (exact - x).square().mean())
    except (AttributeError, RuntimeError, TypeError):
        return False


def _groups(network: nn.Module) -> dict[str, Group]:
    # Those that are made of plain blocks alone, by name.
    return {
        name: part
        for name, part in network.named_modules()
        if isinstance(part, Group) and all(isinstance(inner, Block) for inner in part.inner)
    }
