"""What others offer: FFmpeg's denoising filters, in the `ffmpeg` program and in PyAV, and OpenCV's non-local means.

Each runs at the best settings that `scripts/tune-peers` found for it, for noise of sigma 10, 30 and 50; between them
the strengths are interpolated. All of them take 8 bit.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import chain, cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidnoise.bench.clips import to_8_bit
from vidnoise.errors import FilterError, UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from vidnoise.bench.clips import Noisy, Picture

    Samples = NDArray[Any]
    """Frames as they lie in memory, uint8 (N,...)."""

Table = Mapping[float, Mapping[str, float]]
"""For each sigma of the noise, the parameters that go with it."""

PROGRAM = "ffmpeg"
PYAV = "PyAV"
OPENCV = "OpenCV"


@dataclass(frozen=True)
class Recipe:
    """A filter of FFmpeg and its good settings: `graph` has a place for every parameter of `table`.

    `format` is the pixel format that it does best in: `yuv444p` (full range, BT.601) or `gbrp`.
    """

    name: str
    graph: str
    format: str
    table: Table = field(hash=False)

    def text(self, sigma: float) -> str:
        """The filter graph for noise of this deviation (in units of 1/255)."""
        return self.graph.format_map(interpolate(self.table, sigma))


def interpolate(table: Table, sigma: float) -> dict[str, float | int]:
    """The parameters for a sigma: numbers linear between the table's rows, its ends beyond; whole ones, which are modes,
    from the nearest row.
    """
    import numpy as np

    rows = sorted(table)
    nearest = table[min(rows, key=lambda row: abs(row - sigma))]
    found: dict[str, float | int] = {}
    for name, value in nearest.items():
        between = float(np.interp(sigma, rows, [table[row][name] for row in rows]))
        found[name] = value if isinstance(value, int) else round(between, 4)
    return found


RECIPES = (
    Recipe(
        "hqdn3d",
        "hqdn3d={s:g}:{s:g}:{t:g}:{t:g}",
        "yuv444p",
        {10: {"s": 17.6, "t": 7.1}, 30: {"s": 67.2, "t": 15.9}, 50: {"s": 112.0, "t": 21.4}},
    ),
    Recipe(
        "atadenoise",
        "atadenoise=0a={a:g}:0b={b:g}:1a={a:g}:1b={b:g}:2a={a:g}:2b={b:g}:s=5",
        "yuv444p",
        {10: {"a": 0.089, "b": 0.114}, 30: {"a": 0.28, "b": 0.8}, 50: {"a": 0.29, "b": 1.5}},
    ),
    Recipe(
        "fftdnoiz",
        "fftdnoiz=sigma={s:g}:block=32:overlap=0.8",
        "yuv444p",
        {10: {"s": 15.3}, 30: {"s": 100.0}, 50: {"s": 100.0}},
    ),
    Recipe(
        "vaguedenoiser",
        "vaguedenoiser=threshold={t:g}:method=garrote:nsteps=6:percent=100",
        "yuv444p",
        {10: {"t": 12.5}, 30: {"t": 46.4}, 50: {"t": 80.4}},
    ),
    Recipe(
        "nlmeans",
        "nlmeans=s={s:g}:p=7:r=9",
        "yuv444p",
        {10: {"s": 5.6}, 30: {"s": 16.0}, 50: {"s": 23.2}},
    ),
    Recipe(
        "bm3d",
        "bm3d=sigma={s:g}:bstep=4:group=1",
        "yuv444p",
        {10: {"s": 25.0}, 30: {"s": 75.0}, 50: {"s": 125.0}},
    ),
    Recipe(
        "owdenoise",
        "owdenoise=depth=8:ls={s:g}:cs={s:g}",
        "yuv444p",
        {10: {"s": 8.57}, 30: {"s": 32.0}, 50: {"s": 56.0}},
    ),
    Recipe(
        "dctdnoiz",
        "dctdnoiz=sigma={s:g}:n=3:overlap=7",
        "gbrp",
        {10: {"s": 8.93}, 30: {"s": 26.8}, 50: {"s": 44.6}},
    ),
    Recipe(
        "removegrain",
        "removegrain=m0={a}:m1={a}:m2={a},removegrain=m0={b}:m1={b}:m2={b}",
        "yuv444p",
        {10: {"a": 11, "b": 0}, 30: {"a": 4, "b": 20}, 50: {"a": 4, "b": 20}},
    ),
)
OPENCV_NLM: Table = {10: {"h": 7.0, "hc": 7.0}, 30: {"h": 20.0, "hc": 20.0}, 50: {"h": 35.0, "hc": 35.0}}


@dataclass(frozen=True)
class FFmpegPeer:
    """A filter of FFmpeg where it was found: in the `ffmpeg` program or in PyAV."""

    recipe: Recipe
    home: str

    @property
    def name(self) -> str:
        """The filter's name in FFmpeg."""
        return self.recipe.name

    def settings(self, sigma: float) -> str:
        """The filter graph."""
        return self.recipe.text(sigma)

    def run(self, noisy: Sequence[Noisy], sigma: float) -> tuple[list[Picture], float]:
        """Clean RGB frames; gives them and the seconds it took, conversion of colours not counted.

        Raises:
            FilterError: the filter failed, or did not give as many frames as it took.
        """
        height, width = noisy[0].shape[:2]
        samples = planes([to_8_bit(frame) for frame in noisy], self.recipe.format)
        through = in_program if self.home == PROGRAM else in_pyav
        done, seconds = through(self.settings(sigma), samples, (width, height), self.recipe.format)
        return pictures(done, self.recipe.format), seconds


