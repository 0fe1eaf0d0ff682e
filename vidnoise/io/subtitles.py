"""Text subtitles in the form that another container takes: a film in Matroska has SubRip, in MP4 tx3g, in WebM WebVTT."""

from __future__ import annotations

from fractions import Fraction
from math import inf
from typing import TYPE_CHECKING, Any

from vidnoise.io.containers import QUICKTIME
from vidnoise.io.metadata import stream_metadata
from vidnoise.io.streams import describe

if TYPE_CHECKING:
    import av
    from av.container import OutputContainer
    from av.stream import Stream

TAKEN = {**dict.fromkeys(QUICKTIME - {"f4v"}, "mov_text"), "matroska": "subrip", "webm": "webvtt"}
"""The encoder for the text subtitles of a container."""

TEXTS = {"subrip", "ass", "webvtt", "mov_text", "text"}
"""Codecs of which every packet is a text of its own."""


def can_convert(format: str, stream: Stream) -> bool:
    """Whether a stream is text for which a container has a form."""
    codec: Any = stream.codec_context
    text = stream.type == "subtitle" and codec is not None and codec.codec.canonical_name in TEXTS
    return text and format in TAKEN


TICK = Fraction(1, 200_000)
"""Of texts in QuickTime files: finer than those of other streams, with which FFmpeg's muxer compares it, but 2^31 of them,
the longest text or pause that it writes, are three hours."""

LONGEST = 3600
"""Seconds; longer ones are written in pieces."""

NOTHING = b"\0\0"
"""A sample of tx3g without text."""


class Pages:
    """Texts that overlap, as QuickTime files show them: one page at a time, with all that is shown on it.

    Times are whole ticks of any length, pages (begin, end, sample) with samples of tx3g (3GPP TS 26.245).
    """

    def __init__(self) -> None:
        self._texts: list[tuple[int, bytes]] = []
        self._begin = 0

    def add(self, begin: int, end: int, sample: bytes) -> list[tuple[int, int, bytes]]:
        """Note the next text; the pages before it."""
        made = self.until(begin)
        if self._texts and begin > self._begin:
            made.append(self._page(begin))
        self._begin = max(self._begin, begin)
        self._texts.append((end, sample))
        return made

    def until(self, time: float) -> list[tuple[int, int, bytes]]:
        """The pages that end up to a time."""
        made = []
        while self._texts and (end := min(end for end, _ in self._texts)) <= time:
            if end > self._begin:
                made.append(self._page(end))
                self._begin = end
            self._texts = [text for text in self._texts if text[0] > end]
        return made

    def _page(self, end: int) -> tuple[int, int, bytes]:
        return self._begin, end, _joined([sample for _, sample in self._texts])


def _joined(samples: list[bytes]) -> bytes:
    """Several samples as one, a text below the other, with the styles of the first."""
    ends = [2 + int.from_bytes(sample[:2], "big") for sample in samples]
    text = b"\n".join(sample[2:end] for sample, end in zip(samples, ends, strict=True))[: 2**16 - 1]
    return len(text).to_bytes(2, "big") + text + samples[0][ends[0] :]


class Conversion:
    """One stream of text subtitles on its way into another form; adds it to `container`.

    Attributes:
        stream: the new stream.
    """

    _encoder: Any

    def __init__(self, container: OutputContainer, stream: Any) -> None:
        self._decoder: Any = stream.codec_context
        self._decoder.open(strict=False)
        self.stream: Any = container.add_stream(TAKEN[container.format.name])
        self._pages = Pages() if container.format.name in QUICKTIME else None
        self._tick: Fraction = stream.time_base
        self._end = 0
        self.stream.time_base = TICK if self._pages else stream.time_base
        self._encoder = self.stream.codec_context
        self._encoder.time_base = stream.time_base
        self._encoder.subtitle_header = self._decoder.subtitle_header
        self.stream.metadata.update(stream_metadata(stream, container.format.name, encoded=True))
        self.stream.disposition = stream.disposition

    def __call__(self, packet: av.Packet[Any]) -> list[av.Packet[Any]]:
        """What can be written now; of the pauses between texts, which some containers write out, nothing."""
        text = self._decoder.decode2(packet)
        if text is None or not text.rects:
            return []
        made: av.Packet[Any] = self._encoder.encode_subtitle(text)
        begin, length = packet.pts or 0, packet.duration or 0
        if self._pages is None:
            return [self._packet(begin, begin + length, bytes(made))]
        return self._paged(self._pages.add(begin, begin + max(1, length), bytes(made)))

    def until(self, time: float) -> list[av.Packet[Any]]:
        """What is left to be written up to a time in seconds."""
        last = inf if time == inf else int(time / self._tick)
        return self._paged(self._pages.until(last)) if self._pages else []

    def _paged(self, pages: list[tuple[int, int, bytes]]) -> list[av.Packet[Any]]:
        """Pages, and pauses that are too long for the muxer, in pieces."""
        most, made = int(LONGEST / self._tick), []
        for begin, end, sample in pages:
            pause = [(self._end, begin, NOTHING)] if begin - self._end > most else []
            for first, last, data in (*pause, (begin, end, sample)):
                made += [self._packet(at, min(at + most, last), data) for at in range(first, last, most)]
            self._end = end
        return made

    def _packet(self, begin: int, end: int, data: bytes) -> av.Packet[Any]:
        import av

        made: av.Packet[Any] = av.Packet(data)
        made.stream, made.time_base, made.is_keyframe = self.stream, self._tick, True
        made.pts, made.dts, made.duration = begin, begin, end - begin
        return made

    def warning(self, container: str, stream: Any) -> str:
        """What becomes of the stream."""
        lost = (
            ", without its styles; .mkv keeps them"
            if stream.codec_context.codec.canonical_name == "ass"
            else ""
        )
        return f"{describe(stream)} becomes {self._encoder.name} in {container}{lost}"
