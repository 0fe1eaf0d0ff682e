"""How long to wait before trying again: longer each time, up to a bound, and never in step with others."""

from __future__ import annotations

import logging
import random

FIRST = 0.2
"""Seconds before the second try."""

RARELY = 512
"""Failures in a row, of one kind, of which each is told in the end; before that the 1st, 2nd, 4th, 8th and so on."""


class Backoff:
    """Doubling waits with jitter: `next()` gives each in seconds, at most `most`.

    The jitter takes up to half of a wait away, so that cameras that were lost together do not come back together.
    """

    def __init__(self, most: float) -> None:
        self._most = most
        self._last = ""
        self._same = 0
        self.tries = 0

    def next(self) -> float:
        """Count one more failure; how long to wait after it."""
        whole = min(self._most, FIRST * 2.0 ** min(self.tries, 30))
        self.tries += 1
        return whole * random.uniform(0.5, 1.0)

    def reset(self) -> None:
        """It worked."""
        self.tries = self._same = 0

    def level(self, failure: str) -> int:
        """Count one more failure of a kind; how loud it is to be told. What fails for weeks shall not fill the disk."""
        self._same = self._same + 1 if failure == self._last else 1
        self._last = failure
        told = self._same & (self._same - 1) == 0 or self._same % RARELY == 0
        return logging.WARNING if told else logging.DEBUG
