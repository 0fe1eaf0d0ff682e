"""Sound for containers that cannot hold what the camera sends, as G.711 in MP4, G.726 in any: turned into AAC."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

RATE = 32_000
"""Bits a second for each channel: more than telephone sound needs."""

RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)
"""Samples a second by their number in AAC's headers."""

LOW_COMPLEXITY = 2
"""The number of the kind of AAC that everything else is made of."""


class ToAac:
    """Decodes packets of `source`, a stream, and encodes them for a new stream of `container`.

    Some codecs have settings that PyAV gives no access to: `own` has the stream's own decoder used.
    """

    def __init__(self, container: Any, source: Any, *, own: bool = False) -> None:
        import av

        given = source.codec_context
        # Some containers tell the number of channels alone, which the encoder does not take for a layout.
        count = len(given.layout.channels)
        layout = {1: "mono", 2: "stereo"}.get(count, given.layout.name)
        self._decoder: Any = given if own else av.CodecContext.create(given.name, "r")
        if not own:
            self._decoder.sample_rate, self._decoder.layout = given.sample_rate, layout
            self._decoder.extradata = given.extradata
        self._stream: Any = container.add_stream("aac", rate=given.sample_rate, layout=layout)
        self._stream.bit_rate = RATE * count
        self._first: tuple[tuple[int, str, str], Fraction] | None = None
        self._others: dict[tuple[int, str, str], Any] = {}
        self._last = -1

    def convert(self, packet: Any) -> list[Any]:
        """What is ready after one more packet; a damaged one gives nothing."""
        import av

        try:
            frames = [frame for frame in self._decoder.decode(packet) if frame.pts is not None]
            heard = [part for frame in frames for part in self._as_at_first(frame)]
            made = [part for frame in heard for part in self._stream.encode(frame)]
        except (av.error.FFmpegError, ValueError):
            return []
        return self._rising(made)

    def _rising(self, made: list[Any]) -> list[Any]:
        """Without those that containers refuse: the first one, which primes the decoder and is dated before zero, and those
        dated before the one before them, as where times have come closer to each other than the sound between them lasts.
        """
        parts = []
        for part in made:
            if part.pts > self._last:
                parts.append(part)
                self._last = part.pts
        return parts

    def _as_at_first(self, frame: Any) -> list[Any]:
        """The same at the rate, channels and time base of the first frame; a sender may change them on the way."""
        import av

        kind = (frame.sample_rate, frame.layout.name, frame.format.name)
        self._first = self._first or (kind, frame.time_base)
        first, base = self._first
        if kind == first:
            return [frame]
        if kind not in self._others:
            rate, layout, format = first
            self._others = {kind: av.AudioResampler(format, layout, rate)}
        parts = list(self._others[kind].resample(frame))
        for part in parts:
            part.pts, part.time_base = round(part.pts * part.time_base / base), base
        return parts

    def flush(self) -> list[Any]:
        """The rest."""
        return self._rising(list(self._stream.encode(None)))


def is_adts(context: Any) -> bool:
    """Whether each packet of AAC has a header of its own, as in MPEG-TS; most containers want it once for all."""
    return context.name == "aac" and not context.extradata and context.sample_rate in RATES


def settings(context: Any) -> bytes:
    """What such headers say, once for all (an AudioSpecificConfig)."""
    rate, channels = context.sample_rate, len(context.layout.channels)
    # What doubles the rate, or makes two channels of one, is found in the data and not told of.
    profile = str(context.profile)
    rate = rate // 2 if profile.startswith("HE-AAC") else rate
    channels = 1 if profile == "HE-AACv2" else min(channels, 7)
    return (LOW_COMPLEXITY << 11 | RATES.index(rate) << 7 | channels << 3).to_bytes(2)


def form(packet: Any) -> str:
    """Rate and channels of AAC as such a header tells them, in words; empty where there is none, or it has come damaged."""
    if packet.is_corrupt or not is_adts(packet.stream.codec_context):
        return ""
    bits = int.from_bytes(bytes(packet)[:4])
    number, channels = bits >> 10 & 15, bits >> 6 & 7
    if bits >> 20 != 0xFFF or number >= len(RATES):
        return ""
    layout = {1: "mono", 2: "stereo"}.get(channels, f"{channels} channels")
    return f"aac at {RATES[number]} Hz, {layout}"


def bare(packet: Any) -> bytes:
    """The data of a packet of sound without such a header; nothing where it has come damaged, as far as it tells."""
    if packet.is_corrupt:
        return b""
    data = bytes(packet)
    if not is_adts(packet.stream.codec_context):
        return data
    # Twelve ones; among other bits the absence of a checksum; after those the length in 13 bits.
    length = int.from_bytes(data[3:6]) >> 5 & 0x1FFF
    if data[:1] != b"\xff" or data[1:2] < b"\xf0" or length != len(data):
        return b""
    return data[7 if data[1] & 1 else 9 :]
