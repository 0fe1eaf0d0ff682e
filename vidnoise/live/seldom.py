"""What recurs for weeks is told less and less often, so that it fills no disk and hides nothing else."""

from __future__ import annotations

import logging
import re

RARELY = 512
"""Times of one kind, of which each is told in the end; before that the 1st, 2nd, 4th, 8th and so on."""

KINDS = 200
"""Kinds that are remembered: of texts with names in them there may be more without end."""


class Seldom:
    """Counts what is told, by its kind: texts that differ in their numbers alone are of one kind, words tell others."""

    def __init__(self) -> None:
        self._times: dict[str, int] = {}

    def level(self, text: str) -> int:
        """Count one more; how loud to tell it."""
        kind = re.sub(r"\d+", "#", text)
        times = self._times[kind] = self._times.pop(kind, 0) + 1
        if len(self._times) > KINDS:
            del self._times[next(iter(self._times))]  # which was told longest ago
        told = times & (times - 1) == 0 or times % RARELY == 0
        return logging.WARNING if told else logging.DEBUG
