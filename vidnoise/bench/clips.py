"""Clean clips to measure on, and the noise that is added to them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidnoise.errors import InputError, UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Picture = NDArray[Any]
    """(H,W,3) RGB, uint8"""
    Noisy = NDArray[Any]
    """(H,W,3) RGB, uint8 or float32 in 0..255"""

PICTURES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".ppm"}
VIDEOS = {".mp4", ".mkv", ".mov", ".avi", ".webm", ".m4v", ".y4m", ".nut", ".ts", ".mpg"}


@dataclass(frozen=True)
class Clip:
    """A clean clip: its name, and its frames (H,W,3) RGB, 8 bit, all of one size."""

    name: str
    frames: list[Picture]


def find(data: Path) -> list[Path]:
    """The clips under a path: video files, and folders that hold pictures; a path may be a clip itself.

    Raises:
        InputError: there is none.
    """
    if not data.exists():
        raise InputError(f"{data} does not exist; give a folder of video files or of folders of frames")
    inside = [data, *sorted(data.rglob("*"))]
    clips = [path for path in inside if _is_clip(path)]
    if not clips:
        raise InputError(
            f"{data} holds no video file and no folder of pictures ({', '.join(sorted(PICTURES))})"
        )
    return clips


def stills(data: Path) -> Iterator[Clip]:
    """Every picture under a folder, each a clip of one frame.

    Raises:
        InputError: there is none, or one cannot be read.
    """
    paths = sorted(path for path in data.rglob("*") if path.suffix.lower() in PICTURES)
    if not paths:
        raise InputError(
            f"{data} holds no picture ({', '.join(sorted(PICTURES))}); give a folder of pictures"
        )
    from vidnoise.train.data import read_picture

    return (Clip(path.stem, [read_picture(path)]) for path in paths)


def load(path: Path, most: int) -> Clip:
    """The first `most` frames of a clip.

    Raises:
        InputError: a frame cannot be read, there is none, or the pictures of a folder differ in size.
    """
    frames = pictures(path, most)
    sizes = {frame.shape[:2] for frame in frames}
    if len(sizes) > 1:
        raise InputError(f"the pictures in {path} are no clip: they differ in size")
    return Clip(path.stem, frames)


def pictures(path: Path, most: int) -> list[Picture]:
    """The first `most` pictures of a video or a folder, of whatever size.

    Raises:
        InputError: one cannot be read, or there is none.
    """
    found = list(islice(_pictures(path) if path.is_dir() else _decoded(path), most))
    if not found:
        raise InputError(f"{path} holds no frames; give a video file or a folder of pictures")
    return found


NOISES = ("rounded", "float", "coded", "camera", "blurred")
CODED_CRF = 23
"""What x264 takes unless told otherwise."""


def add_noise(frames: list[Picture], sigma: float, seed: int, kind: str = "rounded") -> list[Noisy]:
    """Gaussian noise, its deviation in units of 1/255, apart for each pixel and, but in gray pictures, each channel.

    `rounded` and clipped to 8 bit (uint8), as a camera gives it; `float` in 0..255 without clipping; `coded`: rounded, and
    then through H.264 at `CODED_CRF`, as a camera's file holds it; or `camera`: the same with a sensor's noise, which is
    `sigma` strong in the middle of the range. `blurred` stands for `add_blur` in place of noise.

    Raises:
        UsageError: another kind.
    """
    import numpy as np

    if kind not in NOISES:
        raise UsageError(f"noise {kind!r} is not known; it is one of {', '.join(NOISES)}")
    if kind == "blurred":
        return add_blur(frames, sigma, seed)

    rng = np.random.default_rng(seed)
    noisy: list[Noisy] = []
    for frame in frames:
        channels = 1 if (frame == frame[..., :1]).all() else 3
        deviation = _sensor(frame, sigma) if kind == "camera" else np.float32(sigma)
        x = frame + deviation * rng.standard_normal((*frame.shape[:2], channels), dtype=np.float32)
        noisy.append(x if kind == "float" else to_8_bit(x))
    return _coded(noisy) if kind in ("coded", "camera") else noisy


def _sensor(frame: Picture, sigma: float) -> Noisy:
    """The deviation of a sensor's noise at each pixel: a third of `sigma` without light, `sigma` in the middle.

    Its square grows with the light, as photons are counted (Foi et al., "Practical Poissonian-Gaussian noise modeling and
    fitting for single-image raw-data", IEEE TIP 2008).
    """
    import numpy as np

    deviation: Noisy = np.float32(sigma) * np.sqrt(np.float32(1 / 9) + np.float32(16 / 9 / 255) * frame)
    return deviation


def add_blur(frames: list[Picture], length: float, seed: int) -> list[Noisy]:
    """Motion blur as a shaking camera makes it, `length` pixels long, along another path in each frame.

    The light is added up with a gamma of 2.2 and the middle of the path is the clean frame; 8 bit come back.
    """
    import numpy as np

    from vidnoise.train.blur import expose, moments, shake

    rng = np.random.default_rng(seed)
    blurred: list[Noisy] = []
    for frame in frames:
        motion = shake(rng)
        path = motion.at(moments(0, 1, length), length / motion.length(1))
        path[:, :, 2] -= path[:, :, 2].mean(0)
        still = ((frame / 255) ** 2.2).astype(np.float32)
        light = expose([(still, path)], *frame.shape[:2])
        blurred.append(to_8_bit(255 * light.clip(0, 1) ** np.float32(1 / 2.2)))
    return blurred


def _coded(frames: list[Picture]) -> list[Picture]:
    import numpy as np
    import torch

    from vidnoise.train.coded import code

    height, width = (size // 2 * 2 for size in frames[0].shape[:2])
    even = torch.from_numpy(np.stack([frame[:height, :width] for frame in frames])).permute(0, 3, 1, 2)
    back = (code(even / 255, CODED_CRF).clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).numpy()
    margin = ((0, frames[0].shape[0] - height), (0, frames[0].shape[1] - width), (0, 0))
    return [np.pad(frame, margin, mode="edge") for frame in back]


def to_8_bit(picture: Noisy) -> Picture:
    """Rounded and clipped; pictures of 8 bit stay as they are."""
    import numpy as np

    if picture.dtype == np.uint8:
        return picture
    return np.rint(picture).clip(0, 255).astype(np.uint8)


def rendered(width: int, height: int, count: int, seed: int = 0) -> list[Picture]:
    """A moving scene made in code: a textured ground that pans, and discs that cross it."""
    import cv2
    import numpy as np

    rng = np.random.default_rng(seed)
    scales = [(height // k + 2, (width + 8 * count) // k + 2) for k in (4, 16, 64)]
    wide = (width + 8 * count, height)
    layers = [cv2.resize(rng.uniform(0, 85, (*size, 3)).astype(np.float32), wide) for size in scales]
    ground = to_8_bit(sum(layers[1:], layers[0]))
    discs = [(rng.uniform(0, 1, 4), rng.integers(0, 256, 3).tolist()) for _ in range(6)]
    frames = []
    for i in range(count):
        frame = ground[:, 3 * i : 3 * i + width].copy()
        for (x, y, dx, dy), colour in discs:
            centre = (
                int((x * width + 12 * i * (dx - 0.5)) % width),
                int((y * height + 8 * i * (dy - 0.5)) % height),
            )
            cv2.circle(frame, centre, height // 10, colour, -1, cv2.LINE_AA)
        frames.append(frame)
    return frames


def _is_clip(path: Path) -> bool:
    if path.is_dir():
        return any(child.suffix.lower() in PICTURES for child in path.iterdir())
    return path.suffix.lower() in VIDEOS


def _pictures(folder: Path) -> Iterator[Picture]:
    from vidnoise.train.data import read_picture

    paths = [path for path in folder.iterdir() if path.suffix.lower() in PICTURES]
    return (read_picture(path) for path in sorted(paths, key=_by_number))


def _by_number(path: Path) -> tuple[list[int], str]:
    return [int(digits) for digits in re.findall(r"\d+", path.stem)], path.name


def _decoded(path: Path) -> Iterator[Picture]:
    import vidnoise
    from vidnoise.chain import Chain

    with vidnoise.open(path, Chain(), device="cpu") as frames:
        for frame in frames:
            yield to_8_bit(frame.image.permute(1, 2, 0).mul(255).numpy())
