"""Times of written pictures: encoders count frames, the output gets the source's own clock as far as it can hold that."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

from vidnoise.io import pipes
from vidnoise.io.containers import GRIDS, UNBROKEN

if TYPE_CHECKING:
    import av

    from vidnoise.frame import Frame
    from vidnoise.io.output import Output

DELAY = 64
"""Frames by which an encoder may shift decoding before presentation; more is not meant as a time."""


class Timeline:
    """Gives the encoder a plain count and puts the true times on its packets.

    Encoders differ in which clocks they take (MPEG-4 none finer than 1/65535 s, MPEG-2 a handful of rates)
    and some round. A count is taken by all of them, and order is all that they need: a packet's decoding time
    in frames is translated by the same table as its presentation time, so it stays increasing and never
    passes it.

    Args:
        time_base: of the times given to `add`, in seconds.
        step: the usual distance of frames in ticks.
        reorders: False for codecs whose packets come in the order of presentation.

    Attributes:
        end: of the last frame, in ticks.
    """

    def __init__(self, time_base: Fraction, step: int, *, reorders: bool = True) -> None:
        self.time_base = time_base
        self._step = max(1, step)
        self._reorders = reorders
        self._times: dict[int, tuple[int, int]] = {}
        self._count = 0
        self._oldest = self.end = 0
        self._delay: int | None = None
        self._last_pts: int | None = None
        self._last_dts: int | None = None

    def add(self, pts: int | None, duration: int) -> int:
        """Note the next frame's time and duration in ticks; gives its count for the encoder.

        A time that is missing, or not after the one before, is put one step or one tick behind it.
        """
        if pts is None:
            pts = 0 if self._last_pts is None else self._last_pts + self._step
        elif self._last_pts is not None:
            pts = max(pts, self._last_pts + 1)
        self._last_pts = pts
        self._times[self._count] = (pts, duration)
        self.end = pts + (duration or self._step)
        self._count += 1
        return self._count - 1

    def stamp(self, packet: av.Packet[Any], time_base: Fraction, *, decoded_last: bool = False) -> None:
        """Put true times, in units of `time_base`, on a packet whose times are counts.

        In a coarser time base two frames may fall on one tick; the later is then moved on. QuickTime files tell how long a
        frame is decoded, not shown: there the last to be decoded makes up for what the others lack.
        """
        index = packet.pts or 0
        pts, duration = self._times[index]
        if index + 1 in self._times:
            duration = self._times[index + 1][0] - pts
        order = packet.dts if self._reorders and packet.dts is not None else index
        if not -DELAY <= order <= index:
            order = index  # x265 leaves the field unset where a clip is shorter than its delay
        first = self._times[self._oldest][0]
        dts = self._times[order][0] if order >= 0 else first + order * self._step
        if self._delay is None:
            self._delay = pts - dts
        if decoded_last:
            duration = max(duration, self.end - self._delay - dts)
        scale = self.time_base / time_base
        when, begin = round(pts * scale), round(dts * scale)
        if self._last_dts is not None:
            begin = max(begin, self._last_dts + 1)
        self._last_dts = begin
        packet.time_base = time_base
        packet.dts, packet.pts = begin, max(when, begin)
        packet.duration = round((duration or self._step) * scale)
        self._forget(order)

    def _forget(self, before: int) -> None:
        while self._oldest < before:
            del self._times[self._oldest]
            self._oldest += 1


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
