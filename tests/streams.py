"""Small streams of frames made of tensors, and two filters whose effect on time is easy to see."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import torch
from numpy.typing import NDArray

from vidnoise.chain import Chain
from vidnoise.device import Device, choose
from vidnoise.filter import Filter, RecurrentFilter, Stage, WindowFilter, option
from vidnoise.frame import Frame, StreamInfo

CPU = choose("cpu", "fp32")
TIME_BASE = Fraction(1, 90000)


def texture(height: int = 48, width: int = 64, shift: int = 0, seed: int = 0) -> torch.Tensor:
    """A smooth random picture (3,H,W) in 0.2..0.8, moved to the right by `shift` pixels."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, max(height // 8, 2), max(width // 8, 2), generator=generator)
    fine = torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic")[0].clamp(0, 1)
    return (0.2 + 0.6 * fine).roll(shift, -1)


def drawing(side: int = 40) -> torch.Tensor:
    """Squares of saturated colours side by side (3,5 side,6 side)."""
    colours = torch.rand(3, 5, 6, generator=torch.Generator().manual_seed(0)) > 0.5
    return (0.1 + 0.8 * colours).repeat_interleave(side, 1).repeat_interleave(side, 2)


def unfocused(picture: NDArray[np.uint8], across: int) -> NDArray[np.uint8]:
    """A picture (H,W,3) as a lens out of focus shows it: points are discs, so many pixels across."""
    import cv2

    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (across, across)).astype(np.float32)
    seen: NDArray[np.uint8] = cv2.filter2D(picture, -1, disc / disc.sum(), borderType=cv2.BORDER_REFLECT)
    return seen


def patterns() -> dict[str, torch.Tensor]:
    """What repeats itself, without noise: (3,270,480) each, by name."""
    import cv2
    from skimage import data

    down, right = np.mgrid[:270, :480]
    slanted, aside = right * 0.866 + down * 0.5, down * 0.866 - right * 0.5
    screen = 0.5 + 0.25 * (np.cos(2 * np.pi * slanted / 5.3) + np.cos(2 * np.pi * aside / 5.3))
    photograph = cv2.GaussianBlur(data.coffee()[:270, :480].mean(2) / 255, (0, 0), 3)
    shades = 12 * np.random.default_rng(0).normal(size=(2, 480 // 4))[:, np.arange(480) // 4]
    across, along = (100 * np.abs(np.sin(np.pi * way / 2)) for way in (right, down))
    lights = {
        "blinds": np.where(down // 4 % 2, 210, 90) + right // 10,
        "slanted": np.where((right + down // 3) % 7 < 3, 200, 60),
        "checks": np.where((down // 2 + right // 2) % 2, 228, 28),
        "chess": np.where((down // 20 + right // 20) % 2, 204, 77),
        "halftone": 255 / (1 + np.exp(20 * (1 - photograph - screen))),
        "cloth": 120
        + np.where((right // 4 + down // 4) % 2, across + shades[0], along - 15 + shades[1, :270, None]),
    }
    return {
        name: torch.from_numpy(light.astype(np.uint8)).repeat(3, 1, 1) / 255 for name, light in lights.items()
    }


def clip(
    count: int,
    height: int = 48,
    width: int = 64,
    sigma: float = 0.0,
    motion: int = 1,
    cuts: Iterable[int] = (),
) -> list[Frame]:
    """Frames of a moving texture at uneven times, with white noise of `sigma` (0..255), new scenes at `cuts`."""
    generator = torch.Generator().manual_seed(1)
    frames, scene, pts = [], 0, 700
    for i in range(count):
        scene += i in set(cuts)
        image = texture(height, width, motion * i, seed=scene)
        noisy = image + sigma / 255 * torch.randn(image.shape, generator=generator)
        frames.append(Frame(image=noisy, pts=pts, time_base=TIME_BASE, duration=3000 + i, cut=i in set(cuts)))
        pts += 3000 + i
    return frames


def info(height: int = 48, width: int = 64) -> StreamInfo:
    return StreamInfo(width=width, height=height, time_base=TIME_BASE)


def process(filter: Filter, frames: Sequence[Frame], device: Device = CPU) -> list[Frame]:
    """All frames through a filter as a stream would: opened, pushed one by one, flushed."""
    size = (frames[0].height, frames[0].width) if frames else (48, 64)
    return through(filter.open(info(*size), device), frames)


def one(filter: Filter | str, image: torch.Tensor) -> torch.Tensor:
    """A picture (3,H,W) through a filter or chain."""
    return process(Chain.of(filter), [Frame(image=image, pts=0)])[0].image


def through(stage: Stage, frames: Iterable[Frame]) -> list[Frame]:
    done = [out for frame in frames for out in stage.push(frame)]
    return [*done, *stage.flush()]


class ListSource:
    """Frames from a list, as a source for the pipeline."""

    def __init__(self, frames: Sequence[Frame]) -> None:
        self._frames = frames
        self.info = info(frames[0].height, frames[0].width)

    def __iter__(self) -> Iterator[Frame]:
        yield from self._frames


@dataclass(frozen=True)
class Mean(WindowFilter):
    """The mean of a window: shows which frames were in it."""

    halo = 8

    before: int = option(1, low=0, high=9, unit="frames", help="more past")
    after: int = option(1, low=0, high=9, unit="frames", help="more future")

    @property
    def behind(self) -> int:
        return self.before

    @property
    def ahead(self) -> int:
        return self.after

    def apply(self, window: torch.Tensor, centre: int) -> torch.Tensor:
        return window.mean(0)


@dataclass(frozen=True)
class Running(RecurrentFilter[int]):
    """Paints each frame with how many frames its scene has had, and how many it can see ahead."""

    look: int = option(0, low=0, high=9, unit="frames", help="more future")

    @property
    def ahead(self) -> int:
        return self.look

    def step(self, frame: Frame, state: int | None, ahead: Sequence[Frame]) -> tuple[Frame, int]:
        count = (state or 0) + 1
        return frame.with_image(torch.full_like(frame.image, count + len(ahead) / 10)), count
