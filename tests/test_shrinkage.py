"""Shrinking the noise that is left: what the network adds, and that parts of a picture are done as the whole is."""

import pytest
import torch
import torch.nn.functional as F
from skimage import data

from vidnoise import dct
from vidnoise.fusion import Look
from vidnoise.nets import build, load
from vidnoise.shrinkage import shrink, shrunk, sure

CPU = torch.device("cpu")


def gray(height: int = 256) -> torch.Tensor:
    """(1,height,384): a photograph, mirrored as often as need be."""
    picture = torch.from_numpy(data.coffee())[:256, 100:484].float().mean(2) / 255
    return torch.cat([picture, picture.flip(0)] * 2)[None, :height].contiguous()


def noisy(clean: torch.Tensor, sigma: float) -> Look:
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(3)) * sigma / 255
    blocks = (len(clean), 64, clean.shape[1] // 8, clean.shape[2] // 8)
    return Look(clean + noise, torch.full(blocks, (sigma / 255) ** 2))


def error(picture: torch.Tensor, clean: torch.Tensor) -> float:
    return float((picture - clean).square().mean())


@pytest.mark.parametrize("sigma", [5, 20, 50])
def test_the_network_leaves_less_than_the_guess_it_began_with(sigma):
    clean = gray()
    sight = noisy(clean, sigma)
    model = shrunk(sure, sight, None, slice(0, 256))
    with torch.inference_mode():
        guess, learned = (
            shrunk(network, sight, model, slice(0, 256))
            for network in (build("shrinkage", ""), load("shrinkage", CPU, torch.float32))
        )
    assert error(learned, clean) < 0.93 * error(guess, clean)
    assert error(guess, clean) < 0.5 * error(sight.picture, clean)


def test_a_good_model_gives_a_better_result_than_none():
    clean = gray()
    sight = noisy(clean, 20)
    assert error(shrink(sight, clean), clean) < 0.9 * error(shrink(sight, None), clean)


@pytest.mark.parametrize("told", [True, False])
def test_a_tall_picture_is_done_in_parts_as_the_whole_would_be(told):
    clean = gray(776)
    sight = noisy(clean, 20)
    whole = slice(0, 776)
    model = clean if told else shrunk(sure, sight, None, whole)
    network = load("shrinkage", CPU, torch.float32)
    assert torch.allclose(
        shrink(sight, clean if told else None), shrunk(network, sight, model, whole), atol=1e-5
    )


def test_without_noise_nothing_is_shrunk():
    clean = gray()
    none = Look(clean, torch.full((1, 64, 32, 48), 1e-12))
    assert torch.allclose(shrink(none, None), clean, atol=1e-4)


def test_less_is_left_where_it_is_told_which_frequencies_the_noise_has():
    clean = gray()
    noise = noisy(torch.zeros_like(clean), 20).picture
    noise -= F.avg_pool2d(noise, 5, 1, 2)
    power = dct.forward(noise).square().mean((2, 3), keepdim=True)
    told, white = (
        shrink(Look(clean + noise, each.expand(1, 64, 32, 48).contiguous()), None)
        for each in (power, power.mean().expand_as(power))
    )
    assert error(told, clean) < 0.95 * error(white, clean)
    assert error(told, clean) < 0.1 * error(clean + noise, clean)
