"""One clock for what comes out, over all connections of a camera: it starts at zero and never goes back."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from fractions import Fraction

BASE = Fraction(1, 90_000)
"""Seconds a tick of the video that goes out."""

LEAP = 2.0
"""Seconds by which a camera's clock may be quicker than ours from one picture to the next before it was set anew."""

DISORDER = Fraction(1, 10)
"""Seconds by which it may fall back before it was."""

CATCH_UP = 0.5
"""How quickly the clock goes, of ours, while it waits for ours: that of a new connection, or of times that fell back."""

APART = 3
"""Seconds by which sound may be dated before or after the pictures with which it comes before its clock is another one."""


WINDOW, IN_A_ROW = 10.0, 3
"""Seconds over which a camera's clock is held against ours, and how often these must agree: after a stall it catches up."""

STEP = 0.01
"""Seconds by which it may be corrected at once, where it drifts: a thousandth of that time."""

WRONG = 1.25
"""How many times as quick or as slow as ours it may be."""


class Rate:
    """Tells a camera that counts its pictures instead of seconds: by night, when it sends fewer, its clock is slow.

    `wrong` is what was found last.
    """

    def __init__(self) -> None:
        self.start()

    def start(self) -> None:
        """The clock has been set: look afresh."""
        self._since: tuple[Fraction, float] | None = None
        self._row = 0
        self.wrong = False

    def is_wrong(self, time: Fraction, now: float) -> bool:
        """Whether the clock, which says `time` now, has been too quick or too slow for long."""
        since, began = self._since = self._since or (time, now)
        if now - began >= WINDOW:
            rate = float(time - since) / (now - began)
            way = (rate > WRONG) - (rate < 1 / WRONG)
            self._row = way + (self._row if way * self._row > 0 else 0)
            self._since = time, now
        self.wrong = abs(self._row) >= IN_A_ROW
        return self.wrong


class Drift:
    """Tells how far a camera's clock has drifted from ours: however late its pictures come, the promptest of them tells."""

    def __init__(self) -> None:
        self._since, self._late = -math.inf, math.inf

    def correction(self, late: float, now: float) -> float:
        """Seconds to correct it by after a picture that comes `late` seconds after its time."""
        if now - self._since < WINDOW:
            self._late = min(self._late, late)
            return 0.0
        found, self._since, self._late = self._late, now, late
        return math.copysign(STEP, found) if STEP < abs(found) < math.inf else 0.0


class OutputClock:
    """Places the times of each connection where they happened since the first picture.

    Within a connection the distances are the camera's own, as far as its clock does not drift from ours; between two they
    are the wall clock's, and so they are where the camera's clock stands still, falls back, leaps ahead or goes wrong. A
    time that is given twice moves none of those after it.

    Args:
        now: our clock.
        paced: whether pictures come as quickly as their times say; of a pipe nobody knows.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic, *, paced: bool = True) -> None:
        self._now = now
        self._paced = paced
        self._rate, self._sound_rate = Rate(), Rate()
        self._drift = Drift()
        self._origin: float | None = None
        self._offset: Fraction | None = None
        self._last = Fraction(-1)
        self._given, self._at = Fraction(-1), 0.0
        self._ahead = Fraction(0)  # seconds by which pictures that wait for our clock are ahead of the offset
        self._aside = Fraction(0)

    def connect(self) -> None:
        """A new connection has begun: its times have another zero."""
        self._offset = None
        self._rate.start()
        self._sound_rate.start()

    def place(self, time: Fraction) -> Fraction:
        """The output's time, in seconds, of a picture that the camera dates `time`, in seconds.

        Each call gives a later time than the one before.
        """
        now = self._now()
        if self._origin is None:
            self._origin = self._at = now
        placed = self._beyond(time, now)
        if placed is None:
            there = _seconds(now - self._origin)
            placed = max(there, self._last + _seconds(CATCH_UP * (now - self._at)))
            # Of what does not come at its own pace, nobody knows where it is.
            self._offset = (there if self._paced else placed) - time
            self._ahead, self._aside = placed - time - self._offset, Fraction(0)
        elif self._paced and self._offset is not None:
            self._ahead = Fraction(0)
            late = now - self._origin - float(placed)
            self._offset += _seconds(self._drift.correction(late, now))
        self._given, self._at = time, now
        self._last = max(placed, self._last + BASE)
        return self._last

    def _beyond(self, time: Fraction, now: float) -> Fraction | None:
        """Where the offset places a picture that comes now; None where it no longer can."""
        if self._offset is None:
            return None
        since = now - self._at
        if time == self._given or (self._paced and self._rate.is_wrong(time, now)):
            return self._last + _seconds(since)
        placed = time + self._offset
        return placed if -DISORDER < placed - self._last < since + LEAP else None

    def beside(self, time: Fraction) -> Fraction | None:
        """The output's time of sound of the same connection; None before its first picture."""
        if self._offset is None:
            return None
        now = self._now()
        if self._sound_rate.is_wrong(time, now) and self._rate.wrong and abs(time - self._given) < APART:
            # All that the sender sends is too slow or too quick.
            self._aside = self._last - self._given - self._offset - self._ahead
        placed = time + self._offset + self._ahead + self._aside
        if not -APART < placed - self._last < _seconds(now - self._at) + APART:
            self._aside += self._last - placed
            return self._last
        return placed


def _seconds(span: float) -> Fraction:
    """In ticks of the output, so that sums of many stay short."""
    return round(span / BASE) * BASE
