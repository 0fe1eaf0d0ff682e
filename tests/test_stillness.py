"""A fixed camera: what stands still is remembered for long, what moves leaves nothing behind, a pan is not taken for it."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
import pytest
import torch
from skimage import data
from streams import process
from test_fuse import noisy, psnr

from vidnoise.chain import Chain

HEIGHT, WIDTH = 160, 240
FILTERS = ("steady:sigma=25", "fuse:sigma=25", "denoise:sigma=25,ahead=0")


@cache
def photograph(name: str, height: int, width: int) -> torch.Tensor:
    whole = cv2.resize(getattr(data, name)()[..., :3], (width, height), interpolation=cv2.INTER_AREA)
    return torch.from_numpy(whole).permute(2, 0, 1).float() / 255


def room() -> torch.Tensor:
    return photograph("chelsea", HEIGHT, WIDTH)


def walked(count: int, speed: int = 4) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Somebody walks through the lower half; the pictures, and where they are in each."""
    person, pictures, where = photograph("astronaut", 48, 40), [], []
    for i in range(count):
        picture, mask = room().clone(), torch.zeros(HEIGHT, WIDTH, dtype=torch.bool)
        left = 4 + speed * i
        picture[:, 100:148, left : left + 40] = person
        mask[100:148, left : left + 40] = True
        pictures.append(picture)
        where.append(mask)
    return pictures, where


def cleaned(filter: str, pictures: list[torch.Tensor]) -> list[torch.Tensor]:
    return [frame.image for frame in process(Chain.parse(filter), noisy(pictures, 25))]


@pytest.mark.parametrize("filter", FILTERS)
def test_a_background_that_stands_still_gets_cleaner_for_seconds(filter):
    out = cleaned(filter, walked(30)[0])
    early, late = (psnr(out[i][:, :80], room()[:, :80]) for i in (7, 29))
    assert late > early + 1.5


@pytest.mark.parametrize("filter", FILTERS)
def test_who_walks_through_a_picture_that_stands_still_leaves_no_trail(filter):
    pictures, where = walked(36)
    out = cleaned(filter, pictures)
    for ago, most in ((1, 0.08), (4, 0.04), (8, 0.04)):
        ghost = seen = 0.0
        for i in range(24, 36):
            bare = where[i - ago] & ~where[i - ago + 1]
            person = (pictures[i - ago] - pictures[i])[:, bare]
            ghost += float((person * (out[i] - pictures[i])[:, bare]).sum())
            seen += float(person.square().sum())
        assert abs(ghost / seen) < most, ago
    before, after = (psnr(out[i][:, where[i]], pictures[i][:, where[i]]) for i in (7, 35))
    assert after > before - 1


def test_what_has_stood_still_and_leaves_is_gone_at_once_however_faint():
    faint = room().clone()
    faint[:, 60:120, 60:140] += 8 / 255
    out = cleaned("fuse:sigma=25", [faint] * 24 + [room()] * 6)
    left = [float((image - room())[:, 66:114, 66:134].mean()) * 255 for image in out]
    assert left[23] > 6
    assert left[26] < 1.5
    assert abs(left[29]) < 1


def test_a_slow_pan_is_followed_and_not_taken_for_a_fixed_camera():
    big = photograph("chelsea", 2 * HEIGHT, 2 * WIDTH).permute(1, 2, 0).numpy()

    def moment(i: int) -> torch.Tensor:
        shift = np.float32([[1, 0, -20 - 0.25 * i], [0, 1, -20]])
        picture = cv2.warpAffine(big, shift, (WIDTH, HEIGHT), flags=cv2.INTER_LANCZOS4)
        return torch.from_numpy(picture).permute(2, 0, 1).clamp(0, 1).contiguous()

    pictures = [moment(i) for i in range(30)]
    out = cleaned("fuse:sigma=25", pictures)
    assert psnr(out[29], pictures[29]) > psnr(out[9], pictures[9]) - 0.3
