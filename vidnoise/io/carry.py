"""Streams that are copied as they are: audio, subtitles, data, attachments, covers, further videos."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast

from vidnoise.io.containers import COUNTING, DISCS, OGG, PROGRAM, QUICKTIME, UNBROKEN
from vidnoise.io.decode import Losses
from vidnoise.io.facts import is_timecode
from vidnoise.io.metadata import stream_metadata
from vidnoise.io.streams import codec_of, describe, is_cover

if TYPE_CHECKING:
    import av
    from av.container import InputContainer, OutputContainer
    from av.stream import Stream

COVERS = {"mp4", "ipod", "matroska"}
"""Muxers that keep a cover picture as one."""

OTHERS: dict[str, tuple[str, Mapping[str, str]]] = {
    ".mkv": ("matroska", {}), ".mov": ("mov", {}), ".mp4": ("mp4", {}), ".ts": ("mpegts", {}),
    ".m2ts": ("mpegts", DISCS), ".nut": ("nut", {}),
}  # fmt: skip
"""Containers that are tried, in this order, for a stream that the output cannot hold: their muxers and options."""

IN_TRANSPORT_STREAMS = {
    "h264", "hevc", "vvc", "mpeg1video", "mpeg2video", "mpeg4", "cavs", "dirac", "jpeg2000", "aac",
    "aac_latm", "ac3", "eac3", "mp1", "mp2", "mp3", "opus", "dts", "truehd", "s302m", "pcm_bluray",
    "dvb_subtitle", "dvb_teletext", "hdmv_pgs_subtitle", "klv", "timed_id3", "scte_35", "smpte_2038",
}  # fmt: skip
"""Codecs that MPEG-TS has a number for. Its muxer takes all others too, but nobody can tell what they are."""

OF_DISCS = {"hdmv_pgs_subtitle", "pcm_bluray"}
"""Those of them that have one on Blu-ray discs and in camcorders alone."""

MISWRITTEN = {
    "avi": {"dts", "eac3", "flac", "vorbis"},
    "asf": {"flac"},
    "nut": {"adpcm_g726", "adpcm_ima_wav", "wmapro", "wmav1", "wmav2"},
}
"""Sound that FFmpeg's muxers take, but write at a wrong speed, or so that no decoder opens it."""

UNLIKE = {"avi": {"data"}, "nut": {"data"}, "asf": {"data", "subtitle"}}
"""Streams that they write as others."""

FRAMED = {"ac3": "ac3", "mp3": "libmp3lame", "mp2": "mp2", "aac": "aac"}
"""Sound that AVI counts in frames, and encoders that make them as long."""

HEADS = {"adpcm_ima_wav": (1, 4), "adpcm_ms": (2, 7)}
"""Sound that AVI counts in blocks: samples and bytes at the head of each, for a channel; every byte more is two samples."""

BLOCKS = {"avi", "asf"}
"""Demuxers that tell a size of blocks for it as well, by which FFmpeg's muxer would count it."""

UNTOLD = {("matroska", "audio"): "avi", ("ipod", "video"): "mp4"}
"""Muxers that hold sound, or covers, as another one does, which FFmpeg does not tell PyAV."""

PRIMING = Fraction(1, 10)
"""Audio up to this many seconds before zero, or three packets of it, primes the decoder; more was cut away on purpose."""

LAYOUTS = {1: "mono", 2: "stereo", 3: "2.1", 4: "4.0", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}
"""What FFmpeg takes so many channels for."""

GAP = Fraction(1, 20)
"""Seconds of sound that must be missing between packets to be filled; less is how times were rounded."""

SIMULTANEOUS = {"matroska", "webm"}
"""Muxers that take all packets of one time, as TrueHD has in milliseconds; those of subtitles all muxers take."""

REORDERED = 16
"""How many pictures a codec reorders at the most."""


def is_chapter_track(container: Any, stream: Any) -> bool:
    """Whether a stream holds nothing but the chapter titles of a QuickTime file, one packet for each."""
    if stream.type not in ("subtitle", "data") or "mov" not in container.format.name:
        return False
    entries = [entry.timestamp * stream.time_base for entry in stream.index_entries]
    starts = [chapter["start"] * chapter["time_base"] for chapter in container.chapters()]
    return bool(starts) and entries == starts


