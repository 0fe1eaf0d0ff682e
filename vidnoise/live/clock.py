"""One clock for what comes out, over all connections of a camera: it starts at zero and never goes back."""

from __future__ import annotations

import time
from collections.abc import Callable
from fractions import Fraction

BASE = Fraction(1, 90_000)
"""Seconds a tick of the video that goes out."""

LEAP = 2.0
"""Seconds by which a camera's clock may be quicker than ours from one picture to the next before it was set anew."""

DISORDER = Fraction(1, 10)
"""Seconds by which it may fall back before it was."""

APART = 3
"""Seconds by which sound may be dated before or after the pictures with which it comes before its clock is another one."""


class OutputClock:
    """Places the times of each connection where they happened since the first picture.

    Within a connection the distances are the camera's own; between two they are the wall clock's, and so they are where
    the camera's clock stands still, falls back or leaps ahead. A time that is given twice moves none of those after it.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._origin: float | None = None
        self._offset: Fraction | None = None
        self._last = Fraction(-1)
        self._given, self._at = Fraction(-1), 0.0
        self._aside = Fraction(0)

    def connect(self) -> None:
        """A new connection has begun: its times have another zero."""
        self._offset = None

    def place(self, time: Fraction) -> Fraction:
        """The output's time, in seconds, of a picture that the camera dates `time`, in seconds.

        Each call gives a later time than the one before.
        """
        now = self._now()
        if self._origin is None:
            self._origin = now
        placed = self._beyond(time, now - self._at)
        if placed is None:
            placed = max(_seconds(now - self._origin), self._last + 1 / Fraction(1000))
            self._offset, self._aside = placed - time, Fraction(0)
        self._given, self._at = time, now
        self._last = max(placed, self._last + BASE)
        return self._last

    def _beyond(self, time: Fraction, since: float) -> Fraction | None:
        """Where the offset places a picture that comes `since` seconds after the last; None where it no longer can."""
        if self._offset is None:
            return None
        if time == self._given:
            return self._last + _seconds(since)
        placed = time + self._offset
        return placed if -DISORDER < placed - self._last < since + LEAP else None

    def beside(self, time: Fraction) -> Fraction | None:
        """The output's time of sound of the same connection; None before its first picture."""
        if self._offset is None:
            return None
        placed = time + self._offset + self._aside
        if not -APART < placed - self._last < _seconds(self._now() - self._at) + APART:
            self._aside += self._last - placed
            return self._last
        return placed


def _seconds(span: float) -> Fraction:
    """In ticks of the output, so that sums of many stay short."""
    return round(span / BASE) * BASE