@dataclass(frozen=True)
class OpenCVPeer:
    """OpenCV's `fastNlMeansDenoisingColored`, frame by frame."""

    name: str = "nlmeans"
    home: str = OPENCV

    def settings(self, sigma: float) -> str:
        """Its parameters."""
        chosen = interpolate(OPENCV_NLM, sigma)
        return f"fastNlMeansDenoisingColored h={chosen['h']:g} hColor={chosen['hc']:g} 7 21"

    def run(self, noisy: Sequence[Noisy], sigma: float) -> tuple[list[Picture], float]:
        """See `FFmpegPeer.run`."""
        import cv2

        chosen = interpolate(OPENCV_NLM, sigma)
        frames = [to_8_bit(frame)[..., ::-1].copy() for frame in noisy]
        start = time.perf_counter()
        done = [cv2.fastNlMeansDenoisingColored(f, None, chosen["h"], chosen["hc"], 7, 21) for f in frames]
        seconds = time.perf_counter() - start
        return [frame[..., ::-1].copy() for frame in done], seconds


Peer = FFmpegPeer | OpenCVPeer


def present() -> list[Peer]:
    """Every peer on this machine, each FFmpeg filter once for each home that it is found in, the program first."""
    homes: list[tuple[str, Callable[[], frozenset[str]]]] = [(PROGRAM, program_filters), (PYAV, pyav_filters)]
    found: list[Peer] = [
        FFmpegPeer(recipe, home) for recipe in RECIPES for home, filters in homes if recipe.name in filters()
    ]
    return [*found, OpenCVPeer()]


def choose(names: Sequence[str]) -> list[Peer]:
    """Peers by name: `bm3d` (where it is found first), `bm3d@PyAV`, `all` (each wherever it is found) or `none`.

    Without names: each once.

    Raises:
        UsageError: a peer that is not present.
    """
    there = present()
    first = list({(peer.name, peer.home == OPENCV): peer for peer in reversed(there)}.values())[::-1]
    if not names:
        return first
    chosen: list[Peer] = []
    for name in names:
        if name == "all":
            chosen += there
        elif name != "none":
            chosen.append(_find(name, there))
    return list(dict.fromkeys(chosen))


def _find(name: str, there: Sequence[Peer]) -> Peer:
    wanted, _, home = name.partition("@")
    for peer in there:
        if peer.name == wanted and home.lower() in ("", peer.home.lower()):
            return peer
    known = ", ".join(f"{peer.name}@{peer.home}" for peer in there)
    raise UsageError(f"no peer is called {name!r} here; there are: {known}, all and none")


@cache
def program_filters() -> frozenset[str]:
    """The filters of the `ffmpeg` program; none where there is no such program."""
    if shutil.which("ffmpeg") is None:
        return frozenset()
    listed = subprocess.run(
        ["ffmpeg", "-hide_banner", "-filters"], capture_output=True, text=True, check=False
    )
    rows = [line.split() for line in listed.stdout.splitlines()]
    return frozenset(row[1] for row in rows if len(row) > 2 and "->" in row[2])


@cache
def pyav_filters() -> frozenset[str]:
    """The filters of the FFmpeg that comes with PyAV."""
    from av.filter import filters_available

    return frozenset(filters_available)


def planes(frames: Sequence[Picture], format: str) -> Samples:
    """RGB frames as they lie in memory in `yuv444p` (full range, BT.601), `yuv420p` (the same) or `gbrp`; (N,...)."""
    import cv2
    import numpy as np

    if format == "gbrp":
        return np.stack([frame[..., (1, 2, 0)].transpose(2, 0, 1) for frame in frames])
    if format == "yuv420p":
        return np.stack([cv2.cvtColor(frame, cv2.COLOR_RGB2YUV_I420) for frame in frames])
    swapped = [cv2.cvtColor(frame, cv2.COLOR_RGB2YCrCb) for frame in frames]
    return np.stack([frame[..., (0, 2, 1)].transpose(2, 0, 1) for frame in swapped])