def can_hold(
    format: str, stream: Stream, line: str = "", options: Mapping[str, str] = MappingProxyType({})
) -> bool:
    """Whether a container takes a copy of a stream: found by writing a header, as muxers check best themselves."""
    import av

    if is_cover(stream) and (format == "matroska" or format not in COVERS):
        return format == "matroska"  # as a file, whatever is in it
    if stream.type == "attachment":
        return format == "matroska"
    known = IN_TRANSPORT_STREAMS if "mpegts_m2ts_mode" in options else IN_TRANSPORT_STREAMS - OF_DISCS
    if format == "mpegts" and codec_of(stream) not in known:
        return False
    if format in PROGRAM and stream.type == "subtitle" and codec_of(stream) != "dvd_subtitle":
        return False
    if codec_of(stream) in MISWRITTEN.get(format, ()) or stream.type in UNLIKE.get(format, ()):
        return False
    # FFmpeg knows no more of these than their names, and writes all data as gpmd, the telemetry of action cameras.
    if (": none (" in line or "Data: bin_data" in line) and "(gpmd / " not in line:
        return False
    try:
        scratch = av.open(io.BytesIO(), "w", format=format, options=dict(options))
        if format == "mxf":  # which has its video first, and no header without one
            scratch.add_stream("mpeg2video", rate=25, width=64, height=64)
        copy = add_copy(scratch, stream)
        if format == "mp4" and codec_of(copy).startswith("pcm_") and _unnamed(copy):
            return False  # it would say so at its very end
        scratch.start_encoding()
    except (ValueError, OSError, EOFError, av.error.FFmpegError):
        return False
    return True


def add_copy(container: OutputContainer, stream: Stream) -> Any:
    """Add a stream to `container` that takes the packets of `stream` as they are."""
    if stream.codec_context is None and stream.type not in ("data", "attachment"):
        copy = _add_parameters(container, stream)  # PyAV has no template without a decoder
    elif (
        container.format.name == "avi"
        and stream.container.format.name in BLOCKS
        and codec_of(stream) in FRAMED
    ):
        copy = _add_framed(container, stream)
    else:
        copy = _add_template(container, stream)
    copy.metadata.update(stream_metadata(stream, container.format.name, encoded=False))
    copy.disposition = stream.disposition
    if container.format.name == "mpegts" and stream.id >= 32:
        copy.id = stream.id
    return copy


def _add_template(container: OutputContainer, stream: Stream) -> Any:
    import av

    try:
        copy: Any = container.add_stream_from_template(stream, opaque=True)
    except ValueError:
        like = UNTOLD.get((container.format.name, stream.type))
        if like is None or (stream.type == "video" and not is_cover(stream)):
            raise
        other = av.open(io.BytesIO(), "w", format=like)
        return _add_parameters(container, other.add_stream_from_template(stream, opaque=True))
    _name_channels(copy)
    _say_rate(copy)
    return copy


def _add_framed(container: OutputContainer, stream: Stream) -> Any:
    """Add a stream of sound that says how long its frames are."""
    source: Any = stream.codec_context
    copy: Any = container.add_stream(FRAMED[codec_of(stream)], rate=source.sample_rate, layout=source.layout)
    copy.codec_context.open(strict=False)
    copy.codec_context.bit_rate, copy.codec_context.extradata = source.bit_rate or 0, source.extradata
    copy.time_base = stream.time_base
    return copy


def _add_parameters(container: OutputContainer, stream: Stream) -> Any:
    """Add a stream without a codec, to which the filter that does nothing copies the parameters all the same."""
    from av.bitstream import BitStreamFilterContext

    copy: Any = container.add_data_stream()
    BitStreamFilterContext("null", in_stream=stream, out_stream=copy)
    copy.time_base = stream.time_base
    return copy


def _name_channels(copy: Any) -> None:
    """Say which loudspeakers the sound is for where nobody does: MP4 takes no PCM without."""
    context = copy.codec_context
    if _unnamed(copy):
        context.layout = LAYOUTS.get(context.layout.nb_channels, context.layout.name)


def _say_rate(copy: Any) -> None:
    """Say the true bit rate of sound in blocks, by which AVI times them: many files say another one."""
    context, head = copy.codec_context, HEADS.get(codec_of(copy))
    samples = int.from_bytes((context.extradata or b"")[:2], "little") if head else 0
    if not head or not samples:
        return
    block = (head[1] + (samples - head[0]) / 2) * context.layout.nb_channels
    context.bit_rate = round(8 * block * context.sample_rate / samples)


def _unnamed(stream: Any) -> bool:
    """Whether nobody says which loudspeakers the sound of a stream is for."""
    context = stream.codec_context
    return stream.type == "audio" and context is not None and context.layout.name.endswith(" channels")


