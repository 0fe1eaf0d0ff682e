"""Cuts among noise, flashes and fast pans."""

import numpy as np
import pytest
import skimage.data
import torch
import torch.nn.functional as nnf

from vidnoise.scene import CutDetector

SIZE = (144, 256)


def pictures() -> list[torch.Tensor]:
    """Real pictures that ship with scikit-image, (3,H,W) in 0..1."""
    arrays = [skimage.data.astronaut(), skimage.data.coffee(), skimage.data.chelsea(), skimage.data.rocket()]
    arrays += [
        np.stack([a] * 3, -1) for a in (skimage.data.camera(), skimage.data.coins(), skimage.data.page())
    ]
    arrays += [skimage.data.immunohistochemistry(), skimage.data.hubble_deep_field(), skimage.data.retina()]
    return [torch.from_numpy(np.ascontiguousarray(a.transpose(2, 0, 1))).float() / 255 for a in arrays]


def shot(
    picture: torch.Tensor, speed: float, rng: np.random.Generator, count: int = 12
) -> list[torch.Tensor]:
    """A camera that moves over a picture by `speed` of the frame's width a frame."""
    _, height, width = picture.shape
    w = int(width * 0.55)
    h = min(int(w * 9 / 16), height - 4)
    y, room = int(rng.integers(0, height - h)), width - w
    step = min(speed * w, room / count)
    backwards = rng.random() < 0.5
    found = []
    for i in range(count):
        x = int(step * (count - 1 - i if backwards else i))
        found.append(nnf.interpolate(picture[None, :, y : y + h, x : x + w], SIZE, mode="area")[0])
    return found


def flashed(frames: list[torch.Tensor], rng: np.random.Generator) -> list[torch.Tensor]:
    """One to three frames of the shot strongly brightened, as far as white."""
    first = int(rng.integers(3, 7))
    lit = range(first, first + int(rng.integers(1, 4)))
    gain, offset = rng.uniform(1.5, 3), rng.uniform(0.1, 0.5)
    return [f * gain + offset if i in lit else f for i, f in enumerate(frames)]


def film(sigma: float, seed: int = 3) -> tuple[list[torch.Tensor], set[int]]:
    """Shots joined in random order, with the frames at which they start."""
    rng = np.random.default_rng(seed)
    generator = torch.Generator().manual_seed(seed)
    frames, cuts, last = [], set(), -1
    sources = pictures()
    for _ in range(24):
        choice = int(rng.choice([i for i in range(len(sources)) if i != last]))
        part = shot(sources[choice], float(rng.choice([0, 0.01, 0.04, 0.07])), rng)
        part = flashed(part, rng) if rng.random() < 0.4 else part
        cuts |= {len(frames)} if frames else set()
        frames += part
        last = choice
    noisy = [f + sigma / 255 * torch.randn(f.shape, generator=generator) for f in frames]
    return [(f.clamp(0, 1) * 255).round() / 255 for f in noisy], cuts


@pytest.mark.parametrize("sigma", [0, 15, 30])
def test_nearly_all_cuts_are_found_and_hardly_anything_else(sigma):
    frames, cuts = film(sigma)
    detector = CutDetector()
    found = {i for i, frame in enumerate(frames) if detector.push(frame)}
    assert len(found & cuts) / len(cuts) >= 0.95, cuts - found
    assert len(found & cuts) / len(found) >= 0.95, found - cuts


def cuts(frames: list[torch.Tensor]) -> list[int]:
    detector = CutDetector()
    return [number for number, frame in enumerate(frames) if detector.push(frame)]


def part(picture: torch.Tensor, x: int) -> torch.Tensor:
    return nnf.interpolate(picture[None, :, 50:162, x : x + 200], SIZE, mode="area")[0]


def lit(picture: torch.Tensor, light: float) -> torch.Tensor:
    """By so much light that little but the difference to white is left."""
    return picture * (1.2 - 1.2 * light) + light


def test_the_first_frame_is_no_cut_and_the_way_back_to_what_was_before_is_one():
    one, other = (part(picture, 0) for picture in pictures()[:2])
    assert cuts([one] * 4 + [other] * 2 + [one] * 2) == [4, 6]


def test_how_still_a_scene_was_says_nothing_of_the_next():
    still, moving = pictures()[:2]
    assert cuts([part(still, 0)] * 6 + [part(moving, 36 * i) for i in range(5)]) == [6]


@pytest.mark.parametrize("light", [0.6, 0.7, 0.85, 0.9])
def test_what_moved_on_in_a_flash_is_still_the_scene(light):
    frames = [part(pictures()[0], 12 * i) for i in range(10)]
    assert cuts([lit(frame, light) if i in (4, 5) else frame for i, frame in enumerate(frames)]) == []


def test_a_cut_into_the_light_is_found_and_one_into_glare_within_four_frames():
    one, other, third = (part(picture, 0) for picture in pictures()[:3])
    assert cuts([third] * 4 + [lit(one, 0.7)] * 7) == [4]
    assert cuts([other] * 4 + [lit(third, 0.85)] * 7) == [8]


@pytest.mark.parametrize("size", [SIZE, (36, 64)])
def test_strong_noise_over_next_to_nothing_is_no_cut(size):
    generator = torch.Generator().manual_seed(0)
    faint = [nnf.interpolate(p[None], size)[0] / 20 + 0.3 for p in pictures()[:1]] * 12
    assert cuts([f + 30 / 255 * torch.randn(f.shape, generator=generator) for f in faint]) == []


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_a_blank_frame_is_no_cut_and_the_scene_after_it_is_recognised(value):
    picture = pictures()[0]
    detector = CutDetector()
    seen = [picture, torch.full_like(picture, value), picture]
    assert [detector.push(frame) for frame in seen] == [False, False, False]


def test_the_same_frame_again_is_no_cut():
    detector = CutDetector()
    assert not any(detector.push(pictures()[0]) for _ in range(6))


@pytest.mark.parametrize("size", [(1, 1), (16, 16), (17, 301), (600, 20)])
def test_frames_of_any_size_are_taken(size):
    detector = CutDetector()
    assert not any(detector.push(torch.full((3, *size), 0.3)) for _ in range(3))
