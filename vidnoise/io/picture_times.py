"""Times of decoded pictures on the output's clock, and which of them are shown in the part that was chosen."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING

from vidnoise.io.decode import DELAY, Decoder
from vidnoise.io.rates import ticks_per_frame

if TYPE_CHECKING:
    import av

    from vidnoise.io.demux import Demuxer

STILL = Fraction(1, 10)
"""Seconds after its begin at which a part may have its first picture; until a later one, that before it is shown."""


class PictureTimes:
    """Dates the pictures of one decoder, in the order of presentation.

    Attributes:
        time_base: of a tick, in seconds.
    """

    def __init__(self, packets: Demuxer, decoder: Decoder) -> None:
        self._packets, self._part, self._decoder = packets, packets.part, decoder
        self.time_base: Fraction = packets.stream.time_base or Fraction(1, 90000)
        self._step = ticks_per_frame(packets.stream, self.time_base)
        matroska = "matroska" in packets.container.format.name
        self._undated: list[av.VideoFrame] | None = [] if matroska else None
        self._last: int | None = None
        self._last_shown: int | None = None
        self._before: av.VideoFrame | None = None
        self._steps: deque[int] = deque(maxlen=8)

    def shown(self, frames: list[av.VideoFrame], *, ended: bool) -> Iterator[av.VideoFrame]:
        """The pictures of the part, from the one that is shown where it begins if the next is long in coming."""
        part = self._part
        whole = None if part.length is None else int(part.length / self.time_base)
        for frame in self._dated(frames, ended):
            inside, pts = self._place(frame), frame.pts or 0
            if part.shift and pts < 0:
                self._before = frame
                continue
            if not inside or pts * self.time_base > max(STILL, Fraction(3, 2) * self._step * self.time_base):
                yield from self._shown_first(pts if inside else whole)
            self._before = None
            if inside:
                yield frame
        if ended and self._packets.reached > -part.shift:
            yield from self._shown_first(whole)

    def follows_gap(self, frame: av.VideoFrame) -> bool:
        """Whether damage has torn this picture from the one before: at once, or where the times then jump."""
        decoder, pts = self._decoder, frame.pts or 0
        step = pts - (self._last_shown if self._last_shown is not None else pts)
        jumped = 2 * step > 3 * max(self._steps, default=self._step)
        torn = decoder.gap or (decoder.suspect > 0 and jumped)
        if self._last_shown is not None and not torn:
            self._steps.append(step)
        self._last_shown = pts
        decoder.gap, decoder.suspect = False, max(0, decoder.suspect - 1)
        return torn

    def _shown_first(self, ticks: int | None) -> Iterator[av.VideoFrame]:
        """The picture before the part, at its begin and for so long, if there is one, and nothing around it is lost."""
        frame, self._before = self._before, None
        if frame is None or self._decoder.suspect:
            return
        frame.pts = 0
        if ticks is not None:
            frame.duration = ticks
        yield frame

    def _dated(self, frames: list[av.VideoFrame], ended: bool) -> list[av.VideoFrame]:
        """Pictures with times: those before zero, to which Matroska's demuxer gives none, are dated by what follows."""
        if self._undated is None:
            return frames
        self._undated += frames
        held = self._undated
        dates = [frame.pts if frame.pts is not None else frame.dts for frame in held]
        known = next(((number, date) for number, date in enumerate(dates) if date is not None), None)
        if known is None and not ended and len(held) < DELAY:
            return []
        self._undated = None
        first, date = known or (0, 0)
        for number in range(first):
            held[number].pts = date - (first - number) * self._step
        return held

    def _place(self, frame: av.VideoFrame) -> bool:
        """Give the frame its time on the output's clock; False where it lies outside the selected part."""
        pts = frame.pts if frame.pts is not None else frame.dts
        if pts is None:
            pts = 0 if self._last is None else self._last + self._step
        if self._last is not None:
            pts = max(pts, self._last + 1)
        self._last = pts
        time = pts * self.time_base
        # Not rounded: half a tick goes the same way for all.
        frame.pts = (time + self._part.shift) // self.time_base
        frame.time_base = self.time_base
        return self._part.holds(time)
