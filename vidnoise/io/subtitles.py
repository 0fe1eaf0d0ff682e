"""Text subtitles in the form that another container takes: a film in Matroska has SubRip, in MP4 tx3g, in WebM WebVTT."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vidnoise.io.carry import QUICKTIME, describe, stream_metadata

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
        self.stream.time_base = stream.time_base
        self._encoder = self.stream.codec_context
        self._encoder.time_base = stream.time_base
        self._encoder.subtitle_header = self._decoder.subtitle_header
        self.stream.metadata.update(stream_metadata(stream, container.format.name, encoded=True))
        self.stream.disposition = stream.disposition

    def __call__(self, packet: av.Packet[Any]) -> av.Packet[Any] | None:
        """A text in the other form; None for the pauses between texts, which some containers write out."""
        text = self._decoder.decode2(packet)
        if text is None or not text.rects:
            return None
        made: av.Packet[Any] = self._encoder.encode_subtitle(text)
        made.stream, made.time_base = self.stream, packet.time_base
        made.pts, made.dts, made.duration = packet.pts, packet.dts, packet.duration
        return made

    def warning(self, container: str, stream: Any) -> str:
        """What becomes of the stream."""
        lost = (
            ", without its styles; .mkv keeps them"
            if stream.codec_context.codec.canonical_name == "ass"
            else ""
        )
        return f"{describe(stream)} becomes {self._encoder.name} in {container}{lost}"
