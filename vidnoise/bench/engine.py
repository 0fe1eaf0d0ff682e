"""What the engine itself costs: files through float planes without a filter, against `ffmpeg`'s decode and encode."""

from __future__ import annotations

import shutil
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from vidnoise.bench import clips
from vidnoise.bench.isolated import isolated
from vidnoise.bench.peers import run_program
from vidnoise.filter import SpatialFilter

if TYPE_CHECKING:
    from torch import Tensor

    from vidnoise.frame import Frame

ENCODER = "libx264"
PRESET = "veryfast"
CRF = 23


@dataclass(frozen=True)
class PassThrough(SpatialFilter):
    """Changes nothing, but makes the engine convert to RGB floats and back, as every filter does."""

    name: ClassVar[str] = "passthrough"

    def apply(self, x: Tensor) -> Tensor:
        """Gives what it takes."""
        return x

    def process(self, frames: Sequence[Frame]) -> list[Frame]:
        """A view counts as a new picture, so that the source's planes are not written."""
        return [frame.with_image(frame.image[:]) for frame in frames]


@dataclass(frozen=True)
class Comparison:
    """Frames a second of both in each round, and the median of the ratios of ours to ffmpeg's."""

    ours: list[float]
    ffmpeg: list[float]

    @property
    def ratio(self) -> float:
        """1 is as fast as ffmpeg."""
        return statistics.median(a / b for a, b in zip(self.ours, self.ffmpeg, strict=True))


def has_program() -> bool:
    """Whether there is an `ffmpeg` program to compare with."""
    return shutil.which("ffmpeg") is not None


def compare(size: tuple[int, int] = (1280, 720), frames: int = 200, rounds: int = 3) -> Comparison:
    """Decode, convert to floats and back, and encode a noisy clip; and the same decode and encode by ffmpeg, in turn.

    Raises:
        FilterError: ffmpeg failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "source.mp4")
        make_clip(source, size, frames)
        seconds = [_both(source, Path(folder)) for _ in range(rounds + 1)][1:]
    return Comparison([frames / a for a, _ in seconds], [frames / b for _, b in seconds])


def peak_memory(frames: int, size: tuple[int, int] = (1280, 720), chain: str = "") -> float:
    """The most memory, in MiB, that a process of its own takes to clean a clip of so many frames.

    Args:
        frames: of the clip, which is made first, outside of that process.
        size: width and height.
        chain: the filters as command-line text; none for `PassThrough`.
    """
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "source.mp4")
        make_clip(source, size, frames)
        return isolated(clean, source, Path(folder, "out.mp4"), chain)[1]


def clean(source: Path, target: Path, chain: str = "") -> float:
    """Clean a file through float planes; gives the seconds."""
    import vidnoise
    from vidnoise.chain import Chain
    from vidnoise.io import OutputOptions

    options = OutputOptions(codec=ENCODER, preset=PRESET, crf=CRF, overwrite=True)
    filters = Chain.parse(chain) if chain else Chain.of(PassThrough())
    start = time.perf_counter()
    vidnoise.run(source, filters, target, output=options)
    return time.perf_counter() - start


def make_clip(path: Path, size: tuple[int, int], frames: int) -> None:
    """Encode a rendered noisy scene as H.264, some frames over and over."""
    import av

    width, height = size
    scene = clips.add_noise(clips.rendered(width, height, 12), 10, 0)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"preset": "superfast", "crf": "20"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        pictures = [av.VideoFrame.from_ndarray(x, format="rgb24").reformat(format="yuv420p") for x in scene]
        for i, picture in enumerate(islice(cycle(pictures), frames)):
            picture.pts, picture.time_base = i, Fraction(1, 25)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))


def _both(source: Path, folder: Path) -> tuple[float, float]:
    ours = clean(source, folder / "ours.mp4")
    return ours, _ffmpeg(source, folder / "theirs.mp4")


def _ffmpeg(source: Path, target: Path) -> float:
    encoder = ["-c:v", ENCODER, "-preset", PRESET, "-crf", str(CRF), "-pix_fmt", "yuv420p"]
    return run_program(["-i", str(source), "-an", *encoder, str(target)])
