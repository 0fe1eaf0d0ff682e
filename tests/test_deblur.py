"""The deblurring filter: what is blurred gains, what is sharp stays."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from pictures import psnr, tensor
from streams import patterns, process, unfocused

from vidnoise.bench.clips import add_blur
from vidnoise.chain import Chain
from vidnoise.filter import Filter
from vidnoise.filters import Deblur, Denoise, MPRNet
from vidnoise.frame import Frame
from vidnoise.motion_blur import blur_length


def photographs() -> list[np.ndarray]:
    from skimage import data

    return [data.astronaut()[:384, :480], data.coffee()[:384, :480], data.chelsea()[:288, :448]]


def blurred(picture: np.ndarray, length: float, seed: int = 0) -> torch.Tensor:
    return tensor(add_blur([picture], length, seed)[0])


def deblurred(*images: torch.Tensor, filter: Filter | None = None) -> list[torch.Tensor]:
    frames = [Frame(image=image, pts=i) for i, image in enumerate(images)]
    return [done.image for done in process(Chain.of(filter or Deblur()), frames)]


BOTH = pytest.mark.parametrize("filter", [Deblur(), MPRNet(task="deblur")], ids=str)


@BOTH
@pytest.mark.parametrize("length", [6, 12, 20])
def test_a_blurred_picture_gains(filter, length):
    gains = []
    for seed, picture in enumerate(photographs()):
        seen, sharp = blurred(picture, length, seed), tensor(picture)
        (done,) = deblurred(seen, filter=filter)
        gains.append(psnr(done, sharp) - psnr(seen, sharp))
    assert min(gains) > -0.05
    assert np.mean(gains) > 0.1


def test_noise_and_blur_are_best_taken_away_both():
    gains = []
    for seed, picture in enumerate(photographs()):
        sharp, seen = tensor(picture), blurred(picture, 14, seed)
        noise = 5 / 255 * torch.randn(seen.shape, generator=torch.Generator().manual_seed(seed))
        frame = Frame(image=((seen + noise).clamp(0, 1) * 255).round() / 255)
        chains = (Chain.of(Denoise()), Chain.of(Deblur()), Denoise() | Deblur())
        cleaned, sharpened, both = (psnr(process(chain, [frame])[0].image, sharp) for chain in chains)
        gains.append(both - max(cleaned, sharpened))
    assert min(gains) > -0.05
    assert np.mean(gains) > 0.3


@BOTH
def test_a_sharp_picture_passes_untouched(filter):
    for picture in photographs():
        image = tensor(picture)
        (done,) = deblurred(image, filter=filter)
        assert done is image or psnr(done, image) > 45


@BOTH
@pytest.mark.parametrize("across", [9, 15, 21])
def test_what_is_out_of_focus_stays_so(filter, across):
    for picture in photographs():
        seen = tensor(unfocused(picture, across))
        (done,) = deblurred(seen, filter=filter)
        assert psnr(done, seen) > 48


@pytest.mark.parametrize("filter", [Deblur(), Deblur(quality="fast"), MPRNet(task="deblur")])
@pytest.mark.parametrize("slope", [0.3, -0.3])
@pytest.mark.parametrize("across", [16, 32])
def test_edges_out_of_focus_are_no_motion_along_them(filter, slope, across):
    down, right = np.mgrid[:384, :448]
    place = down + slope * right
    light = np.full(place.shape, 90)
    for edge, level in (
        (-60, 20),
        (-10, 153),
        (50, 50),
        (110, 190),
        (190, 20),
        (250, 153),
        (340, 50),
        (430, 190),
    ):
        light[place > edge] = level
    for y, x, radius in ((90, 330, 25), (250, 120, 35), (310, 260, 18)):
        light[np.hypot(down - y, right - x) < radius] = 12
    seen = tensor(unfocused(np.repeat(light[..., None], 3, 2).astype(np.uint8), across))
    (done,) = deblurred(seen, filter=filter)
    assert psnr(done, seen) > 55


@pytest.mark.parametrize("filter", [Deblur(), Deblur(quality="fast"), MPRNet(task="deblur")])
@pytest.mark.parametrize("pattern", ["blinds", "slanted", "checks", "chess", "halftone", "cloth"])
def test_patterns_are_no_motion_across_them(filter, pattern):
    seen = patterns()[pattern]
    (done,) = deblurred(seen, filter=filter)
    assert psnr(done, seen) > 55


def test_of_a_pattern_no_blur_is_told():
    for name, light in patterns().items():
        assert not blur_length(light), name


@BOTH
def test_even_areas_beside_a_blurred_picture_stay_even(filter):
    """Of bars or a blown-out sky nothing can be told; it made numbers that are none of the whole picture."""
    seen = torch.zeros(3, 384, 960)
    seen[:, :, 300:780] = blurred(photographs()[0], 20)
    (done,) = deblurred(seen, filter=filter)
    assert done.isfinite().all()
    assert psnr(done, seen) < 60
    assert not done[:, :, 830:].any()


def test_a_neighbour_that_is_less_blurred_helps():
    picture = photographs()[0]
    seen, sharp = blurred(picture, 14, 1), tensor(picture)
    (alone,) = deblurred(seen)
    among = deblurred(sharp, seen, sharp)[1]
    assert psnr(among, sharp) > psnr(alone, sharp) + 0.1


def test_what_was_made_of_the_past_steadies_the_picture():
    fast = Deblur(quality="fast")
    for seed, picture in enumerate(photographs()):
        seen, sharp = [tensor(frame) for frame in add_blur([picture] * 5, 16, seed)], tensor(picture)
        (alone,) = deblurred(seen[-1], filter=fast)
        assert psnr(deblurred(*seen, filter=fast)[-1], sharp) > psnr(alone, sharp) + 0.1


@BOTH
def test_strength_scales_the_change(filter):
    seen = blurred(photographs()[0], 10)
    (whole,) = deblurred(seen, filter=filter)
    (half,) = deblurred(seen, filter=replace(filter, strength=0.5))
    assert torch.allclose(half - seen, (whole - seen) / 2, atol=1e-6)
    (none,) = deblurred(seen, filter=replace(filter, strength=0))
    assert none is seen


def test_the_picture_follows_when_it_is_moved():
    seen = blurred(photographs()[0], 10)
    (done,), (moved,) = deblurred(seen), deblurred(seen[:, :, 64:])
    middle = (slice(None), slice(96, -96), slice(96, -96))
    # Not the same: the tiles in which the path is fitted lie elsewhere.
    assert psnr(moved[middle], done[:, :, 64:][middle]) > 33


@BOTH
def test_nothing_rings_beyond_the_range_around_it(filter):
    seen = blurred(photographs()[1], 15)
    (done,) = deblurred(seen, filter=filter)
    high = torch.nn.functional.max_pool2d(seen[None], 17, 1, 8)[0]
    low = -torch.nn.functional.max_pool2d(-seen[None], 17, 1, 8)[0]
    room = (high - low) / 2 + 1e-6
    assert bool(((done <= high + room) & (done >= low - room)).all())
