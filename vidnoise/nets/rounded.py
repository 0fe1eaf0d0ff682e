"""Residual groups in 8 bits, for processors that multiply bytes faster than anything else.

Weights are rounded by channel, activations over the range that each convolution was seen to be given (Jacob et al.,
"Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference", CVPR 2018). Within a group
all is bytes; what goes from group to group keeps its precision, so that errors do not add up. Strong noise makes
activations larger: a network that is told the noise says how strong it is.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..device import cpu_features
from .residual import Block, Group

BYTE, SIGNED, MIDDLE = 255, 127, 128
"""The largest byte; steps from zero to either end where zero is in the middle; and that middle."""
HALF = 63
"""Steps from zero to the largest weight on processors that add two products in 16 bits, and in files for any processor."""
LINES = 32
"""Are converted at once: few enough to stay in the caches."""
LOOKED_AT = 100_000
"""Values of a picture, about, whose largest is its reach: the largest of all are few, and would cost others precision."""
WEAK, OTHER = "weak noise", "other"
"""Ranges are known for these."""
WEAKEST, USUAL = 15 / 255, 36 / 255
"""Up to the first deviation noise is weak; the other ranges are those of noise of about the second."""
LEAST = 1e-12
"""A step that stands for none, where all weights are zero."""
TOLERATED = 0.002
"""Power of an error against that of what a group changes."""
GEOMETRY = ([1, 1], [1, 1], [1, 1], 1)
"""Stride, padding, dilation and groups of all convolutions here."""
SIDE = 32
"""Of a square that is computed again, without rounding, where too much exceeds what bytes hold."""
FULL, FULLER = 8e-4, 1.5e-3
"""The share of its bytes that are the largest, from which on a picture, or else a square, is computed again. Drawings
with saturated colours side by side have 1.6e-3 and more, photographs up to 0.7e-3."""
EVERY = 8
"""Of so many rows and columns one is looked at for that."""


_deviation: ContextVar[Callable[[], float] | None] = ContextVar("deviation", default=None)


@contextmanager
def told(deviation: Callable[[], float]) -> Iterator[None]:
    """Within, networks work on noise of this deviation, on the scale of the picture; it is asked for where it matters."""
    token = _deviation.set(deviation)
    try:
        yield
    finally:
        _deviation.reset(token)


class Scale(NamedTuple):
    """How bytes stand for values: by how much one more of them is more, and which is zero."""

    step: float
    zero: int


class ByteConvolution:
    """A 3x3 convolution of bytes without a bias."""

    def __init__(self, convolution: nn.Conv2d) -> None:
        weight = convolution.weight.detach().float()
        step = steps(weight, 0, weight_steps())
        whole, step = (weight / step).round().to(torch.int8).contiguous(), step.flatten()
        packed = torch.ops.onednn.qconv_prepack(whole, step, 1.0, MIDDLE, *GEOMETRY, None)
        self.weights = packed, step, torch.zeros(len(step), dtype=torch.int32)

    def relu(self, x: Tensor, scale: Scale, after: Scale) -> Tensor:
        """Bytes to what is above zero, in bytes."""
        given = (x, *scale, *self.weights, None, *GEOMETRY)
        result: Tensor = torch.ops.onednn.qconv2d_pointwise(*given, *after, torch.uint8, "relu", [], "")
        return result

    def add(self, x: Tensor, scale: Scale, total: Tensor, before: Scale, after: Scale) -> None:
        """Add to bytes, in their place; their scale changes."""
        self._add(x, scale, total, (*after, torch.uint8, *before))

    def add_exactly(self, x: Tensor, scale: Scale, total: Tensor) -> None:
        """Add to what is not rounded, in its place."""
        self._add(x, scale, total, (1.0, 0, total.dtype, 1.0, 0))

    def _add(self, x: Tensor, scale: Scale, total: Tensor, scales: tuple[object, ...]) -> None:
        given = (x, *scale, *self.weights, total, None, *GEOMETRY)
        # What it returns is one more copy.
        torch.ops.onednn.qconv2d_pointwise.binary(*given, *scales, "sum", 1.0, "none", [], "")


class RoundedGroup(nn.Module):
    """A group of residual blocks; what it is given and gives is in the precision of its caller.

    Squares in which much exceeds what bytes can hold are computed once more without them.

    Args:
        group: what it rounds.
        reach: for weak noise, or otherwise, or both: the magnitude of what each of its convolutions is given, one after
            another.
    """

    def __init__(self, group: Group, reach: Mapping[str, Sequence[float]]) -> None:
        super().__init__()
        self.exact = group
        self.layers = [ByteConvolution(part) for part in convolutions(group).values()]
        self.reach = reach

    def forward(self, x: Tensor) -> Tensor:
        """(B,C,H,W) -> (B,C,H,W)."""
        layers, scales = self.layers, self._scales()
        total = _centred(x, scales[0].step)
        full: list[Tensor] = []
        for i in range(0, len(layers) - 1, 2):
            inner = layers[i].relu(total, scales[i], scales[i + 1])
            layers[i + 1].add(inner, scales[i + 1], total, scales[i], scales[i + 2])
            full.append(_full(inner))
        result = x.clone()
        layers[-1].add_exactly(total, scales[-1], result)
        self._mend(result, x, torch.stack(full).mean(0))
        return result

    def _mend(self, result: Tensor, x: Tensor, full: Tensor) -> None:
        """Compute pictures of a result again, or squares of them, that have too large a share (B,rows,columns)."""
        axes = [[_span(i, n, len(self.layers)) for i in range(-(-n // SIDE))] for n in x.shape[2:]]
        whole = full.mean((1, 2)) > FULL
        for sample in whole.nonzero()[:, 0].tolist():
            result[sample] = self.exact(x[sample, None])[0]
        for sample, row, column in ((full > FULLER) & ~whole[:, None, None]).nonzero().tolist():
            down, across = axes[0][row], axes[1][column]
            exact = self.exact(x[sample, None, :, down.seen, across.seen])
            result[sample, :, down.square, across.square] = exact[0, :, down.inside, across.inside]

    def _scales(self) -> list[Scale]:
        """Of what each convolution is given; behind a ReLU nothing is below zero."""
        reach = _reach(self.reach)
        return [Scale(r / BYTE, 0) if i % 2 else Scale(r / SIGNED, MIDDLE) for i, r in enumerate(reach)]


class Span(NamedTuple):
    """A square on one axis: where it is, the window that decides on it, and where it is in there."""

    square: slice
    seen: slice
    inside: slice


def _span(index: int, size: int, around: int) -> Span:
    first, last = index * SIDE, min((index + 1) * SIDE, size)
    wide = min(SIDE + 2 * around, size)
    start = min(max(first - around, 0), size - wide)
    return Span(slice(first, last), slice(start, start + wide), slice(first - start, last - start))


def _full(values: Tensor) -> Tensor:
    """The share of bytes (B,C,H,W) that are the largest, in squares (B,rows,columns)."""
    some = (values.permute(0, 2, 3, 1)[:, ::EVERY, ::EVERY] == BYTE).sum(3, dtype=torch.int32)
    return (
        F.avg_pool2d(some.float(), SIDE // EVERY, ceil_mode=True, count_include_pad=False) / values.shape[1]
    )


def _centred(x: Tensor, step: float) -> Tensor:
    """(B,C,H,W) in bytes of which `MIDDLE` is zero; what they cannot hold becomes the nearest that they can.

    A signed byte with its sign turned is such a byte, and PyTorch converts to signed ones several times as fast.
    """
    result = torch.empty_like(x, dtype=torch.int8)
    for some, target in zip(torch.split(x, LINES, 2), torch.split(result, LINES, 2), strict=True):
        exact = some.to(torch.float32, copy=True).mul_(1 / step)
        target.copy_(exact.round_().clamp_(-MIDDLE, MIDDLE - 1))
    return result.view(torch.uint8).bitwise_xor_(MIDDLE)


def _reach(known: Mapping[str, Sequence[float]]) -> Sequence[float]:
    """The magnitudes for the noise that is told; of strong noise in proportion to it, as networks without biases are."""
    weak, other = (known.get(noise, next(iter(known.values()))) for noise in (WEAK, OTHER))
    deviation = _deviation.get()
    if deviation is None:
        return other
    share = deviation() / USUAL
    return [max(w, share * o) for w, o in zip(weak, other, strict=True)]


def steps(weight: Tensor, axis: int, count: int) -> Tensor:
    """The step of each channel along an axis of weights, symmetric about zero; its shape broadcasts to the weights'.

    Args:
        weight: of any shape.
        axis: that of the channels.
        count: of steps from zero to the largest weight.
    """
    others = [i for i in range(weight.ndim) if i != axis]
    return (weight.abs().amax(others, keepdim=True) / count).clamp(min=LEAST)


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
            values = inputs[0].detach().flatten()
            far = float(values[:: max(len(values) // LOOKED_AT, 1) | 1].abs().max())
            deviation = _deviation.get()
            noise = WEAK if deviation and deviation() <= WEAKEST else OTHER
            seen[noise].setdefault(name, []).append(far)

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
        found[noise] = {name: sum(far) / len(far) for name, far in seen[noise].items()}


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
