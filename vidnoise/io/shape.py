"""Pictures whose shape or kind changes in mid-stream: brought to that of the first one, or told of."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from vidnoise.io.colour_tags import colour_of
from vidnoise.io.decode import layout_of

if TYPE_CHECKING:
    import av
    from av.filter import Graph

CONVERTED = " at {time:.2f} s; one file holds one kind, so this part is converted to the first"
"""How the warning of a change in a file ends."""


STRETCHED = 0.03
"""The share by which a picture may be wider or less wide than another that it is stretched to."""


class Conformer:
    """Brings pictures whose size, format or colour has changed in mid-stream to those of the first one.

    One file holds one size and one colour. `changed` is True when the last picture differed from the one
    before. `then` ends a warning's sentence; `{time}` in it stands for the picture's seconds after `begun`. With
    `colours` a first picture of gray gets room for those of later ones. Where it is told how wide a sample is for its
    height, pictures of another shape are not stretched, but get black bars.
    """

    def __init__(
        self,
        warnings: list[str],
        then: str = CONVERTED,
        *,
        colours: bool = False,
        begun: Fraction | int = 0,
    ) -> None:
        self._warnings, self._then, self._colours, self._begun = warnings, then, colours, begun
        self._first: tuple[Any, ...] | None = None
        self._last: tuple[Any, ...] | None = None
        self._aspect = 0.0
        self._bars: tuple[tuple[Any, ...], Graph] | None = None
        self.changed = False

    def __call__(self, frame: av.VideoFrame, sample: Fraction | None = None) -> av.VideoFrame:
        """The picture, converted if need be."""
        aspect = frame.width / frame.height * float(sample or 1)
        shape = (frame.width, frame.height, layout_of(frame), *_codes(frame), sample)
        self.changed = self._last is not None and shape != self._last
        self._last = shape
        if self._first is None:
            name = shape[2].replace("gray", "yuv420p") if self._colours else shape[2]
            self._first = (*shape[:2], name, *shape[3:])
            self._aspect = aspect
        if shape == self._first:
            return frame
        width, height, name, matrix, span, _ = self._first
        inner = (width, height) if sample is None else self._within(width, height, aspect)
        if self.changed:
            self._warn(frame, shape)
        out = frame.reformat(
            inner[0],
            inner[1],
            name,
            src_colorspace=shape[3],
            dst_colorspace=matrix,
            src_color_range=shape[4],
            dst_color_range=span,
            interpolation="BICUBIC",
        )
        if inner != (width, height):
            out = self._with_bars(out, width, height)
        out.pts, out.time_base, out.duration = frame.pts, frame.time_base, frame.duration
        return out

    def _within(self, width: int, height: int, aspect: float) -> tuple[int, int]:
        """The largest size within another one in which a picture of this shape is not stretched."""
        wider = aspect / self._aspect
        if abs(math.log(wider)) < STRETCHED:
            return width, height
        if wider > 1:
            return width, max(2, round(height / wider / 4) * 4)
        return max(2, round(width * wider / 4) * 4), height

    def _with_bars(self, frame: av.VideoFrame, width: int, height: int) -> av.VideoFrame:
        from av.filter import Graph

        kind = frame.width, frame.height, frame.format.name
        if self._bars is None or self._bars[0] != kind:
            graph = Graph()
            # It is told the range, or black would be gray where that is full.
            size, range = f"{frame.width}x{frame.height}", int(frame.color_range)
            told = f"video_size={size}:pix_fmt={frame.format.name}:time_base=1/1000:range={range}"
            source = graph.add("buffer", told)
            # Where chroma is coarser, bars come to an even size alone.
            pad = graph.add("pad", f"{width + width % 2}:{height + height % 2}:-1:-1")
            crop = graph.add("crop", f"{width}:{height}:0:0:exact=1")
            graph.link_nodes(source, pad, crop, graph.add("buffersink")).configure()
            self._bars = kind, graph
        graph = self._bars[1]
        graph.vpush(frame)
        return graph.vpull()

    def _warn(self, frame: av.VideoFrame, shape: tuple[Any, ...]) -> None:
        assert self._first is not None
        time = float((frame.pts or 0) * (frame.time_base or 0) - self._begun)
        old, new = (f"{s[0]}x{s[1]} {s[2].replace('yuvj', 'yuv')}" for s in (self._first, shape))
        same = "its colour matrix or range" if shape[5] == self._first[5] else "its shape"
        what = f"from {old} to {new}" if old != new else same
        self._warnings.append(f"the video changes {what}" + self._then.format(time=time))


def _codes(frame: av.VideoFrame) -> tuple[int, int]:
    """Matrix and range in the numbers that swscale takes, what is not said filled in by custom."""
    resolved = colour_of(frame).resolved(frame.height, "rgb" if frame.format.is_rgb else "yuv")
    return (5 if resolved.matrix == 6 else resolved.matrix), resolved.range


SAME = Fraction(1, 50)
"""The share by which shapes may differ and be the same."""


class ShapeWatch:
    """Sees each picture, and warns where they get another shape, as between old and new programmes of television.

    Attributes:
        sample: how wide a sample is for its height.
    """

    def __init__(self, told: Fraction | None, decoded: Fraction | None, warn: Callable[[str], None]) -> None:
        """`told` is what the container says, `decoded` what the decoder does before the first picture."""
        self.sample = told or Fraction(1)
        self._decoded, self._warn = decoded, warn
        self._last: Fraction | None = None

    def see(self, frame: av.VideoFrame, sample: Fraction | None, time: float) -> None:
        """Take the next picture, with the shape of its samples as far as it is known, and when it is shown."""
        shape = Fraction(frame.width, frame.height) * (sample or 1)
        before, self._last = self._last, shape
        if before is None:
            # A part may have another one than the beginning of the file.
            if self._decoded and sample and sample != self._decoded:
                self.sample = sample
        elif abs(shape / before - 1) >= SAME:
            old, new = (f"{s.numerator}:{s.denominator}" for s in (before, shape))
            self._warn(
                f"the pictures' shape changes from {old} to {new} at {time:.2f} s; one file holds one, so this part is "
                f"shown in the first; --start {time:.2f} cleans it by itself, and --duration what comes before"
            )
