"""Times of encoded pictures: encoders count frames, the output gets the source's own clock."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import av


class Timeline:
    """Gives the encoder a plain count and puts the true times on its packets.

    Encoders differ in which clocks they take (MPEG-4 none finer than 1/65535 s, MPEG-2 a handful of rates) and some
    round. A count is taken by all of them, and order is all that they need: a packet's decoding time in frames is
    translated by the same table as its presentation time, so it stays increasing and never passes it.
    """

    def __init__(self, time_base: Fraction, step: int, *, reorders: bool = True) -> None:
        self.time_base = time_base
        self._step = max(1, step)
        self._reorders = reorders
        self._times: dict[int, tuple[int, int]] = {}
        self._count = 0
        self._oldest = 0
        self._first = 0

    def add(self, pts: int, duration: int) -> int:
        """Note the next frame's time and duration in ticks; gives its count for the encoder."""
        if not self._count:
            self._first = pts
        self._times[self._count] = (pts, duration)
        self._count += 1
        return self._count - 1

    def stamp(self, packet: av.Packet) -> None:
        """Put true times on a packet whose times are counts."""
        index = packet.pts or 0
        pts, duration = self._times[index]
        order = packet.dts if self._reorders and packet.dts is not None else index
        dts = self._times[order][0] if order >= 0 else self._first + order * self._step
        packet.time_base = self.time_base
        packet.pts, packet.dts, packet.duration = pts, dts, duration or self._step
        self._forget(order)

    def _forget(self, before: int) -> None:
        while self._oldest < before:
            del self._times[self._oldest]
            self._oldest += 1
