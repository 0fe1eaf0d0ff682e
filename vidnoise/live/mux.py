"""Encoded packets into one container: a file, a folder of HLS, or a server."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from fractions import Fraction
from typing import Any

from vidnoise.errors import OutputError
from vidnoise.io import carry
from vidnoise.live.packets import VIDEO, Packet
from vidnoise.live.sound import ToAac

INTERLEAVE = "100000"
"""Microseconds for which FFmpeg may hold pictures back to wait for sound."""

COUNTED = 2**31
"""Ticks that MP4 counts from one picture to the next, and FLV in all: hours and weeks. FFmpeg writes more as less."""


class Muxer:
    """One opened output.

    Args:
        url: what FFmpeg opens.
        format: its container.
        options: of the container.
        head: a short NUT file whose streams are those of the packets, with all that a container wants to know.
        warn: told what cannot be written.
        zero: seconds that are taken from all times; None for the time of the first packet.

    Attributes:
        url: as given.

    Raises:
        OSError, ValueError: whatever FFmpeg finds wrong.
        OutputError: the container cannot hold the pictures, or cannot count so long a time, where another one of its kind
            can go on.
    """

    def __init__(
        self,
        url: str,
        format: str,
        options: dict[str, str],
        head: bytes,
        warn: Callable[[str], None],
        zero: Fraction | None = Fraction(0),
    ) -> None:
        import av

        self.url = url
        self._format = format
        self._zero = zero
        self._last: dict[int, tuple[Fraction, int]] = {}  # when, and in the container's ticks
        self._streams: dict[int, Any] = {}
        self._aac: ToAac | None = None
        with av.open(io.BytesIO(head)) as source:
            for video in source.streams.video:
                if not _holds(format, video, options):  # before a file that is there is replaced
                    name = video.codec_context.name
                    raise OutputError(f"{format} cannot hold {name}; leave --codec out, or send it elsewhere")
            # A name such as 12:30.mp4 would be taken for a protocol.
            place = url if "://" in url else os.path.abspath(url)
            self._container: Any = av.open(
                place, "w", format=format, options=options | {"max_interleave_delta": INTERLEAVE}
            )
            for stream in source.streams:
                self._add(stream, options, warn)
            self._container.start_encoding()

    def _add(self, stream: Any, options: dict[str, str], warn: Callable[[str], None]) -> None:
        if _holds(self._format, stream, options):
            self._streams[stream.index] = carry.add_copy(self._container, stream)
            return
        self._aac = ToAac(self._container, stream)
        warn(f"{self._format} cannot hold the sound as {stream.codec_context.name}; it is written as AAC")

    def write(self, packet: Packet) -> None:
        """Write one packet; what comes before zero, or out of order, is left out."""
        import av

        if self._zero is None:
            self._zero = packet.seconds
        time = packet.seconds - self._zero
        last, before = self._last.get(packet.stream, (Fraction(-1), -1))
        if time < 0 or time <= last:
            return
        stream = self._streams.get(packet.stream)
        base = packet.base if stream is None else stream.time_base
        # Two times may be one in ticks that are longer, which containers refuse.
        tick = max(round(time / base), before + 1)
        self._refuse_long(tick, before, base)
        self._last[packet.stream] = time, tick
        made = av.Packet(packet.data)
        made.pts = made.dts = tick
        made.duration = round(packet.duration * packet.base / base)
        made.time_base = base
        made.is_keyframe = packet.key
        if stream is not None:
            made.stream = stream
            try:
                self._container.mux(made)
            except av.error.InvalidDataError:
                if packet.stream == VIDEO:
                    raise  # of sound it is what was damaged on the way
        elif self._aac is not None:
            self._container.mux(self._aac.convert(made))

    def _refuse_long(self, tick: int, before: int, base: Fraction) -> None:
        """Hold a time, and that of the packet before, against what the container can count."""
        span = {"mp4": tick - before, "mov": tick - before, "flv": tick}.get(self._format, 0)
        if span >= COUNTED:
            self.close()  # so that all before the pause is there
            raise OutputError(
                f"{self._format} cannot count {float(span * base) / 3600:.1f} h; it begins anew"
            )

    @property
    def is_empty(self) -> bool:
        """Whether no packet has been written."""
        return not self._last

    def close(self) -> None:
        """Write what is left and the end."""
        if self._aac is not None:
            self._container.mux(self._aac.flush())
        self._container.close()


def _holds(format: str, stream: Any, options: dict[str, str]) -> bool:
    """Whether a container, written so, can hold a stream as it is."""
    name = stream.codec_context.codec.canonical_name
    if format == "rtsp":
        return True  # RTP carries what cameras send
    if format == "flv":
        # On others that its table names, FFmpeg 8 aborts the process.
        return name in ("aac", "mp3", "h264", "hevc", "av1", "vp9")
    if format == "mov" and name in ("ac3", "eac3"):
        return False  # FFmpeg reads it as it writes it there, and fails on what was damaged on the way
    if format == "hls":
        return name in ("aac", "mp3", "ac3", "eac3", "h264", "hevc")  # what players of HLS know in its pieces
    return carry.can_hold(format, stream, options=options)
