"""The filter for slow machines: what stands still is averaged, what moves is smoothed and neither smears nor trails."""

from __future__ import annotations

import pytest
import torch
from streams import drawing, process
from test_fuse import noisy, panned, psnr
from test_stillness import room

from vidnoise.filters import Fuse, Steady
from vidnoise.frame import Frame


def gain(frames, pictures) -> float:
    """Of the last frame, in dB."""
    return psnr(process(Steady(sigma=25), frames)[-1].image, pictures[-1]) - psnr(
        frames[-1].image, pictures[-1]
    )


def test_what_stands_still_is_nearly_as_clean_as_along_a_flow():
    pictures = [room()] * 24
    frames = noisy(pictures, 25)
    done, fused = (process(filter, frames)[-1].image for filter in (Steady(sigma=25), Fuse(sigma=25)))
    assert psnr(done, pictures[-1]) > psnr(fused, pictures[-1]) - 2.5
    assert gain(frames, pictures) > 12


def test_what_moves_loses_noise_and_no_more_than_one_picture_alone():
    pictures = panned(6)
    frames = noisy(pictures, 25)
    assert gain(frames, pictures) > 5
    assert gain(frames, pictures) > gain(frames[-1:], pictures) - 0.1


def test_a_light_that_is_switched_on_is_seen_at_once():
    dark, light = room() * 0.7, room()
    done = process(Steady(sigma=25), noisy([dark] * 12 + [light] * 2, 25))
    assert abs(float((done[12].image - light).mean())) < 1 / 255


def test_confidence_is_where_the_past_was_taken():
    still, moved = room(), room().clone()
    moved[:, 64:96, 64:96] = 1 - moved[:, 64:96, 64:96]
    last = process(Steady(sigma=25), noisy([still] * 3 + [moved], 25))[-1]
    assert last.confidence is not None
    assert float(last.confidence[:, 70:90, 70:90].max()) == 0
    assert float(last.confidence[:, :32, :].mean()) > 0.9


def test_no_noise_is_left_alone():
    frames = noisy([room()] * 3, 0)
    done = process(Steady(sigma=0.05), frames)
    assert torch.allclose(done[-1].image, frames[-1].image, atol=2e-3)


@pytest.mark.parametrize("filter", [Fuse(), Steady()], ids=str)
def test_edges_of_saturated_colours_without_noise_stay_as_they_are(filter):
    drawn = drawing(20)
    (done,) = process(filter, [Frame(image=drawn)])
    assert (done.image - drawn).abs().max() < 1e-3
