"""What recurs for weeks is told less and less often, so that it fills no disk and hides nothing else."""

from __future__ import annotations

import logging
import re
from collections import Counter

RARELY = 512
"""Times of one kind, of which each is told in the end; before that the 1st, 2nd, 4th, 8th and so on."""


class Seldom:
    """Counts what is told, by its kind: texts that differ in their numbers alone are of one kind, words tell others."""

    def __init__(self) -> None:
        self._times: Counter[str] = Counter()

    def level(self, text: str) -> int:
        """Count one more; how loud to tell it."""
        kind = re.sub(r"\d+", "#", text)
        self._times[kind] += 1
        times = self._times[kind]
        told = times & (times - 1) == 0 or times % RARELY == 0
        return logging.WARNING if told else logging.DEBUG
