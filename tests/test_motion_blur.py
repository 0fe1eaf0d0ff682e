"""Which motion is said to have blurred a picture, and undoing it."""

import math

import numpy as np
import pytest
import torch
from pictures import psnr, tensor
from test_deblur import photographs

from vidnoise.areas import blend, inside, split
from vidnoise.deconvolution import deconvolve
from vidnoise.kernels import linear_kernel
from vidnoise.motion_blur import blur_chances, blur_length
from vidnoise.nets.blur import MOTIONS, motions


def steady(picture: np.ndarray, length: float, angle: float) -> torch.Tensor:
    import cv2

    return tensor(np.round(cv2.filter2D(picture.astype(np.float32), -1, linear_kernel(length, angle))))


def test_blur_is_measured_about_as_long_as_it_is():
    for length in (5, 10, 20):
        found = [blur_length(steady(p, length, 20 + 30 * i)) for i, p in enumerate(photographs())]
        assert 0.7 * length < np.median(found) < 1.3 * length


def test_sharp_pictures_have_no_blur():
    assert max(blur_length(tensor(picture)) for picture in photographs()) < 3


@pytest.mark.parametrize("angle", [0, 35, 90, 140])
def test_the_direction_of_blur_is_found(angle):
    for picture in photographs():
        chances = blur_chances(steady(picture, 12, angle).mean(0)[None])[0, 2:-2, 2:-2].mean((0, 1))
        right, down = motions(chances.device).T
        turned = torch.complex(right, -down) ** 2
        found = torch.angle((chances * turned).sum()) / 2
        assert abs((math.degrees(found) - angle + 90) % 180 - 90) < 8


def test_where_nothing_is_seen_there_is_no_blur():
    assert blur_length(torch.full((3, 200, 300), 0.4)) == 0


def test_undoing_the_blur_that_was_found_brings_the_picture_nearer_to_the_sharp_one():
    for picture in photographs():
        seen, sharp = steady(picture, 9, 60), tensor(picture)
        gray = seen.mean(0)[None]
        bold, cautious = deconvolve(gray, blur_chances(gray))[0]
        inside = (..., slice(32, -32), slice(32, -32))
        before = psnr(seen[inside], sharp[inside])
        assert psnr((seen + bold)[inside], sharp[inside]) > before + 1
        assert psnr((seen + cautious)[inside], sharp[inside]) > before + 0.5


def test_what_is_sharp_is_not_changed_by_undoing_no_motion():
    gray = tensor(photographs()[0]).mean(0)[None]
    chances = torch.eye(MOTIONS)[0].expand(1, 7, 9, -1)
    assert float(deconvolve(gray, chances).abs().max()) < 1e-5


def test_pictures_are_whole_again_after_they_were_split_into_areas():
    gray = torch.rand(2, 100, 171)
    assert torch.allclose(blend(inside(split(gray)), 100, 171), gray, atol=1e-5)
