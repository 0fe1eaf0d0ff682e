"""How long to wait before trying again: longer each time, up to a bound, and never in step with others."""

from __future__ import annotations

import logging
import random

from vidnoise.live.seldom import Seldom

FIRST = 0.2
"""Seconds before the second try."""

LONG = 3600.0
"""Seconds for which it must work before a failure is told of as if it were the first."""


class Backoff:
    """Doubling waits with jitter: `next()` gives each in seconds, at most `most`.

    The jitter takes up to half of a wait away, so that cameras that were lost together do not come back together.
    """

    def __init__(self, most: float) -> None:
        self._most = most
        self._seldom = Seldom()
        self._told = True
        self.tries = 0

    def worked(self, seconds: float) -> None:
        """It worked for so long before it failed: longer than the longest wait, and the waits begin anew."""
        if seconds > self._most:
            self.tries = 0
        if seconds > LONG:
            self._seldom = Seldom()

    def next(self) -> float:
        """Count one more failure; how long to wait after it."""
        whole = min(self._most, FIRST * 2.0 ** min(self.tries, 30))
        self.tries += 1
        return whole * random.uniform(0.5, 1.0)

    def level(self, failure: str) -> int:
        """How loud a failure is to be told; see `Seldom`."""
        level = self._seldom.level(failure)
        self._told = self._told or level == logging.WARNING
        return level

    def back(self) -> int:
        """How loud it is to be told that it works: aloud where a failure since the last time was."""
        level = logging.INFO if self._told else logging.DEBUG
        self._told = False
        return level
