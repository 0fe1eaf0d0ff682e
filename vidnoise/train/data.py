"""Pictures and clips for training, kept as bytes on the training device, and random windows of them.

A folder may hold pictures, video files, and sub-folders of numbered frames; each sub-folder of at least three
pictures with numeric names is one clip, every other picture is a still. Everything random is drawn from a
generator that is seeded by the run's seed and the step, so each batch is a function of the two.
"""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, islice
from os import PathLike
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor

from ..errors import InputError, UsageError
from ..io.picture_tags import ends_early

Image = NDArray[np.uint8]

STILLS = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})
VIDEOS = frozenset({".mp4", ".mkv", ".mov", ".avi", ".webm"})
FRAMES_OF_A_VIDEO = 48
VIDEO = 0.15
"""The share of frames of clips among stills."""


@dataclass(frozen=True)
class Media:
    """What a folder holds: stills and clips (H,W,3), RGB, 8 bit; the frames of a clip have one size.

    Raises:
        UsageError: a picture is no such array, or frames of a clip differ in size.
    """

    stills: list[Image]
    clips: list[list[Image]]

    def __post_init__(self) -> None:
        for picture in (*self.stills, *chain.from_iterable(self.clips)):
            if getattr(picture, "dtype", None) != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
                found = (
                    f"{picture.dtype} {picture.shape}"
                    if isinstance(picture, np.ndarray)
                    else type(picture).__name__
                )
                raise UsageError(f"pictures to train on are arrays (H,W,3) of uint8, RGB; this is {found}")
        if any(len({frame.shape for frame in clip}) > 1 for clip in self.clips):
            raise UsageError(
                "the frames of a clip differ in size; give those of each size as a clip of its own"
            )


def read_picture(path: Path) -> Image:
    """A picture file as RGB bytes (H,W,3); InputError if it is none."""
    import cv2

    _refuse_pipe(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); mend it or take it out") from error
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    if picture is None or ends_early(data):
        found = "no picture that OpenCV can read" if picture is None else "a JPEG that was cut off"
        raise InputError(f"{path} is {found}; mend it or take it out")
    return np.ascontiguousarray(picture[..., ::-1]).astype(np.uint8, copy=False)


def read_video(path: Path) -> list[Image]:
    """The first `FRAMES_OF_A_VIDEO` frames of a video, shrunk by 2 so that what its compression lost is not learned."""
    import av

    _refuse_pipe(path)
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise InputError(f"{path} holds no video; take it out of the training data")
            frames = islice(container.decode(video=0), FRAMES_OF_A_VIDEO)
            return [shrink(np.asarray(frame.to_ndarray(format="rgb24"), np.uint8), 0.5) for frame in frames]
    except av.error.FFmpegError as error:
        raise InputError(f"{path} cannot be decoded ({error}); take it out of the training data") from error


def _refuse_pipe(path: Path) -> None:
    """Pipes, sockets and devices: reading them may wait without end."""
    if path.exists() and not path.is_file():
        raise InputError(f"{path} is no regular file; take it out")


