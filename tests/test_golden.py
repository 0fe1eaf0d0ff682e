"""The filters' pictures as they were when somebody last looked at them: tests/golden, one strip of frames a filter.

After a change that is meant: `python tests/test_golden.py` writes them anew; look at them before committing.
"""

import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from streams import CPU, process

from vidnoise.chain import Chain
from vidnoise.filter import Filter
from vidnoise.frame import Frame
from vidnoise.kernels import linear_kernel
from vidnoise.registry import filters

FOLDER = Path(__file__).parent / "golden"
SHOWN = (0, 3, 7)
HEIGHT, WIDTH = 72, 96
EXAMPLES = [
    e
    for _, kind in sorted(filters().items())
    if kind.__module__.startswith("vidnoise_filters")
    for e in kind.examples()
]


def noisy_clip() -> list[Frame]:
    """A disc that moves over stripes and a ramp, noise of sigma 20; numpy's old generator is the same everywhere."""
    random = np.random.RandomState(0)
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    frames = []
    for i in range(8):
        stripes = 0.5 + 0.25 * np.sin((x + 2 * y) / 5)
        ramp = x / WIDTH
        disc = 1 / (1 + np.exp(np.hypot(x - 25 - 5 * i, y - 36) - 14))
        image = np.stack(
            [stripes * (1 - disc) + 0.9 * disc, 0.7 * ramp * (1 - disc) + 0.2 * disc, 0.4 + 0 * x]
        )
        image += 20 / 255 * random.standard_normal(image.shape)
        frames.append(Frame(image=torch.from_numpy(image.astype(np.float32)), pts=i))
    return frames


def blurred_clip() -> list[Frame]:
    from skimage import data

    picture = data.astronaut()[:192, 100:324].astype(np.float32) / 255
    frames = []
    for i in range(8):
        moved = cv2.filter2D(picture, -1, linear_kernel(9, 20 + 10 * i))
        image = np.round(255 * moved.clip(0, 1)).transpose(2, 0, 1) / 255
        frames.append(Frame(image=torch.from_numpy(image.astype(np.float32)), pts=i))
    return frames


def strip(filter: Filter) -> np.ndarray:
    """(H, shown * W, 3), BGR, 8 bit."""
    clip = blurred_clip() if "deblur" in str(filter) else noisy_clip()
    done = process(Chain.of(filter), clip, CPU)
    row = torch.cat([done[i].image for i in SHOWN], -1).clamp(0, 1)
    return (255 * row).round().byte().permute(1, 2, 0).flip(-1).contiguous().numpy()


def path_of(filter: Filter) -> Path:
    return FOLDER / f"{re.sub('[^a-z0-9]+', '-', str(filter).lower()).strip('-')}.png"


@pytest.mark.parametrize("filter", EXAMPLES, ids=str)
def test_a_filter_gives_the_picture_it_gave(filter):
    found, golden = strip(filter), cv2.imread(str(path_of(filter)))
    assert golden is not None, f"no {path_of(filter)}; see this file's head"
    difference = np.abs(found.astype(int) - golden)
    assert difference.mean() < 0.25
    assert np.quantile(difference, 0.999) <= 4


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for example in EXAMPLES:
        cv2.imwrite(str(path_of(example)), strip(example))
