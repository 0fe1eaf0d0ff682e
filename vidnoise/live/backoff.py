"""How long to wait before trying again: longer each time, up to a bound, and never in step with others."""

from __future__ import annotations

import random

from vidnoise.live.seldom import Seldom

FIRST = 0.2
"""Seconds before the second try."""


class Backoff:
    """Doubling waits with jitter: `next()` gives each in seconds, at most `most`.

    The jitter takes up to half of a wait away, so that cameras that were lost together do not come back together.
    """

    def __init__(self, most: float) -> None:
        self._most = most
        self._seldom = Seldom()
        self.tries = 0

    def worked(self, seconds: float) -> None:
        """It worked for so long before it failed: longer than the longest wait, and the failures before are forgotten."""
        if seconds > self._most:
            self.tries = 0
            self._seldom = Seldom()

    def next(self) -> float:
        """Count one more failure; how long to wait after it."""
        whole = min(self._most, FIRST * 2.0 ** min(self.tries, 30))
        self.tries += 1
        return whole * random.uniform(0.5, 1.0)

    def level(self, failure: str) -> int:
        """How loud a failure is to be told; see `Seldom`."""
        return self._seldom.level(failure)
