"""Filters as the bench runs them: frames in memory, in and out."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vidnoise import pipeline
from vidnoise.bench.clips import to_8_bit
from vidnoise.bench.metrics import tensor
from vidnoise.chain import Chain
from vidnoise.errors import VidnoiseError
from vidnoise.frame import Frame, StreamInfo
from vidnoise.registry import filters

if TYPE_CHECKING:
    from vidnoise.bench.clips import Noisy, Picture
    from vidnoise.device import Device

HOME = "vidnoise"


@dataclass(frozen=True)
class Ours:
    """A chain of filters; their own noise estimation runs too, since a user's does."""

    chain: Chain
    device: Device
    home: str = HOME

    @property
    def name(self) -> str:
        """The chain as command-line text."""
        return str(self.chain)

    def settings(self, sigma: float) -> str:
        """The chain as command-line text: it is told nothing of the noise."""
        return str(self.chain)

    def run(self, noisy: Sequence[Noisy], sigma: float) -> tuple[list[Picture], float]:
        """Clean RGB frames (H,W,3) in 0..255; gives them and the seconds it took, conversion of types not counted."""
        frames = [Frame(pts=i, image=tensor(x).to(self.device.torch)) for i, x in enumerate(noisy)]
        height, width = noisy[0].shape[:2]
        info = StreamInfo(width=width, height=height, frames=len(frames))
        stage = self.chain.open(info, self.device)
        self._wait()
        start = time.perf_counter()
        done = list(pipeline.stream(frames, stage, self.device))
        self._wait()
        seconds = time.perf_counter() - start
        return [to_8_bit(frame.image.permute(1, 2, 0).mul(255).cpu().numpy()) for frame in done], seconds

    def _wait(self) -> None:
        if self.device.is_cuda:
            import torch

            torch.cuda.synchronize(self.device.torch)


def chains(names: Sequence[str]) -> list[Chain]:
    """The chains that are asked for, as command-line text; without any, every filter that there is at its defaults.

    A filter that cannot work without options is represented by its own examples, if it has any.
    """
    if names:
        return [Chain.parse(name) for name in names]
    return [chain for name in sorted(filters()) for chain in _defaults(name)]


def _defaults(name: str) -> Iterator[Chain]:
    kind = filters()[name]
    try:
        yield Chain.of(kind())
    except (TypeError, VidnoiseError):
        yield from (Chain.of(example) for example in kind.examples())