def warning(container: str, format: str, stream: Stream, line: str) -> str:
    """What is lost, and which container would keep it."""
    better = next(
        (ext for ext, (name, options) in OTHERS.items() if can_hold(name, stream, line, options)), None
    )
    advice = f"{better} can" if better else "no other container here can either"
    return f"{container} cannot hold {describe(stream, line)}, so it is left out; {advice}"


def knows_delay(source: str, stream: Stream, target: str) -> bool:
    """Whether the output says how much of a stream's audio primes the decoder: Ogg by times, Matroska in its header.

    PyAV copies the number where the input has it: Matroska for all codecs, others for Opus.
    """
    if target in OGG:
        return codec_of(stream) in ("opus", "vorbis")
    opus = stream.codec_context is not None and "opus" in stream.codec_context.name
    return target in ("matroska", "webm") and ("matroska" in source or opus)


def priming(packet: av.Packet[Any]) -> Fraction:
    """How many seconds of sound before zero may prime its decoder."""
    length = 0 if codec_of(packet.stream).startswith("pcm_") else packet.duration or 0
    return max(PRIMING, 3 * length * packet.time_base)


@dataclass
class Copy:
    """One copied stream: checks and mends the times of its packets, which muxers take only in order.

    `container` is the output's format, `losses` counts what cannot be mended, `delays` is what `knows_delay`
    says, `offset` in seconds is added to all times, `convert` makes what is written of a packet.
    """

    stream: Stream
    container: str
    losses: Losses
    delays: bool = False
    offset: Fraction = Fraction(0)
    convert: Callable[[av.Packet[Any]], list[av.Packet[Any]]] | None = None
    last: int | None = None
    placed: int | None = None
    size: int = 0
    early: Fraction = Fraction(0)
    waiting: list[av.Packet[Any]] = field(default_factory=list)

    def dated(self, packet: av.Packet[Any] | None) -> list[av.Packet[Any]]:
        """The packets whose decoding times are known now; None gives those that still wait.

        Of the first reordered pictures in Matroska FFmpeg knows none; they lie before that of the next.
        """
        if packet is not None:
            if self.last is not None or self.stream.type != "video" or is_cover(self.stream):
                return [packet]
            self.waiting.append(packet)
            if packet.dts is None and len(self.waiting) < REORDERED:
                return []
        ready, self.waiting = self.waiting, []
        shown = [held.pts for held in ready if held.pts is not None]
        if ready and ready[-1].dts is None:
            ready[-1].dts = min(shown, default=None)
        for held, after in reversed(list(pairwise(ready))):
            if held.dts is None and after.dts is not None:
                # QuickTime files are as long as their pictures are decoded; others would be shifted to make room.
                held.dts = after.dts - ((held.duration or 1) if self.container in QUICKTIME else 1)
        return ready

    def fit(self, packet: av.Packet[Any]) -> bool:
        """Make a packet ready for the muxer; False where it must be left out."""
        base = packet.time_base
        if is_cover(self.stream):
            packet.pts = packet.dts = 0
        shift = round(self.offset / base)
        if packet.dts is None:
            packet.dts = self._decoded(packet, shift)
        if packet.dts is None or (packet.pts is not None and self._hidden(packet, packet.pts * base)):
            return False
        packet.dts += shift
        packet.pts = packet.dts if packet.pts is None else packet.pts + shift
        if self.container in COUNTING and self.stream.type == "audio":
            self.early = max(Fraction(0), -packet.pts * base) if self.is_pcm else Fraction(0)
            packet.dts, packet.pts = max(0, packet.dts), max(0, packet.pts)
        if self.last is not None:
            if packet.dts < self.last and packet.pts < self.last:
                self.losses.copied += 1
                return False
            packet.dts = max(packet.dts, self.last)
            if not packet.duration and self.container in QUICKTIME and self.stream.type != "subtitle":
                packet.duration = packet.dts - self.last  # or the last one is not shown
        self.last = packet.dts
        packet.stream = self.stream
        if self.container not in SIMULTANEOUS and self.stream.type not in ("subtitle", "data"):
            self._spread(packet)
        return True

    def _spread(self, packet: av.Packet[Any]) -> None:
        """Put packets behind each other that fall on one tick of the output.

        TrueHD has several in a millisecond of Matroska; AVI takes some ADPCM for longer than it is.
        """
        tick = self.stream.time_base or packet.time_base
        scale = packet.time_base / tick
        place, shown = (math.floor((time or 0) * scale + Fraction(1, 2)) for time in (packet.dts, packet.pts))
        if self.placed is not None and place <= self.placed:
            place = self.placed + 1
            packet.pts, packet.dts = max(place, shown), place
            packet.duration, packet.time_base = round((packet.duration or 0) * scale), tick
        self.placed = place

    def _decoded(self, packet: av.Packet[Any], shift: int) -> int | None:
        """A decoding time where there is none."""
        if packet.pts is None or self.stream.type != "video" or self.last is None:
            return packet.pts
        return min(packet.pts, self.last - shift + 1)

    @property
    def heard(self) -> Fraction:
        """Seconds of PCM that were written; 0 for anything else."""
        return Fraction(self.size, self._second()) if self._second() else Fraction(0)

    @property
    def is_pcm(self) -> bool:
        """Whether the sound can be cut and made up sample by sample."""
        return self._second() > 0

    def _second(self) -> int:
        """Bytes of a second of PCM, 0 for anything else."""
        codec, context = codec_of(self.stream), cast("av.AudioCodecContext", self.stream.codec_context)
        if not codec.startswith("pcm_s"):
            return 0
        return int(re.sub(r"\D", "", codec)) // 8 * context.layout.nb_channels * context.sample_rate

    def silence(self, until: Fraction, least: Fraction = GAP) -> Iterator[av.Packet[Any]]:
        """What PCM lacks up to a time in seconds, where the container needs it, a second at a time.

        That is what is missing at its beginning, and later what is more than `least`.
        """
        import av

        needed = self.container in UNBROKEN or (self.container in COUNTING and not self.size)
        if not needed or not self.is_pcm or until - self.heard <= (least if self.size else 0):
            return
        rate = cast("av.AudioCodecContext", self.stream.codec_context).sample_rate
        last = round(until * rate)
        for begin in range(round(self.heard * rate), last, rate):
            samples = min(rate, last - begin)
            packet: Any = av.Packet(bytes(samples * self._second() // rate))
            packet.stream, packet.time_base = self.stream, Fraction(1, rate)
            packet.pts, packet.dts, packet.duration = begin, begin, samples
            self.size += packet.size
            yield packet

    def _from_zero(self, packet: av.Packet[Any]) -> Any:
        """A packet of PCM without what lies before zero."""
        import av

        rate = cast("av.AudioCodecContext", self.stream.codec_context).sample_rate
        samples = round(self.early * rate)
        rest: Any = av.Packet(bytes(packet)[samples * self._second() // rate :])
        rest.stream, rest.time_base, rest.pts, rest.dts = self.stream, packet.time_base, 0, 0
        rest.duration = max(0, (packet.duration or 0) - round(self.early / packet.time_base))
        rest.is_keyframe = packet.is_keyframe
        return rest

    def made(self, packet: av.Packet[Any]) -> list[av.Packet[Any]]:
        """What is written of a fitted packet: itself, unless it is converted."""
        import av

        if self.early:
            packet = self._from_zero(packet)
        self.size += packet.size
        if self.convert is None:
            return [packet]
        try:
            return self.convert(packet)
        except (av.error.FFmpegError, ValueError):
            self.losses.copied += 1
            return []

    def _hidden(self, packet: av.Packet[Any], time: Fraction) -> bool:
        """Whether a packet is left out on purpose: an edit list has cut it away, or it lies before zero.

        What primes the audio decoder stays where the muxer hides it again, with an edit list or with the
        delay in Matroska's header. Others would shift the whole file to make room for it.
        """
        if self.container in QUICKTIME:
            # What a further edit cuts away lies before what was shown already.
            late = self.last is not None and time + self.offset <= self.last * packet.time_base
            return packet.is_discard and (
                late or self.stream.type != "audio" or not -priming(packet) <= time < 0
            )
        begin = time + self.offset
        if self.container in COUNTING:  # what follows is heard earlier by as much as is left out
            begin += (packet.duration or 0) * packet.time_base / (1 if self.is_pcm else 2)
            if self.is_pcm and begin <= 0:
                return True
        least = -priming(packet) if self.delays else 0
        return packet.is_discard or (self.stream.type == "audio" and begin < least)


def plan(
    container: InputContainer,
    video: int,
    format: str,
    lines: dict[int, str],
    wants: Callable[[Stream], bool],
    options: Mapping[str, str] = MappingProxyType({}),
) -> tuple[list[Stream], list[Stream]]:
    """Which streams are copied, and which cannot be; what is not read, or made anew by the muxer, is in neither."""
    from av.stream import Discard

    held: list[Stream] = []
    lost: list[Stream] = []
    for stream in container.streams:
        line = lines.get(stream.index, "")
        if (
            stream.index == video
            or stream.discard == Discard.all
            or not wants(stream)
            or is_timecode(line)
            or is_chapter_track(container, stream)
        ):
            continue
        (held if can_hold(format, stream, line, options) else lost).append(stream)
    return held, lost
