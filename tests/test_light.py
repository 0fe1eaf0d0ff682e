"""Light that changes from frame to frame, as of lamps, exposure and fades, does not end the memory of the denoisers."""

import math

import pytest
import torch
from pictures import coffee, psnr
from streams import process

from vidnoise.filter import Filter
from vidnoise.filters import Denoise, Fuse, Steady
from vidnoise.frame import Frame
from vidnoise.light import brightening

SIGMA = 12 / 255
FILTERS = pytest.mark.parametrize("filter", [Denoise(sigma=12), Fuse(sigma=12), Steady(sigma=12)], ids=str)


def photograph() -> torch.Tensor:
    return coffee(256, 320, top=0, left=0)


def last(filter: Filter, gains: list[float] | list[torch.Tensor]) -> float:
    """The PSNR of the last frame of a still picture in such light, of all or of each line, with noise."""
    clean = [photograph() * gain for gain in gains]
    generator = torch.Generator().manual_seed(0)
    noisy = [(light + SIGMA * torch.randn(light.shape, generator=generator)).clamp(0, 1) for light in clean]
    done = process(filter, [Frame(image=image, pts=i) for i, image in enumerate(noisy)])[-1].image
    return psnr(done, clean[-1])


@FILTERS
def test_lamps_that_flicker_cost_little(filter):
    flicker = [0.85 + 0.05 * math.sin(2.2 * i) for i in range(8)]
    assert last(filter, flicker) > last(filter, [flicker[-1]] * 8) - 1


@FILTERS
def test_lamps_that_are_seen_as_moving_bands_cost_little(filter):
    turns = torch.arange(256)[:, None] / 256 * 1.5
    bands = [0.85 + 0.08 * torch.sin(2 * math.pi * (turns + 0.37 * i)) for i in range(8)]
    assert last(filter, bands) > last(filter, [bands[-1]] * 8) - 1


@FILTERS
def test_a_fade_is_cleaner_for_its_past(filter):
    fade = [1 - 0.05 * i for i in range(8)]
    assert last(filter, fade) > last(filter, fade[-1:]) + 0.7


def test_what_moves_is_no_change_of_light():
    here = torch.rand(30, 40, generator=torch.Generator().manual_seed(0)) * 0.5 + 0.2
    there = here.clone()
    there[:, :15] = 0.1
    assert (brightening(here, there) == 1).all()


def test_of_what_is_dark_beside_the_noise_no_light_is_told():
    here = torch.full((30, 40), 0.1)
    assert (brightening(here, here * 0.8) - 1.25).abs().max() < 1e-3
    assert (brightening(here, here * 0.8, noise=0.1) == 1).all()