def read_folder(folder: PathLike[str] | str) -> Media:
    """Everything in a folder and its sub-folders, those that are linked included.

    Raises:
        InputError: there is no such folder, nothing in it, or a file that cannot be read.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder: --data takes a folder of pictures, clips and videos")
    paths = sorted(p for p in _files(folder) if not p.name.startswith("."))
    pictures = [p for p in paths if p.suffix.lower() in STILLS]
    numbered: dict[Path, list[Path]] = {}
    for path in pictures:
        if path.parent != folder and path.stem.isdecimal():
            numbered.setdefault(path.parent, []).append(path)
    sequences = [sorted(ps, key=lambda p: int(p.stem)) for ps in numbered.values() if len(ps) >= 3]
    in_clips = {p for ps in sequences for p in ps}
    with ThreadPoolExecutor() as pool:
        runs = list(pool.map(read_video, [p for p in paths if p.suffix.lower() in VIDEOS]))
        runs += [list(pool.map(read_picture, ps)) for ps in sequences]
        stills = list(pool.map(read_picture, [p for p in pictures if p not in in_clips]))
    # Pictures of several sizes, in a folder of numbered ones or a video that changes it, are stills, not a clip.
    stills += [s for run in runs if len({f.shape for f in run}) > 1 for s in run]
    clips = [run for run in runs if len(run) >= 3 and len({f.shape for f in run}) == 1]
    if not stills and not clips:
        raise InputError(f"{folder} holds no picture, and no video of three frames; put training data there")
    return Media(stills, clips)


def _files(folder: Path) -> Iterator[Path]:
    """All files in a folder; links to folders are followed, each folder once."""
    seen: set[str] = set()
    for place, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        yield from (Path(place, name) for name in names)


def shrink(picture: Image, factor: float) -> Image:
    """A picture shrunk by area averages."""
    import cv2

    height, width = (max(1, round(side * factor)) for side in picture.shape[:2])
    return np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def generator(seed: int, step: int, device: torch.device) -> Generator:
    """The source of all randomness of one step of a run."""
    # Odd multipliers spread neighbouring seeds and steps over 63 bits.
    state = (seed * 0x9E3779B97F4A7C15 + step * 0xBF58476D1CE4E5B9 + 0x94D049BB133111EB) % 2**63
    made = Generator(device)
    made.manual_seed(state ^ (state >> 31))
    return made


class Store:
    """Pictures of many sizes as one flat run of bytes on a device, from which windows are gathered."""

    def __init__(self, pictures: Sequence[Image], device: torch.device) -> None:
        sizes = [p.size for p in pictures]
        flat = np.concatenate([p.reshape(-1) for p in pictures]) if pictures else np.zeros(0, np.uint8)
        self.bytes = torch.from_numpy(flat).to(device)
        starts = np.cumsum([0, *sizes[:-1]]) if pictures else np.zeros(0)
        shapes = np.array([p.shape[:2] for p in pictures], np.int64).reshape(-1, 2)
        self.start = torch.from_numpy(np.asarray(starts, np.int64)).to(device)
        self.height = torch.from_numpy(shapes[:, 0].copy()).to(device)
        self.width = torch.from_numpy(shapes[:, 1].copy()).to(device)
        self.count = len(pictures)

    def windows(
        self, index: Tensor, top: Tensor, left: Tensor, height: int, width: int, turn: Tensor
    ) -> Tensor:
        """Windows of pictures.

        Args:
            index: (B,) which picture.
            top, left: (B,) the corner in it.
            height, width: the size in the picture, equal where a picture is transposed.
            turn: (B,) 0 to 7: bit 0 mirrors left and right, bit 1 top and bottom, bit 2 transposes.

        Returns:
            (B,3,height,width), [0,1], float32.
        """
        rows = torch.arange(height, device=index.device).view(1, height, 1)
        columns = torch.arange(width, device=index.device).view(1, 1, width)
        turn = turn.view(-1, 1, 1)
        flipped_columns = torch.where(turn & 1 > 0, width - 1 - columns, columns)
        flipped_rows = torch.where(turn & 2 > 0, height - 1 - rows, rows)
        stride = self.width[index].view(-1, 1, 1)
        if height == width:
            swapped = turn & 4 > 0
            y, x = (
                torch.where(swapped, flipped_columns, flipped_rows),
                torch.where(swapped, flipped_rows, flipped_columns),
            )
        else:
            y, x = flipped_rows, flipped_columns
        y, x = y + top.view(-1, 1, 1), x + left.view(-1, 1, 1)
        place = (self.start[index].view(-1, 1, 1) + (y * stride + x) * 3).unsqueeze(1)
        place = place + torch.arange(3, device=index.device).view(1, 3, 1, 1)
        return self.bytes[place].float() / 255


def integers(count: int, high: Tensor | int, source: Generator) -> Tensor:
    """(count,) whole numbers, evenly from 0 to below `high` (a number, or one for each)."""
    return (torch.rand(count, generator=source, device=source.device, dtype=torch.float64) * high).long()


def seeds(count: int, source: Generator) -> list[int]:
    """As many seeds for generators of other kinds."""
    return torch.randint(2**31, (count,), generator=source, device=source.device).tolist()


def for_numpy(pictures: Tensor) -> NDArray[np.float32]:
    """Pictures (B,3,H,W) as NumPy and OpenCV have them, (B,H,W,3)."""
    return np.asarray(pictures.cpu().permute(0, 2, 3, 1).contiguous().numpy(), np.float32)


class Stills:
    """Random square windows of stills and of single frames, a large one more often, but not in proportion.

    Stills are also taken shrunk to 3/4 and 1/2, which makes fine texture of coarse.
    """

    def __init__(self, media: Media, size: int, device: torch.device) -> None:
        groups = [
            (0.7 * (1 - VIDEO), media.stills),
            (0.2 * (1 - VIDEO), [shrink(p, 0.75) for p in media.stills]),
            (0.1 * (1 - VIDEO), [shrink(p, 0.5) for p in media.stills]),
            (VIDEO, [frame for clip in media.clips for frame in clip[::6]]),
        ]
        kept = [(share, [p for p in ps if min(p.shape[:2]) >= size]) for share, ps in groups]
        pictures = [p for _, ps in kept for p in ps]
        if not pictures:
            raise InputError(
                f"no picture has {size} pixels a side (videos are shrunk by 2): use larger ones, or a smaller size in the "
                f"recipe"
            )
        weights = [share * p.size**0.5 / sum(q.size**0.5 for q in ps) for share, ps in kept for p in ps]
        self.size = size
        self.store = Store(pictures, device)
        self.chances = torch.tensor(np.cumsum(weights) / sum(weights), device=device)

    def __call__(self, count: int, source: Generator) -> Tensor:
        """(count,3,size,size), [0,1]."""
        chance = torch.rand(count, generator=source, device=source.device, dtype=torch.float64)
        index = torch.searchsorted(self.chances, chance).clamp(max=self.store.count - 1)
        top = integers(count, self.store.height[index] - self.size + 1, source)
        left = integers(count, self.store.width[index] - self.size + 1, source)
        return self.store.windows(index, top, left, self.size, self.size, integers(count, 8, source))


class Backdrops:
    """Large windows of stills, lying on their longer side, to be set in motion."""

    def __init__(self, media: Media, height: int, width: int, device: torch.device) -> None:
        wide = [
            p if p.shape[1] >= p.shape[0] else np.ascontiguousarray(p.transpose(1, 0, 2))
            for p in media.stills
        ]
        wide += [shrink(p, 0.6) for p in wide]
        wide += [frame for clip in media.clips for frame in clip[::12]]
        wide = [p for p in wide if p.shape[0] >= height and p.shape[1] >= width]
        if not wide:
            raise InputError(f"no still has {width}x{height} pixels, which setting stills in motion needs")
        self.height, self.width = height, width
        self.store = Store(wide, device)

    def __call__(self, count: int, source: Generator) -> Tensor:
        """(count,3,height,width), [0,1]."""
        index = integers(count, self.store.count, source)
        top = integers(count, self.store.height[index] - self.height + 1, source)
        left = integers(count, self.store.width[index] - self.width + 1, source)
        return self.store.windows(index, top, left, self.height, self.width, integers(count, 4, source))


class Clips:
    """Random square windows of runs of frames, forwards or backwards, every frame or every other."""

    def __init__(self, media: Media, size: int, frames: int, device: torch.device) -> None:
        clips = [c for c in media.clips if len(c) >= frames and min(c[0].shape[:2]) >= size]
        self.size, self.frames = size, frames
        self.store = Store([frame for clip in clips for frame in clip], device)
        lengths = np.array([len(c) for c in clips], np.int64)
        self.count = len(clips)
        self.first = torch.from_numpy(np.cumsum(lengths) - lengths).to(device)
        self.length = torch.from_numpy(lengths).to(device)
        # A long or large clip is seen more often, but not in proportion: its frames resemble one another.
        weights = np.array([(len(c) * c[0].size) ** 0.5 for c in clips])
        self.chances = torch.from_numpy(np.cumsum(weights) / max(weights.sum(), 1)).to(device)

    def __call__(self, count: int, source: Generator) -> Tensor:
        """(count,T,3,size,size), [0,1]."""
        chance = torch.rand(count, generator=source, device=source.device, dtype=torch.float64)
        clip = torch.searchsorted(self.chances / self.chances[-1], chance).clamp(max=self.count - 1)
        steps = self.frames - 1
        hop = torch.where((self.length[clip] > 2 * steps) & (integers(count, 5, source) == 0), 2, 1)
        begin = self.first[clip] + integers(count, self.length[clip] - steps * hop, source)
        time = torch.arange(self.frames, device=source.device).view(1, -1) * hop.view(-1, 1)
        backwards = integers(count, 2, source).view(-1, 1) == 1
        index = begin.view(-1, 1) + torch.where(backwards, steps * hop.view(-1, 1) - time, time)
        first = index[:, 0]
        top = integers(count, self.store.height[first] - self.size + 1, source)
        left = integers(count, self.store.width[first] - self.size + 1, source)
        turn = integers(count, 8, source)
        each = [v.repeat_interleave(self.frames) for v in (top, left, turn)]
        windows = self.store.windows(index.reshape(-1), each[0], each[1], self.size, self.size, each[2])
        return windows.view(count, self.frames, 3, self.size, self.size)
