"""Keeps the delay: decides picture by picture what there is time for, and second by second how dear the filters may be."""

from __future__ import annotations

import math
import threading
from typing import Literal

Verdict = Literal["clean", "pass", "drop"]

WINDOW = 1.0
"""Seconds between two decisions on the tier."""
BUSY = 0.9
"""The share of a window's time that may go into work."""
HOLD, LONGEST_HOLD = 5.0, 600.0
"""Seconds of calm before a dearer tier is tried again: the first time, and at most."""
TRIAL = 10.0
"""A tier that lasts shorter than these seconds has failed, and is tried again half as often."""


class Turns:
    """Whose turn it is among the cameras of a process: if all changed their tiers at once, none would know what that did.

    One at a time tries a dearer tier, while none falls behind. Where another does during that, the trial has failed and not
    that camera's tier. Where some have gone to a cheaper tier, the others look whether that was enough before they follow,
    and of those that still fall behind it is those with the most tiers left. Whoever goes saves at most all of its work, so
    as many go at once as would do then: of four cameras that leave out half of their pictures, window after window, two.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()  # each camera has a thread of its own
        self._who: Pace | None = None  # is on trial
        self._until = self._ready = -math.inf
        self._failed = False
        self._behind: dict[Pace, float] = {}  # when
        # Those that are looked at together: their shares, how many tiers they had left, and how many went.
        self._left_out: dict[Pace, float] = {}
        self._level = self._gone = 0

    def settles(self, now: float) -> None:
        """A camera's tier gets ready, which takes time of all cameras: how they do shows later."""
        with self._lock:
            if now - self._ready >= 2 * WINDOW:
                self._left_out, self._gone = {}, 0
            self._ready = now

    def falls(self, who: Pace, left_out: float, now: float) -> bool:
        """Whether a camera that falls behind, and leaves out this share of its pictures, may go to a cheaper tier."""
        with self._lock:
            late = {pace: when for pace, when in self._behind.items() if now - when < 2 * WINDOW}
            lasts, others = who in late, len(late) > (who in late)
            self._behind = late | {who: now}
            shows = WINDOW * (1 + others)  # several have more to catch up with before it does
            if now - self._ready >= shows:
                self._left_out, self._gone, self._level = {}, 0, who.left
            elif not self._gone:
                return False
            if who.left < self._level or any(pace.left > who.left for pace in late):
                return False
            if lasts:  # and is no hiccup; later shares are of the time in which tiers get ready
                self._left_out.setdefault(who, left_out)
            if self._gone >= max(1.0, sum(self._left_out.values())):
                return False
            self._gone += 1
            self._ready = now
            if self._who is who:
                self._who = None
            return True

    def begin(self, who: Pace, now: float) -> bool:
        """Whether a camera may try a dearer tier; no other one may for `TRIAL` seconds."""
        with self._lock:
            if now < self._until or any(now - when < 2 * WINDOW for when in self._behind.values()):
                return False
            self._who, self._until, self._failed = who, now + TRIAL, False
            return True

    def blame(self, who: Pace, now: float) -> bool:
        """Whether another camera is on trial now; it has failed."""
        with self._lock:
            if self._who in (None, who) or now >= self._until:
                return False
            self._failed = True
            return True

    def failed(self, who: Pace) -> bool:
        """Whether another camera has suffered from this one's trial; said once."""
        with self._lock:
            if self._who is not who or not self._failed:
                return False
            self._who = None
            return True


class Pace:
    """The decisions for one camera. Times are seconds of any one clock.

    Work is skipped at half of `max_delay` and pictures dropped at the whole of it, so that pictures pass unfiltered
    before any is dropped.

    Args:
        tiers: how many there are; 0 is the dearest.
        max_delay: seconds.
        turns: shared by cameras that share a machine.

    Attributes:
        tier: the one to use.
    """

    def __init__(self, tiers: int, max_delay: float, turns: Turns | None = None) -> None:
        self.tier = 0
        self._turns = turns or Turns()
        self._tiers = tiers
        self._max_delay = max_delay
        self._holds = [HOLD] * tiers
        self._began: float | None = None
        self._busy = 0.0
        self._seen = self._late = 0
        self._caught_up = False
        self._behind_since: float | None = None
        self._calm_since: float | None = None
        self._tried_at: float | None = None

    def judge(self, age: float, waiting: int) -> Verdict:
        """What to do with a picture that came `age` seconds ago, with `waiting` newer ones behind it."""
        late = age > self._max_delay / 2
        self._caught_up |= not late
        self._seen += self._caught_up
        if not late:
            return "clean"
        self._late += self._caught_up
        return "drop" if age > self._max_delay and waiting else "pass"

    def worked(self, seconds: float, now: float) -> None:
        """Note the work on one picture; at the end of a window this may change `tier`."""
        if not self._caught_up:
            self._lag(now)
            return
        if self._began is None:
            self._began = now - seconds
        if self._calm_since is None:
            self._calm_since = now
        self._busy += seconds
        if now - self._began < WINDOW:
            return
        overloaded = self._late > 0 or self._busy / (now - self._began) > BUSY
        left_out = self._late / max(1, self._seen)
        self._began, self._busy, self._seen, self._late = now, 0.0, 0, 0
        if self._turns.failed(self):
            self._down(now)
        elif not overloaded:
            self._up(now)
        elif not self._turns.blame(self, now):
            self._calm_since = now
            if self._turns.falls(self, left_out, now):
                self._down(now)

    @property
    def left(self) -> int:
        """How many cheaper tiers there are."""
        return self._tiers - 1 - self.tier

    def settle(self, now: float) -> None:
        """Forget the window: a tier gets ready, or is in use now. What the one before left behind is not its fault."""
        self._turns.settles(now)
        self._caught_up, self._behind_since = False, None
        self._began, self._busy, self._seen, self._late = None, 0.0, 0, 0

    def _lag(self, now: float) -> None:
        """Where passing pictures on takes too long by itself, no filter can be had, however cheap."""
        if self._behind_since is None:
            self._behind_since = now
        if now - self._behind_since > TRIAL:
            self.tier = self._tiers - 1

    def _down(self, now: float) -> None:
        self._calm_since = now
        if self._tried_at is not None and now - self._tried_at < TRIAL:
            self._holds[self.tier] = min(2 * self._holds[self.tier], LONGEST_HOLD)
        self._tried_at = None
        self.tier = min(self.tier + 1, self._tiers - 1)

    def _up(self, now: float) -> None:
        if self._tried_at is not None and now - self._tried_at >= TRIAL:
            self._holds[self.tier] = HOLD
            self._tried_at = None
        calm = now - (self._calm_since if self._calm_since is not None else now)
        if self.tier == 0 or calm < self._holds[self.tier - 1] or not self._turns.begin(self, now):
            return
        self.tier -= 1
        self._calm_since = self._tried_at = now