def pictures(samples: Samples, format: str) -> list[Picture]:
    """The reverse of `planes`, for `yuv444p` and `gbrp`."""
    import cv2
    import numpy as np

    order = (2, 0, 1) if format == "gbrp" else (0, 2, 1)
    frames = [np.ascontiguousarray(frame.transpose(1, 2, 0)[..., order]) for frame in samples]
    return frames if format == "gbrp" else [cv2.cvtColor(frame, cv2.COLOR_YCrCb2RGB) for frame in frames]


def in_program(graph: str, samples: Samples, size: tuple[int, int], format: str) -> tuple[Samples, float]:
    """Run a filter graph in the `ffmpeg` program, raw frames in and out through files.

    Raises:
        FilterError: it failed, or gave another number of frames.
    """
    import numpy as np

    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "in.raw"), Path(folder, "out.raw")
        samples.tofile(source)
        raw = ["-f", "rawvideo", "-pix_fmt", format]
        shape = ["-s", f"{size[0]}x{size[1]}", "-r", "25"]
        seconds = run_program([*raw, *shape, "-i", str(source), "-vf", graph, *raw, str(target)])
        out = np.fromfile(target, np.uint8)
    if out.size != samples.size:
        raise FilterError(
            f"ffmpeg -vf {graph!r} gave {out.size / samples[0].size:g} frames of {len(samples)}"
        )
    return out.reshape(samples.shape), seconds


def run_program(words: Sequence[str]) -> float:
    """Run `ffmpeg` with these arguments; gives the seconds of its work, without starting and ending the program.

    Raises:
        FilterError: it failed.
    """
    start = time.perf_counter()
    command = ["ffmpeg", "-hide_banner", "-nostdin", "-nostats", "-benchmark", "-y", *words]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        raise FilterError(f"{shlex.join(command)} failed: {done.stderr.strip()[-300:]}")
    own = re.search(r"bench:.*rtime=([\d.]+)s", done.stderr)
    return float(own[1]) if own else time.perf_counter() - start


def in_pyav(graph: str, samples: Samples, size: tuple[int, int], format: str) -> tuple[Samples, float]:
    """Run a filter graph in PyAV's FFmpeg; see `in_program`, of which it is the twin."""
    import numpy as np

    frames = list(video_frames(samples, format, len(samples)))
    start = time.perf_counter()
    done = list(through_graph(graph, frames, size, format))
    seconds = time.perf_counter() - start
    return np.stack([_samples(frame, format) for frame in done]), seconds


def through_graph(text: str, frames: Iterable[Any], size: tuple[int, int], format: str) -> Iterator[Any]:
    """PyAV frames through filters in a row; PyAV reads no graphs as text, so commas inside options are not understood.

    Raises:
        FilterError: a filter refused its options or a frame.
    """
    from fractions import Fraction

    import av
    from av.filter import Graph

    try:
        graph = Graph()
        shape = av.VideoFormat(format, *size)
        source = graph.add_buffer(width=size[0], height=size[1], format=shape, time_base=Fraction(1, 25))
        filters = [part.partition("=") for part in text.split(",")]
        sink = graph.add("buffersink")
        graph.link_nodes(source, *(graph.add(name, options or None) for name, _, options in filters), sink)
        graph.configure()
        for frame in chain(frames, [None]):
            graph.push(frame)
            yield from _ready(graph)
    except av.FFmpegError as failure:
        raise FilterError(f"PyAV's {text!r} failed: {failure}") from failure


def _ready(graph: Any) -> Iterator[Any]:
    import av

    while True:
        try:
            yield graph.vpull()
        except (av.BlockingIOError, av.EOFError):
            return


def video_frames(samples: Samples, format: str, count: int) -> Iterator[Any]:
    """`count` PyAV frames, 25 a second, of the samples over and over."""
    from fractions import Fraction

    import av

    for pts, array in enumerate(islice(cycle(samples), count)):
        # PyAV takes gbrp as interleaved RGB.
        mixed = array[[2, 0, 1]].transpose(1, 2, 0) if format == "gbrp" else array
        frame = av.VideoFrame.from_ndarray(mixed, format=format)
        frame.pts, frame.time_base = pts, Fraction(1, 25)
        yield frame


def _samples(frame: Any, format: str) -> Samples:
    array: Samples = frame.to_ndarray(format=format)
    return array[..., (1, 2, 0)].transpose(2, 0, 1) if format == "gbrp" else array
