"""All that an output has beside its video: streams, texts, metadata and chapters of the input."""

from __future__ import annotations

from fractions import Fraction
from math import inf
from typing import TYPE_CHECKING, Any

from vidnoise.io import carry, metadata, stills
from vidnoise.io.containers import CHAPTERED, COUNTING, QUICKTIME, UNBROKEN
from vidnoise.io.picture_tags import PNG
from vidnoise.io.streams import describe, is_cover
from vidnoise.io.subtitles import Conversion, can_convert

if TYPE_CHECKING:
    import av

    from vidnoise.io.muxer import Muxer
    from vidnoise.io.output import Output
    from vidnoise.io.reader import Reader

LATE = 5
"""Seconds by which a text may lie behind the sound in a file."""


class Others:
    """Adds everything of an input to a container whose header is not written yet, and then its packets.

    Streams that the container cannot hold are left out, with a warning.
    """

    def __init__(self, output: Output, reader: Reader, muxer: Muxer) -> None:
        self._output, self._reader, self._muxer = output, reader, muxer
        self._copies: dict[int, carry.Copy] = {}
        self._texts: list[Conversion] = []
        self._begun: set[int] = set()
        options = output.target.options
        held, lost = carry.plan(
            reader.container, reader.stream.index, muxer.name, reader.lines, self._wants, options
        )
        for stream in held:
            self._hold(stream)
        for stream in lost:
            self._convert_or_lose(stream)
        self._add_metadata()
        self._add_chapters()

    def take(self, packet: av.Packet[Any]) -> None:
        """Write a packet, and what is due before it."""
        copy = self._copies.get(packet.stream_index)
        if copy is None:
            return
        if self._muxer.name in COUNTING and copy.stream.type == "audio" and not packet.is_discard:
            self._check_begin(packet)
        for dated in copy.dated(packet):
            self._write(copy, dated)

    def _write(self, copy: carry.Copy, packet: av.Packet[Any]) -> None:
        if not copy.fit(packet):
            return
        time = (packet.dts or 0) * packet.time_base
        for made in copy.silence(time):
            self._muxer.mux(made)
        for made in copy.made(packet):
            self._muxer.mux(made)
        if copy.stream.type == "audio":
            self._mux_texts(float(time) - LATE)

    def finish(self, end: Fraction) -> None:
        """Write what is left; sound ends with the picture where the container ends with the shortest of them."""
        self._mux_texts(inf)
        for copy in self._copies.values():
            for dated in copy.dated(None):
                self._write(copy, dated)
            for made in copy.silence(end, Fraction(0)):
                self._muxer.mux(made)
            if self._muxer.name in UNBROKEN and (beyond := copy.heard - end) > carry.GAP:
                self._output.warn(
                    f"{self._output.kind} ends with the picture, so the last {float(beyond):.2f} s of sound are left out; "
                    f".mkv and .mp4 keep them"
                )

    def _wants(self, stream: Any) -> bool:
        if stream.type == "video" and stills.is_boxed(self._reader.container):
            return False  # a still of the animation
        return stream.type != "audio" or self._output.options.audio == "copy"

    def _hold(self, stream: Any) -> None:
        reader, format = self._reader, self._muxer.name
        if is_cover(stream) and format == "matroska":
            self._attach_cover(stream)
            return
        if stream.type == "video" and not is_cover(stream):
            self._output.warn(f"{describe(stream)} is copied as it is; of several, the first is cleaned")
        delays = carry.knows_delay(reader.container.format.name, stream, format)
        copy = carry.add_copy(self._muxer.container, stream)
        self._warn_of_words(stream)
        self._copies[stream.index] = carry.Copy(copy, format, reader.losses, delays, self._output.offset)

    def _convert_or_lose(self, stream: Any) -> None:
        """Text subtitles take the container's own form; all others are left out."""
        reader, format, kind = self._reader, self._muxer.name, self._output.kind
        if not can_convert(format, stream):
            line = reader.lines.get(stream.index, "")
            self._output.warn(carry.warning(kind, format, stream, line))
            return
        text = Conversion(self._muxer.container, stream)
        self._texts.append(text)
        self._output.warn(text.warning(kind, stream))
        self._warn_of_words(stream)
        self._copies[stream.index] = carry.Copy(
            text.stream, format, reader.losses, offset=self._output.offset, convert=text
        )

    def _warn_of_words(self, stream: Any) -> None:
        for warning in metadata.stream_warnings(self._output.kind, self._muxer.name, stream):
            self._output.warn(warning)

    def _attach_cover(self, stream: Any) -> None:
        """Matroska keeps covers as attachments."""
        data = self._reader.covers.get(stream.index)
        if data is None:
            self._output.warn("the cover picture could not be read and is left out")
            return
        ending, kind = ("png", "png") if data.startswith(PNG) else ("jpg", "jpeg")
        name = stream.metadata.get("filename") or f"cover.{ending}"
        mimetype = stream.metadata.get("mimetype") or f"image/{kind}"
        self._muxer.container.add_attachment(name, mimetype, data)

    def _add_metadata(self) -> None:
        container, format, kind = self._muxer.container, self._muxer.name, self._output.kind
        entries = self._output.begun_later(metadata.container_metadata(self._reader.container))
        container.metadata.update(entries)
        if lost := metadata.lost_metadata(entries, format):
            self._output.warn(f"{kind} cannot hold the metadata {', '.join(lost)}; .mkv and .mp4 can")
        extra = metadata.beyond_places(entries, format)
        if format not in QUICKTIME or not extra:
            return
        if any(is_cover(copy.stream) for copy in self._copies.values()):
            words = ", ".join(extra)
            self._output.warn(f"beside a cover, {kind} cannot hold the metadata {words}; .mkv can")
            return
        container.container_options["movflags"] = "+use_metadata_tags"

    def _add_chapters(self) -> None:
        chapters = []
        part, shift = self._reader.part, self._reader.part.shift + self._output.offset
        for chapter in self._reader.container.chapters():
            base = chapter["time_base"] or Fraction(1)
            moved = round(shift / base)
            start, end = chapter["start"] + moved, chapter["end"] + moved
            last = end if part.length is None else round(part.length / base)
            if start < last and end > 0:
                kept = chapter.copy()
                kept["start"], kept["end"] = max(0, start), min(end, last)
                chapters.append(kept)
        if chapters and self._muxer.name not in CHAPTERED:
            self._output.warn(f"{self._output.kind} cannot hold the chapters; .mkv and .mp4 can")
        elif chapters:
            self._muxer.container.set_chapters(chapters)

    def _check_begin(self, packet: av.Packet[Any]) -> None:
        """Warn where sound begins earlier or later than the picture, which the container cannot say."""
        if packet.stream_index in self._begun:
            return
        self._begun.add(packet.stream_index)
        late = (packet.pts or 0) * packet.time_base + self._output.offset
        if late > Fraction(1, 20):
            if self._muxer.name in UNBROKEN or self._copies[packet.stream_index].is_pcm:
                return  # it is filled
            lost = f"what begins {float(late):.2f} s later is heard too early"
        elif late < -carry.priming(packet):
            lost = f"the {float(-late):.2f} s of it before that are left out"
        else:
            return
        self._output.warn(
            f"{self._output.kind} begins all sound with the picture, so {lost}; .mkv and .mp4 keep it"
        )

    def _mux_texts(self, time: float) -> None:
        """Write the converted texts up to a time in seconds."""
        for text in self._texts:
            for made in text.until(time):
                self._muxer.mux(made)
