"""Transport streams whose clock jumps, as after a cut, a restart of the sender or joining files: joined on in time."""

from __future__ import annotations

from collections import deque
from fractions import Fraction
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import av

JUMPING = ("mpegts", "mpeg", "rtsp", "rtp", "hls", "flv")
"""Demuxers whose clocks begin anywhere and may jump by their nature; the times of others are meant as they are."""

BACK = Fraction(1)
"""Seconds by which a stream's time must fall back to be a new clock rather than disorder."""

AHEAD = Fraction(10)
"""Seconds by which it must leap ahead rather than pause. (FFmpeg's command takes the same number.)"""


def may_jump(format: str) -> bool:
    """Whether the clock of a demuxer may begin and jump anywhere."""
    return any(name in JUMPING for name in format.split(","))


class Continuity:
    """Moves the packets after a jump of the clock, of all streams alike, to where the one before it ended.

    `jumps` are the last times, in seconds after the correction, at which the clock has jumped; `offset` are the seconds by
    which times are corrected now.
    """

    def __init__(self, format: str) -> None:
        self._active = may_jump(format)
        self.offset = Fraction(0)
        self._next: dict[int, Fraction] = {}
        self.jumps: deque[Fraction] = deque(maxlen=8)  # a camera may set its clock for weeks

    def join(self, packet: av.Packet[Any]) -> bool:
        """Correct a packet's times; True where its stream has jumped."""
        if not self._active or packet.dts is None:
            return False
        base: Fraction = packet.time_base
        time = packet.dts * base + self.offset
        expected = self._next.get(packet.stream_index)
        jumped = expected is not None and not -BACK <= time - expected <= AHEAD
        if jumped and expected is not None and packet.stream.type in ("video", "audio"):
            self.offset += expected - time
            time = expected
            self.jumps.append(time)
        self._next[packet.stream_index] = time + (packet.duration or 0) * base
        ticks = round(self.offset / base)
        packet.dts += ticks
        packet.pts = None if packet.pts is None else packet.pts + ticks
        return jumped
