"""What goes from the encoder to the outputs, each in a process of its own: pickled, one after another."""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

VIDEO, AUDIO = 0, 1
"""The streams by number; the second is there only where the camera has sound."""


class Packet(NamedTuple):
    """One encoded picture, or a piece of sound. Times are in units of `base` seconds, from the first picture on."""

    stream: int
    time: int
    base: Fraction
    duration: int
    key: bool
    data: bytes

    @property
    def seconds(self) -> Fraction:
        """When it is shown."""
        return self.time * self.base
