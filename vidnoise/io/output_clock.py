"""Times of frames on the clock of an output, with a warning where that cannot hold them."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from vidnoise.io import pipes
from vidnoise.io.containers import GRIDS, UNBROKEN
from vidnoise.io.timeline import Timeline

if TYPE_CHECKING:
    from vidnoise.frame import Frame
    from vidnoise.io.output import Output


class OutputClock:
    """Counts the frames for the encoder.

    Attributes:
        timeline: puts their true times on the packets.
    """

    def __init__(self, output: Output, *, reorders: bool) -> None:
        base = output.info.time_base
        self._output, self._base = output, base
        self.timeline = Timeline(base, round(1 / (output.rate * base)), reorders=reorders)
        self._steady = pipes.SteadyClock(output.rate, output.warn) if output.is_y4m else None
        self._origin: Fraction | None = None

    @property
    def end(self) -> Fraction:
        """When the last frame ends, in seconds."""
        return self.timeline.end * self._base

    def add(self, frame: Frame) -> int:
        """Take the next frame; its count."""
        time = None if frame.pts is None else frame.pts * frame.time_base + self._output.offset
        ticks = None if time is None else round(time / self._base)
        if time is not None and self._output.muxer in GRIDS:
            self._check_grid(time)
        if self._steady is not None:
            ticks = self._steady.tick(frame)
        return self.timeline.add(ticks, round(frame.duration * frame.time_base / self._base))

    def _check_grid(self, time: Fraction) -> None:
        """Warn where a time lies between those of a container that counts frames of one rate."""
        if self._origin is None:
            self._origin = time
            return
        steps = (time - self._origin) * self._output.rate
        wanted = round(steps)
        if self._output.muxer in UNBROKEN:
            self._origin, wanted = time, 1
        if abs(steps - wanted) > Fraction(1, 4):
            self._output.warn(
                f"{self._output.kind} has one frame rate, to which uneven timestamps are moved; .mkv and .mp4 keep them"
            )
