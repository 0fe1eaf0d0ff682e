"""Any filter graph of the FFmpeg inside PyAV, as a filter among the others."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from vidnoise.colour import PixelFormat, from_rgb, to_rgb
from vidnoise.errors import FilterError
from vidnoise.filter import BaseStage, Filter, option
from vidnoise_filters.graph import FilterGraph

if TYPE_CHECKING:
    import numpy as np
    from av import VideoFrame
    from numpy.typing import NDArray
    from torch import Tensor

    from vidnoise.device import Device
    from vidnoise.filter import Stage
    from vidnoise.frame import Frame, StreamInfo

WITHIN = PixelFormat("yuv444p16le", "yuv", depth=16)
"""What goes into a graph: YUV, so that options for luma and chroma mean what they mean in ffmpeg; 16 bit keep the depth
for the filters that can use it."""

TRIAL = 48
"""Test frames pushed when a graph is opened: a graph that gives nothing for so many is refused."""
TRIAL_SIDE = 128
"""Their size, if the graph takes it: latency and count do not depend on it, and slow filters open at once."""


@dataclass(frozen=True)
class FFmpeg(Filter):
    """Runs the frames through an FFmpeg filter graph that keeps their size and number, as `bm3d=sigma=8,deband`.

    Filters: https://ffmpeg.org/ffmpeg-filters.html, those in PyAV's own FFmpeg. Frames pass as 16-bit YUV 4:4:4 in the
    stream's matrix and range; FFmpeg converts to what a filter takes, which is 8 bit for some. Of those that take
    16 bit, unsharp and yaepblur do nothing there: write format=yuv444p,unsharp. The graph's latency is measured when it
    opens. Graphs that change the size or the number of frames are refused, and filters that open files.
    It runs on the CPU: frames on a GPU cross over and back. (3,H,W) in and out.
    """

    graph: str = option(help="the graph in FFmpeg's own words; in quotes where it holds a comma or colon")

    @property
    def tileable(self) -> bool:
        """Graphs may look at whole pictures."""
        return False

    @classmethod
    def examples(cls) -> Sequence[Filter]:
        """One that works within the frame, one that looks ahead."""
        return [cls("bm3d=sigma=3"), cls("atadenoise=s=5")]

    def open(self, info: StreamInfo, device: Device) -> Stage:
        """Build the graph and measure its latency.

        Raises:
            FilterError: the graph cannot be read, opens files, or changes the size or number of the frames.
        """
        rate = info.rate or Fraction(25)
        return FFmpegStage(self.graph, rate, _trial(self.graph, info, rate))


class FFmpegStage(BaseStage):
    """Pairs what a graph gives with what went in, by number."""

    def __init__(self, text: str, rate: Fraction, latency: int) -> None:
        super().__init__()
        self.latency = latency
        self._text = text
        self._rate = rate
        self.restart()

    def accept(self, frames: Sequence[Frame]) -> list[Frame]:
        """Push frames; give what the graph has finished."""
        return [done for frame in frames for done in self._push(frame)]

    def drain(self) -> list[Frame]:
        """End the graph's stream.

        Raises:
            FilterError: it swallowed frames.
        """
        if self._graph is None:
            return []
        done = [self._pair(picture) for picture in self._graph.finish()]
        if self._waiting:
            raise FilterError(_counts(self._text, f"swallowed {len(self._waiting)} frames of a scene"))
        return done

    def restart(self) -> None:
        """Begin with a new graph."""
        self._graph: FilterGraph | None = None
        self._waiting: deque[Frame] = deque()
        self._taken = 0

    def _push(self, frame: Frame) -> list[Frame]:
        picture = _to_av(frame)
        if self._graph is None:
            self._graph = FilterGraph(self._text, picture, self._rate)
        self._waiting.append(frame)
        self._taken += 1
        return [self._pair(done) for done in self._graph.push(picture, self._taken - 1)]

    def _pair(self, picture: VideoFrame) -> Frame:
        if not self._waiting:
            raise FilterError(_counts(self._text, "gives more frames than it takes"))
        frame = self._waiting.popleft()
        if (picture.width, picture.height) != (frame.width, frame.height):
            raise FilterError(_sizes(self._text, frame.width, frame.height, picture))
        return frame.with_image(_from_av(picture, frame))


def _trial(text: str, info: StreamInfo, rate: Fraction) -> int:
    """The latency of a graph, from test frames, small ones first."""
    small = replace(info, width=min(info.width, TRIAL_SIDE), height=min(info.height, TRIAL_SIDE))
    if small == info:
        return _measure(text, info, rate)
    try:
        return _measure(text, small, rate)
    except FilterError:
        return _measure(text, info, rate)


def _measure(text: str, info: StreamInfo, rate: Fraction) -> int:
    import torch

    from vidnoise.frame import Frame

    generator = torch.Generator().manual_seed(0)
    image = torch.rand(3, info.height, info.width, generator=generator)
    frames = [Frame(image=image.roll(i, -1), colour=info.colour) for i in range(8)]
    pictures = [_to_av(frame) for frame in frames]
    graph = FilterGraph(text, pictures[0], rate)
    latency, given = -1, 0
    for i in range(TRIAL):
        done = graph.push(pictures[i % len(pictures)], i)
        for picture in done:
            if (picture.width, picture.height) != (info.width, info.height):
                raise FilterError(_sizes(text, info.width, info.height, picture))
        given += len(done)
        if latency < 0 and done:
            latency = i
        if latency >= 0 and given != i + 1 - latency:
            raise FilterError(_counts(text, f"gave {given} frames for the first {i + 1}"))
    if latency < 0:
        raise FilterError(_counts(text, f"gave none for the first {TRIAL}"))
    given += len(graph.finish())
    if given != TRIAL:
        raise FilterError(_counts(text, f"gave {given} frames for {TRIAL}"))
    return latency


def _to_av(frame: Frame) -> VideoFrame:
    import numpy as np
    from av import VideoFrame

    picture = VideoFrame(frame.width, frame.height, WITHIN.name)
    for plane, target in zip(
        from_rgb(frame.image.cpu(), WITHIN, frame.colour), _planes(picture), strict=True
    ):
        np.copyto(target, plane.numpy())
    colour = frame.colour.resolved(frame.height, WITHIN.family)
    picture.colorspace, picture.color_range = colour.matrix, colour.range
    return picture


def _from_av(picture: VideoFrame, frame: Frame) -> Tensor:
    import numpy as np
    import torch

    planes = tuple(torch.from_numpy(np.ascontiguousarray(plane)) for plane in _planes(picture))
    return to_rgb(planes, WITHIN, frame.colour).to(frame.device)


def _planes(picture: VideoFrame) -> list[NDArray[np.uint16]]:
    """The three planes (H,W) of a 16-bit picture, as views of its memory."""
    import numpy as np

    lines = [
        np.frombuffer(memoryview(plane), np.uint16).reshape(-1, plane.line_size // 2)
        for plane in picture.planes
    ]
    return [line[: picture.height, : picture.width] for line in lines]


def _counts(text: str, what: str) -> str:
    return f"ffmpeg: the graph {text!r} does not keep the number of frames: it {what}; use filters that keep each frame"


def _sizes(text: str, width: int, height: int, picture: Any) -> str:
    return (
        f"ffmpeg: the graph {text!r} makes {picture.width}x{picture.height} of {width}x{height}; "
        "use filters that keep the size"
    )
