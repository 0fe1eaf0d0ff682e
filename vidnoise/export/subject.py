"""Which network is meant, and what it takes."""

from __future__ import annotations

from dataclasses import dataclass, fields
from math import lcm
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from vidnoise import dct
from vidnoise.errors import UsageError
from vidnoise.fusion import BANDS
from vidnoise.nets import Ensemble, PictureDenoiser, TemporalDenoiser
from vidnoise.nets.weights import FOLDER, read

if TYPE_CHECKING:
    from vidnoise.filter import Filter
    from vidnoise.nets import Card


@dataclass(frozen=True)
class Port:
    """One input: (batch, channels, height / cell, width / cell), float32.

    Attributes:
        cell: pixels a side that one value stands for.
        usual: about the largest value it takes.
        meaning: in words.
    """

    name: str
    channels: int
    cell: int
    usual: float
    meaning: str

    def example(self, count: int, height: int, width: int, random: torch.Generator) -> Tensor:
        """Random values for pictures (count,3,height,width)."""
        shape = (count, self.channels, height // self.cell, width // self.cell)
        return self.usual * torch.rand(shape, generator=random)


_BLOCK = dct.BLOCK
PICTURE = Port("noisy", 3, 1, 1.0, "the picture to clean")
LEVEL = Port(
    "sigma", 3, 1, 0.2, "the standard deviation of its noise at each pixel, on the scale of the picture"
)
TEMPORAL = (
    Port("fused", 3, 1, 1.0, "the frame averaged with its past along the motion"),
    Port(
        "left", 3, _BLOCK, 0.1, f"the standard deviation of the noise in `fused`, by {_BLOCK}x{_BLOCK} blocks"
    ),
    Port("noisy", 3, 1, 1.0, "the frame itself"),
    Port(
        "sigma",
        3,
        _BLOCK,
        0.2,
        f"the standard deviation of the noise in `noisy`, by {_BLOCK}x{_BLOCK} blocks",
    ),
    Port(
        "bands",
        3 * len(BANDS),
        _BLOCK,
        0.1,
        "the same in `fused`, by opponent colour and band of frequencies",
    ),
)


@dataclass(frozen=True)
class Subject:
    """A network to write.

    Attributes:
        network: in float32 on the CPU, ready to run; its arguments are the inputs, in their order.
        multiple: what height and width of the pictures must be multiples of.
        sigma: the noise level that was written into it, in 8-bit steps; 0 where it is an input.
        filter: what it was taken from, which is asked for its inputs when frames are given; None for a file.
    """

    name: str
    network: nn.Module
    inputs: tuple[Port, ...]
    multiple: int
    card: Card
    sigma: float = 0.0
    filter: Filter | None = None

    def examples(self, count: int, rows: int, columns: int) -> tuple[Tensor, ...]:
        """Random inputs for pictures of so many multiples a side; the same each time."""
        random = torch.Generator().manual_seed(rows)
        height, width = self.multiple * rows, self.multiple * columns
        return tuple(port.example(count, height, width, random) for port in self.inputs)

    def __call__(self, *inputs: Tensor) -> Tensor:
        """What PyTorch makes of the inputs, (B,3,H,W)."""
        with torch.no_grad():
            done: Tensor = self.network(*inputs)
        return done


class FixedLevel(nn.Module):
    """A network for single pictures whose noise level is known beforehand, or that does not ask for it."""

    sigma: Tensor

    def __init__(self, network: PictureDenoiser, sigma: float) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("sigma", torch.full((1, 3, 1, 1), sigma))

    def forward(self, noisy: Tensor) -> Tensor:
        """(B,3,H,W) -> (B,3,H,W)."""
        done: Tensor = self.network(noisy, self.sigma)
        return done


def find(what: str, sigma: float = 0.0) -> Subject:
    """The network behind a filter (`denoise`), or in a safetensors file that has its card beside it.

    Args:
        what: command-line text of one filter, or a path that ends in .safetensors.
        sigma: a noise level in 8-bit steps to write into a network for single pictures; 0 leaves it an input.

    Raises:
        UsageError: there is no such network, it is of another kind, or it cannot have a fixed level.
        VidnoiseError: the weights or their card are missing or were changed.
    """
    filter = None if what.endswith(".safetensors") else _filter(what)
    path = FOLDER / f"{filter.weights}.safetensors" if filter else Path(what)
    network, card = read(path)
    network.requires_grad_(False).eval()
    if isinstance(network, TemporalDenoiser):
        # By these --calibrate runs the filter.
        _refuse_unwritten(filter, "quality", "sigma", "settled", "ahead")
        if sigma:
            raise UsageError(
                f"{what} is told the noise level block by block, so none can be fixed; leave --sigma out, or give the "
                f"weights of a network for single pictures"
            )
        return _for_clips(network, path.stem, card, filter)
    if isinstance(network, PictureDenoiser):
        _refuse_unwritten(filter)
        if network.blind and sigma:
            raise UsageError(f"{what} finds the noise level by itself; leave --sigma out")
        return _for_pictures(network, path.stem, card, sigma)
    raise UsageError(
        f"{what} is a network of kind {card.kind!r}, which cleans no picture by itself; give denoise, or one that does"
    )


def _for_clips(network: TemporalDenoiser, name: str, card: Card, filter: Filter | None) -> Subject:
    multiple = lcm(network.tier.denoise.multiple, _BLOCK)
    if getattr(filter, "quality", "") != "best":
        return Subject(name, network, TEMPORAL, multiple, card, filter=filter)
    asked = Ensemble(network).eval()
    return Subject(f"{name}, asked eight times", asked, TEMPORAL, multiple, card, filter=filter)


def _for_pictures(network: PictureDenoiser, name: str, card: Card, sigma: float) -> Subject:
    multiple = lcm(network.multiple, _BLOCK)
    if not (network.blind or sigma):
        return Subject(name, network, (PICTURE, LEVEL), multiple, card)
    return Subject(name, FixedLevel(network, sigma / 255).eval(), (PICTURE,), multiple, card, sigma)


def _filter(what: str) -> Filter:
    from vidnoise.chain import Chain

    filters = Chain.parse(what).filters
    if len(filters) != 1 or not filters[0].weights:
        raise UsageError(
            f"{what!r} is no filter with a network of its own; give denoise, or a .safetensors file that vidnoise "
            f"train wrote"
        )
    return filters[0]


def _refuse_unwritten(filter: Filter | None, *written: str) -> None:
    """Refuse options that change what is done beside the network: the file would be without them, unseen."""
    chosen = [f.name for f in fields(filter) if getattr(filter, f.name) != f.default] if filter else []
    for name in chosen:
        if name not in written:
            remedy = "give the level as --sigma" if name == "sigma" else "leave it out"
            raise UsageError(f"{filter}: {name}= is no part of the network, which alone is written; {remedy}")
