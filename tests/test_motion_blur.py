"""How long motion blur is said to be."""

import numpy as np
import torch

from vidnoise.bench.clips import add_blur
from vidnoise.motion_blur import blur_length, blur_lengths


def photographs() -> list[np.ndarray]:
    from skimage import data

    return [data.astronaut()[:384, :480], data.coffee()[:384, :480], data.chelsea()[:288, :448]]


def tensor(picture: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1))).float() / 255


def blurred(picture: np.ndarray, length: float, seed: int = 0) -> torch.Tensor:
    return tensor(add_blur([picture], length, seed)[0])


def test_blur_is_measured_longer_the_longer_it_is():
    found = [
        np.mean([blur_length(blur_lengths(blurred(p, length, 3))) for p in photographs()])
        for length in (0, 4, 10, 20)
    ]
    assert found[0] < 2.5
    assert found[0] < found[1] < found[2] < found[3]
    assert found[3] > 5


def test_where_nothing_is_seen_there_is_no_blur():
    assert blur_length(blur_lengths(torch.full((3, 200, 300), 0.4))) == 0
    assert blur_lengths(torch.rand(3, 40, 40)).tolist() == [[0.0]]
