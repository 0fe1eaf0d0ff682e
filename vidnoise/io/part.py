"""The part of an input that --start and --duration choose, which is also where the output's clock begins."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from numbers import Rational, Real
from typing import TYPE_CHECKING, Any

from vidnoise.errors import UsageError

if TYPE_CHECKING:
    import av

MICRO = Fraction(1, 1_000_000)
"""Seconds; a tick of the times of containers."""

LATEST = 10**9
"""Seconds; FFmpeg's clocks overflow at later places."""


@dataclass(frozen=True)
class Part:
    """The whole input, unless it is told otherwise.

    Attributes:
        shift: what `--start` adds to all times, in seconds; 0 or negative.
        length: in seconds, None for all that is left.
        end: the time of the input at which the part ends, None for all that is left.
    """

    shift: Fraction = Fraction(0)
    length: Fraction | None = None
    end: Fraction | None = None

    @staticmethod
    def of(container: Any, start: Fraction | None, duration: Fraction | None) -> Part:
        """What was asked for, in the times of an input."""
        begin = begin_of(container) + (start or 0)
        return Part(
            -begin if start else Fraction(0), duration, None if duration is None else begin + duration
        )

    @property
    def is_whole(self) -> bool:
        """Whether nothing was chosen."""
        return not self.shift and self.end is None

    def holds(self, time: Fraction) -> bool:
        """Whether what begins at a time of the input lies in the part."""
        return not self.precedes(time) and (self.end is None or time < self.end)

    def precedes(self, time: Fraction) -> bool:
        """Whether a time of the input lies before the part; where there was no start, none does."""
        return bool(self.shift) and time + self.shift < 0

    def move(self, packet: av.Packet[Any]) -> bool:
        """Put a packet of a copied stream on the output's clock; False where it lies outside the part."""
        pts = packet.pts if packet.pts is not None else packet.dts
        if pts is None or self.is_whole:
            return True
        base = packet.time_base
        time, length = pts * base, (packet.duration or 0) * base
        if self.end is not None and time >= self.end:
            return False
        ticks = round(self.shift / base)
        packet.pts = pts + ticks
        packet.dts = None if packet.dts is None else packet.dts + ticks
        if packet.stream.type == "subtitle" and self.end is not None and time + length > self.end:
            length = self.end - time  # or the file lasts as long as the text
            packet.duration = round(length / base)
        if packet.stream.type == "subtitle" and time + self.shift < 0 < time + length + self.shift:
            packet.duration = round((time + length + self.shift) / base)
            packet.pts = packet.dts = 0
        return packet.pts >= 0


def begin_of(container: Any) -> Fraction:
    """The time of an input from which `--start` counts, in seconds."""
    return (container.start_time or 0) * MICRO


def chosen(start: Any, duration: Any) -> tuple[Fraction | None, Fraction | None]:
    """The two of them to the microsecond, from numbers of any kind.

    Raises:
        UsageError: they are no times.
    """
    with contextlib.suppress(TypeError, ValueError, OverflowError):
        begin, length = _seconds(start), _seconds(duration)
        if 0 <= (begin or 0) <= LATEST and (length is None or length > 0):
            return begin and begin.limit_denominator(10**6), length and length.limit_denominator(10**6)
    times = {"start": start, "duration": duration}
    given = " and ".join(f"--{name} {time!r}" for name, time in times.items() if time is not None)
    raise UsageError(
        f"--start takes 0 to {LATEST} seconds and --duration more than 0, as numbers; given: {given}"
    )


def _seconds(time: Any) -> Fraction | None:
    if time is None:
        return None
    if isinstance(time, Rational):  # NumPy's whole numbers too, whose own arithmetic overflows
        return Fraction(int(time.numerator), int(time.denominator))
    if isinstance(time, Real):
        return Fraction(float(time))
    if isinstance(time, Decimal):
        return Fraction(time)
    raise TypeError
