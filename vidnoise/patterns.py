"""What repeats itself is no noise: which pictures were drawn, and which show cloth, print or other fine patterns."""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor

from vidnoise.ramps import ramp
from vidnoise.spectra import power_of

EQUAL = 0.02 / 255
"""Pixels that differ by less are the same."""
_ASIDE = 3  # pixels: what was enlarged repeats its neighbours
_DRAWN = 0.3, 0.45
"""Share of pixels that are exactly as those so far aside, or below: up to the first a picture may be filmed, above the
second it is drawn, and shows no noise. With noise of 2 and more, coded too, it is up to 0.1; a page of text has 0.5."""
_SIDE = 64  # pixels, of the tiles whose spectrum is looked at
_TILES = 64  # about, whatever the size of the picture
_COARSEST = 0.12  # cycles a pixel: below, any picture is uneven
_WIDTH = 3  # frequencies of a tile that a ring is wide
_SOME = (0.2 / 255) ** 2  # power of a frequency, below which a tile shows nothing
_PLAIN = 0.8  # quantile of the tiles: a fifth without a pattern is enough to see noise
_PATTERN = 0.12, 0.3
"""How even rings of the spectrum are, 1 for noise of any colour. Print, cloth and knitting have 0.08 and less; noise of 3
and more, a codec's too, has 0.53 and more, and so have nearly all pictures without any."""


def filmed(blocks: Tensor) -> Tensor:
    """Whether blocks (3,N,S,S), of which none is constant, can have noise: not if many pixels are as others near."""
    pairs = [(blocks[..., _ASIDE:], blocks[..., :-_ASIDE]), (blocks[:, :, _ASIDE:], blocks[:, :, :-_ASIDE])]
    equal = torch.stack([(a - b).abs_().lt(EQUAL).all(0).float().mean() for a, b in pairs])
    return 1 - ramp(equal.amin().nan_to_num(0), *_DRAWN)


def irregular(image: Tensor) -> Tensor:
    """Whether what is fine in a picture (3,H,W) can be noise, 0 to 1: a pattern has its power in few frequencies.

    Noise may be of any colour, but frequencies that are as high as each other have about the same power in it.
    """
    if min(image.shape[1:]) < 2 * _SIDE:  # too little is seen of it
        return image.new_ones(())
    step = max(_SIDE // 2, math.isqrt(image[0].numel() // _TILES))
    tiles = image.unfold(1, _SIDE, step).unfold(2, _SIDE, step).mean(0).float().flatten(0, 1)
    window, rings = _window(image.device), _rings(image.device)
    spectrum = torch.fft.rfft2((tiles - tiles.mean((1, 2), keepdim=True)) * window)
    power = power_of(spectrum).flatten(1)
    parts = [power[:, ring] for ring in rings]
    # Of an exponential distribution, which the power of noise has, the median is the mean times log 2.
    even = torch.stack([part.median(1).values * part.shape[1] for part in parts]).sum(0) / math.log(2)
    whole = torch.stack([part.sum(1) for part in parts]).sum(0)
    shown = whole > _SOME * window.square().sum() * sum(len(ring) for ring in rings)
    if not bool(shown.any()):
        return image.new_ones(())
    return ramp((even[shown] / whole[shown]).quantile(_PLAIN), *_PATTERN)


@cache
def _window(device: torch.device) -> Tensor:
    line = torch.hann_window(_SIDE + 2, periodic=False, device=device)[1:-1]
    return line * line[:, None]


@cache
def _rings(device: torch.device) -> list[Tensor]:
    """Where in the flat spectrum of a tile frequencies are about as high as each other, ring by ring."""
    right, down = torch.fft.rfftfreq(_SIDE, device=device), torch.fft.fftfreq(_SIDE, device=device)
    ring = (torch.hypot(right, down[:, None]).flatten() * _SIDE / _WIDTH).long()
    first, last = int(_COARSEST * _SIDE / _WIDTH), int(_SIDE / 2 / _WIDTH)
    return [(ring == number).nonzero()[:, 0] for number in range(first, last + 1)]
