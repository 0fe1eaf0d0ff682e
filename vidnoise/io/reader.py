"""Files in: pictures for the filters, packets of every other stream for the writer."""

from __future__ import annotations

import contextlib
import gc
import os
import re
import shlex
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from itertools import chain
from math import inf
from numbers import Rational, Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidnoise.colour import UNSPECIFIED, Colour
from vidnoise.errors import InputError, UsageError
from vidnoise.frame import Frame, StreamInfo
from vidnoise.io import pipes, stills, variants
from vidnoise.io.carry import is_cover
from vidnoise.io.continuity import Continuity
from vidnoise.io.decode import DELAY, Conformer, Decoder, Losses, Tail, decoder_for, hides_alpha, layout_of
from vidnoise.io.facts import facts_of, stream_lines
from vidnoise.io.interlace import InterlaceGate
from vidnoise.io.picture_tags import ends_early, read_tags
from vidnoise.io.protocols import Location, locate, mask
from vidnoise.options import Option, check, check_path

if TYPE_CHECKING:
    import av
    from av.container import InputContainer
    from av.stream import Stream

    from vidnoise.colour import Planes
    from vidnoise.device import Device

NOT_VIDEO = {"tty", "ansi", "bin", "adf", "idf", "xbin"}
"""Demuxers that draw text as pictures: a text file would pass for a video."""

PRIME_BYTES = 256 << 20
"""How much of the input is searched for a first picture before it is given up."""

FAILURES = 100
"""Errors in a row, without a packet between them, after which the rest of the input is given up."""

PATIENCE = 60.0
"""Seconds for which a server may send nothing."""

GEN_PTS = 1
"""FFmpeg's flag for guessing times, AVFMT_FLAG_GENPTS."""

MICRO = Fraction(1, 1_000_000)

MOST_THREADS = 1024
"""More take longer to begin than a video takes."""

LATEST = 10**9
"""Seconds; FFmpeg's clocks overflow at later places."""

STILL = Fraction(1, 10)
"""Seconds after its begin at which a part may have its first picture; until a later one, that before it is shown."""

HIGHEST = 1000
"""Frames a second; more than that is a clock's rate, not a video's."""

LONGEST_TEXT = 10
"""Seconds before the part that is read at which a text in it may have begun."""

BACK = (0, 10, 60, LATEST)
"""Seconds before the part that is read at which a keyframe is looked for, in turn."""


class Reader:
    """One opened input: iterate it for its frames, once.

    Packets of all other streams go to whoever called `attach`, from the thread that iterates; without one
    they are dropped.

    Attributes:
        source: the path or URL.
        info: size, time base, rate, format and colour of the video.
        losses: what damage has cost so far; final after the iteration.
        warnings: sentences for the user.
        decoder: which decoder works, and why not another.
        container: the opened PyAV container; `stream` is the video stream in it that is decoded.
        lines: FFmpeg's description of each stream, by index.
        gpu: the device that NVDEC decodes on, None for decoding on the CPU.
        pix_fmt: FFmpeg's name of the decoder's pixel format, of which `info.format` is the planar equivalent.
        facts: HDR and rotation of the first picture.
        covers: the data of cover pictures, by stream index.
        length: of the selected part in seconds, None for all that is left.
        shift: what `start` takes from all times, in seconds; 0 or negative.
        first: when the first frame is shown, in seconds.
        sample_shape: how wide a sample is for its height.
    """

    def __init__(
        self,
        container: InputContainer,
        source: str,
        *,
        start: float | None = None,
        duration: float | None = None,
        threads: int = 0,
        deinterlace: bool = False,
        assume_progressive: bool = False,
        seekable: bool = True,
        device: Device | None = None,
    ) -> None:
        self.source = source
        self.container = container
        self.losses = Losses()
        self.warnings: list[str] = []
        # PyAV asks FFmpeg to guess missing times from those of later packets, which is a frame off in AVI.
        container.flags &= ~GEN_PTS
        self.lines = stream_lines(container)
        self.covers: dict[int, bytes] = {}
        self.stream = _main_video(container, source, self.lines)
        if variants.leave_others(container, self.stream):
            size = f"{self.stream.codec_context.width}x{self.stream.codec_context.height}"
            self.warnings.append(
                f"{source} holds several sizes or qualities, of which the best is taken ({size})"
            )
        self._colour = _of_container(self.stream.codec_context)
        context = decoder_for(self.stream, threads)
        self.decoder = f"{context.codec.name} on the CPU"
        threaded = context.codec.reorder and threads != 1
        self.sample_shape: Fraction = self.stream.sample_aspect_ratio or Fraction(1)
        self._told: Fraction | None = context.sample_aspect_ratio
        self._decoder = Decoder(context, self.losses, Tail(context) if threaded else None)
        self._conform = Conformer(self.warnings)
        self._gate = InterlaceGate(
            field_order=context.field_order,
            deinterlace=deinterlace,
            assume_progressive=assume_progressive,
            warn=self.warnings.append,
            name=source,
            threads=threads,
        )
        self._time_base: Fraction = self.stream.time_base or Fraction(1, 90000)
        self._step = _ticks_per_frame(self.stream, self._time_base)
        self._undated: list[av.VideoFrame] | None = [] if "matroska" in container.format.name else None
        self._last: int | None = None
        self._last_shown: int | None = None
        self._before: av.VideoFrame | None = None
        self._entry: int | None = None
        self._steps: deque[int] = deque(maxlen=8)
        self._sink: Callable[[av.Packet[Any]], None] | None = None
        self._early: deque[av.Packet[Any]] | None = deque()
        self._ended = False
        self._continuity = Continuity(container.format.name)
        self._reached = Fraction(0)
        self._bytes = 0
        self._shape: Fraction | None = None
        self._gaps: set[int] = set()
        self._marked: deque[Fraction] = deque()
        self.shift = Fraction(0)
        self.length: Fraction | None = None
        self._end: Fraction | None = None
        self._select(start, duration, seekable)
        # Warnings tell times as --start counts them.
        self._conform.begun = self._gate.begun = self.shift + self.begin
        self.warnings += self._left_out()
        endless = container.format.name in ("hls", "mpjpeg") and container.duration is None
        if self.length is None and endless:
            self.warnings.append(
                f"{source} goes on as its sender does; --live cleans it as a camera, --duration takes a part of it"
            )
        self._packets = self._demux()
        self.gpu: Device | None = None
        if device is not None and device.is_cuda:
            self._try_gpu(device, deinterlace)
        self._ready = deque(self._prime())
        from vidnoise.io.planes import pixel_format

        picture = self._ready[0]
        layout = layout_of(picture)
        if context.codec.name == "exr" and re.search("f16|f32", layout):
            raise InputError(_of_light(source))
        self.first: Fraction = (picture.pts or 0) * self._time_base
        self.pix_fmt = pixel_format(layout).name if self.gpu else layout
        # PyAV 18.1 crashes on side data of a PNG with a colour profile: it frees the profile's name twice.
        self._carries = not self.gpu and not self.of_pictures and context.codec.name not in ("png", "apng")
        self.facts = facts_of(
            picture if self._carries or self.gpu else None, self.lines.get(self.stream.index, "")
        )
        if self.of_pictures:
            self.facts = replace(self.facts, matrix=read_tags(self.first_file).matrix)
        self.info = self._describe(picture)
        self._loose = context.codec.name == "rawvideo" and 8 < self.info.format.depth < 16

    def attach(self, sink: Callable[[av.Packet[Any]], None]) -> None:
        """Hand every packet of the other streams to `sink`, those already read at once."""
        early, self._early = self._early, None
        for packet in early or ():
            sink(packet)
        self._sink = sink

    def __iter__(self) -> Iterator[Frame]:
        from vidnoise.io.planes import planes_of

        self._early = None
        for picture in self._pictures():
            planes = planes_of(picture)[0]
            if self._loose:
                planes = _within(planes, self.info.format.peak)
            pts = picture.pts or 0
            cut = pts in self._gaps
            self._gaps.discard(pts)
            yield Frame(
                pts=pts,
                time_base=self._time_base,
                duration=self._shown_for(picture),
                planes=planes,
                format=self.info.format,
                colour=self.info.colour,
                cut=cut,
                carrier=picture if self._carries else None,
            )

    def _shown_for(self, picture: av.VideoFrame) -> int:
        """A picture's duration in ticks, at most to the end of a QuickTime file, which tells how long it is decoded."""
        duration, stream = picture.duration or 0, self.stream
        if not stream.duration or "mov" not in self.container.format.name:
            return duration
        end: int = (stream.start_time or 0) + stream.duration + self.shift // self._time_base
        return max(0, min(duration, end - (picture.pts or 0)))

    @property
    def of_pictures(self) -> bool:
        """Whether the input is picture files, which have no video codec that an output could keep."""
        name = self.container.format.name
        return name == "image2" or name.endswith("_pipe")

    @property
    def first_file(self) -> Path:
        """The file of the first picture, where the input is pictures."""
        return Path(self.source)

    def _left_out(self) -> list[str]:
        """What else a picture file holds, in sentences."""
        if self.of_pictures and self.container.name.startswith("file:"):
            return stills.warnings_of(self.first_file)
        count = len(self.container.streams.video)
        if not stills.is_boxed(self.container) or self.stream.frames > 1 or count == 1:
            return []
        return [f"{self.source} holds {count} pictures, of which one is taken"]

    @property
    def zero(self) -> Fraction:
        """Which time of the input a clock that counts from zero should begin at, in seconds.

        Zero itself, but for transport streams and their like, whose times are those since the sender was switched on.
        """
        if self.shift or not self._continuity.active or self.container.start_time is None:
            return Fraction(0)
        # It is rounded, so that what is first may lie before it.
        return (self.container.start_time - 1) * MICRO

    @property
    def begin(self) -> Fraction:
        """The time of the input from which `start` counts, in seconds."""
        return (self.container.start_time or 0) * MICRO

    @property
    def seconds(self) -> float | None:
        """How long the video is, as far as the header says."""
        if self.stream.duration:
            return float(self.stream.duration * self._time_base)
        return self.container.duration / 1_000_000 if self.container.duration else None

    def close(self) -> None:
        """Release the file and end the iteration. Frames already handed out stay valid."""
        self._ended = True
        self._ready.clear()
        self.container.close()

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()

    def _pictures(self) -> Iterator[av.VideoFrame]:
        while True:
            while self._ready:
                yield self._ready.popleft()
            if self._ended:
                return
            packet = next(self._packets, None)
            self._ended = packet is None
            self._ready.extend(self._decode(packet))

    def _try_gpu(self, device: Device, deinterlace: bool) -> None:
        """Decode with NVDEC if it can; the packets of the trial are decoded again."""
        from vidnoise.io.gpu import Trial

        if deinterlace or hides_alpha(self.stream):
            why = "bwdif makes whole pictures there" if deinterlace else "NVDEC would drop its alpha"
            self.decoder += f", because {why}"
            return
        trial = Trial(self.stream, device, self._packets)
        self._packets = chain(trial.packets, self._packets)
        if trial.context is None:
            self.decoder = f"{self.decoder}, because {trial.why}"
            return
        self.gpu = device
        self.decoder = f"NVDEC ({trial.context.codec.canonical_name})"
        self._decoder = Decoder(trial.context, self.losses)

    def _prime(self) -> list[av.VideoFrame]:
        """Read until there is a picture: only a picture tells format, colour and side data for certain."""
        read = 0
        for packet in self._packets:
            read += packet.size
            if frames := self._decode(packet):
                return frames
            if read > PRIME_BYTES and not self._gate.holding:
                break
        self._ended = True
        if frames := self._decode(None):
            return frames
        if self.shift or self._end is not None:
            found = f"; the video is {self.seconds:.2f} s long" if self.seconds else ""
            raise InputError(
                f"{self.source}: no frame lies in the part chosen by --start and --duration{found}"
            )
        codec = self.stream.codec_context.name
        found = f": {self.losses}" if self.losses else ""
        hint = pipes.hint(self.container.name, self.container.format.name)
        raise InputError(f"{self.source}: no frame of its {codec} video could be decoded{found}{hint}")

    def _decode(self, packet: av.Packet[Any] | None) -> list[av.VideoFrame]:
        ready: list[av.VideoFrame] = []
        dated = self._dated(self._decoder.decode(packet), packet is None)
        for frame in self._part(dated, packet is None):
            self._check_shape(frame)
            frame = self._conform(frame)
            if self._follows_gap(frame) or self._conform.changed:
                self._gaps.add(frame.pts or 0)
            ready += self._gate.push(frame)
        return ready if packet is not None else ready + self._gate.flush()

    def _check_shape(self, frame: av.VideoFrame) -> None:
        """Warn where pictures get another shape, as between old and new programmes of television."""
        found = self._decoder.sample_shape
        shape = Fraction(frame.width, frame.height) * (found or 1)
        before, self._shape = self._shape, shape
        if before is None:
            # A part may have another one than the beginning of the file.
            if self._told and found and found != self._told:
                self.sample_shape = found
            return
        if abs(shape / before - 1) < Fraction(1, 50):
            return
        old, new = (f"{s.numerator}:{s.denominator}" for s in (before, shape))
        time = float((frame.pts or 0) * self._time_base - self._conform.begun)
        self.warnings.append(
            f"the pictures' shape changes from {old} to {new} at {time:.2f} s; one file holds one, so this part is shown "
            f"in the first; --start {time:.2f} cleans it by itself, and --duration what comes before"
        )

    def _part(self, frames: list[av.VideoFrame], ended: bool) -> Iterator[av.VideoFrame]:
        """The pictures of the part, from the one that is shown where it begins if the next is long in coming."""
        whole = None if self.length is None else int(self.length / self._time_base)
        for frame in frames:
            inside, pts = self._timed(frame), frame.pts or 0
            if self.shift and pts < 0:
                self._before = frame
                continue
            if not inside or pts * self._time_base > max(
                STILL, Fraction(3, 2) * self._step * self._time_base
            ):
                yield from self._shown_first(pts if inside else whole)
            self._before = None
            if inside:
                yield frame
        if ended and self._reached > -self.shift:
            yield from self._shown_first(whole)

    def _shown_first(self, ticks: int | None) -> Iterator[av.VideoFrame]:
        """The picture before the part, at its begin and for so long, if there is one, and nothing around it is lost."""
        frame, self._before = self._before, None
        if frame is None or self._decoder.suspect:
            return
        frame.pts = 0
        if ticks is not None:
            frame.duration = ticks
        yield frame

    def _dated(self, frames: list[av.VideoFrame], ended: bool) -> list[av.VideoFrame]:
        """Pictures with times: those before zero, to which Matroska's demuxer gives none, are dated by what follows."""
        if self._undated is None:
            return frames
        self._undated += frames
        held = self._undated
        dates = [frame.pts if frame.pts is not None else frame.dts for frame in held]
        known = next(((number, date) for number, date in enumerate(dates) if date is not None), None)
        if known is None and not ended and len(held) < DELAY:
            return []
        self._undated = None
        first, date = known or (0, 0)
        for number in range(first):
            held[number].pts = date - (first - number) * self._step
        return held

    def _follows_gap(self, frame: av.VideoFrame) -> bool:
        """Whether damage has torn this picture from the one before: at once, or where the times then jump."""
        decoder, pts = self._decoder, frame.pts or 0
        step = pts - (self._last_shown if self._last_shown is not None else pts)
        jumped = 2 * step > 3 * max(self._steps, default=self._step)
        torn = decoder.gap or (decoder.suspect > 0 and jumped)
        if self._last_shown is not None and not torn:
            self._steps.append(step)
        self._last_shown = pts
        decoder.gap, decoder.suspect = False, max(0, decoder.suspect - 1)
        return torn

    def _timed(self, frame: av.VideoFrame) -> bool:
        """Give the frame its time on the output's clock; False where it lies outside the selected part."""
        pts = frame.pts if frame.pts is not None else frame.dts
        if pts is None:
            pts = 0 if self._last is None else self._last + self._step
        if self._last is not None and pts <= self._last:
            pts = self._last + 1
        self._last = pts
        time = pts * self._time_base
        # Not rounded: half a tick goes the same way for all.
        frame.pts = (time + self.shift) // self._time_base
        frame.time_base = self._time_base
        early = bool(self.shift) and time + self.shift < 0
        late = self._end is not None and time >= self._end
        return not early and not late

    def _demux(self) -> Iterator[av.Packet[Any]]:
        """The packets of the video; all others are handed on as they pass."""
        import av
        from av.stream import Discard

        failures = 0
        while failures < FAILURES:
            try:
                for packet in self.container.demux():
                    failures = 0
                    if not packet.size or packet.stream.discard == Discard.all:
                        continue
                    self._bytes = (packet.pos or 0) + packet.size
                    self._join(packet)
                    if self._is_past_end(packet):
                        return
                    if packet.stream_index != self.stream.index:
                        self._hand_on(packet)
                    elif not self._precedes_entry(packet):
                        if self.of_pictures and ends_early(bytes(packet)):
                            self.losses.frames += 1
                        yield packet
            except IndexError:
                return  # PyAV at the end of a file in which streams have appeared on the way
            except av.error.ExitError as failure:
                raise InputError(f"{self.source}: {_reason(failure)}") from failure
            except av.error.FFmpegError:
                failures += 1
                self.losses.packets += failures == 1
                self._decoder.lost()
            else:
                self._settle_marked(inf)
                self._check_end()
                return

    def _join(self, packet: av.Packet[Any]) -> None:
        """Make the times go on where the input's clock jumps."""
        jumped = self._continuity.join(packet)
        if jumped and packet.stream_index == self.stream.index:
            moved = round(self.shift / self._time_base)
            self._gaps.add((packet.pts if packet.pts is not None else packet.dts or 0) + moved)
        time = (packet.dts or 0) * packet.time_base
        if packet.is_corrupt:
            self._marked.append(time)
        self._settle_marked(time)
        if jumped and len(self._continuity.jumps) == 1:
            at = float(self._continuity.jumps[0] - self.begin)
            self.warnings.append(f"the input's clock jumps at {at:.2f} s; what follows is joined on")

    def _settle_marked(self, time: Fraction | float) -> None:
        """Count packets that were incomplete over a second ago; around a jump of the clock, recordings were joined."""
        while self._marked and time > self._marked[0] + 1:
            mark = self._marked.popleft()
            self.losses.marked += all(abs(mark - jump) > 1 for jump in self._continuity.jumps)

    def _is_past_end(self, packet: av.Packet[Any]) -> bool:
        """Note how far the input has been read; True a second after the end of the selected part."""
        times = [time * packet.time_base for time in (packet.dts, packet.pts) if time is not None]
        if not times:
            return False
        # What is decoded early is shown late: at a few frames a second these are a second apart.
        self._reached = max(self._reached, max(times) + (packet.duration or 0) * packet.time_base)
        # Where nobody says when it is decoded, it may be shown after what follows.
        return self._end is not None and packet.dts is not None and min(times) > self._end + 1

    def _check_end(self) -> None:
        """Notice a file that was cut off: it ends in a picture, or well before the duration that its header promises."""
        name, duration = self.container.format.name, self.container.duration
        if name == pipes.FORMATS["y4m"]:
            # FFmpeg leaves such a picture out; the size of a pipe is none.
            self.losses.truncated = self._bytes < self.container.size
            return
        if duration is None or not any(
            word in name for word in ("mov", "matroska", "avi", "flv", "asf", "ogg")
        ):
            return
        # Matroska's duration counts from zero, that of others from the start.
        start = 0 if "matroska" in name else self.container.start_time or 0
        promised = (start + duration) * MICRO
        if "avi" in name and self.stream.frames:
            # What is left decides on the duration; the header still counts the frames that were there.
            promised = max(promised, self.stream.frames * self._time_base)
        self.losses.truncated = promised - self._reached > max(Fraction(1, 4), duration * MICRO / 100)

    def _hand_on(self, packet: av.Packet[Any]) -> None:
        stream: Stream = packet.stream
        if is_cover(stream):
            self.covers.setdefault(stream.index, bytes(packet))
        elif not self._selected(packet):
            return
        if self._early is not None:
            self._early.append(packet)
        elif self._sink is not None:
            self._sink(packet)

    def _selected(self, packet: av.Packet[Any]) -> bool:
        """Move a packet of another stream to the output's clock; False where it lies outside the selected part."""
        pts = packet.pts if packet.pts is not None else packet.dts
        if pts is None or not (self.shift or self._end is not None):
            return True
        base = packet.time_base
        time, length = pts * base, (packet.duration or 0) * base
        if self._end is not None and time >= self._end:
            return False
        ticks = round(self.shift / base)
        packet.pts = pts + ticks
        packet.dts = None if packet.dts is None else packet.dts + ticks
        if packet.stream.type == "subtitle" and self._end is not None and time + length > self._end:
            length = self._end - time  # or the file lasts as long as the text
            packet.duration = round(length / base)
        if packet.stream.type == "subtitle" and time + self.shift < 0 < time + length + self.shift:
            packet.duration = round((time + length + self.shift) / base)
            packet.pts = packet.dts = 0
        return packet.pts >= 0

    def _select(self, start: float | None, duration: float | None, seekable: bool) -> None:
        begin = self.begin + Fraction(start or 0).limit_denominator(1_000_000)
        if duration is not None:
            self.length = Fraction(duration).limit_denominator(1_000_000)
            self._end = begin + self.length
        if start:
            self.shift = -begin
            # Where the picture begins later, FFmpeg would jump there, past the sound before it.
            if not seekable or (self.stream.start_time or 0) * self._time_base > begin:
                return
            try:
                self._seek(begin)
            except InputError:
                # A list that does not say how long its files are can only be read from its beginning.
                if self.container.format.name != "concat":
                    raise

    def _seek(self, begin: Fraction) -> None:
        """Go to a keyframe from which what is shown at `begin` can be decoded.

        Where there is no index, as in transport streams, FFmpeg lands between keyframes, or behind the last one.
        """
        for back in BACK:
            self._jump(begin - back)
            self._entry = self._keyframe(begin)
            if self._entry is not None:
                break
        if self._continuity.active:  # where clocks jump, the keyframe would not be known again
            self._entry = None
        early = LONGEST_TEXT if self._entry is not None and self.container.streams.subtitles else 0
        self._jump(begin - back - early)

    def _keyframe(self, begin: Fraction) -> int | None:
        """When the next keyframe of the video is shown; None where that is after `begin`."""
        import av

        with contextlib.suppress(av.error.FFmpegError):
            for packet in self.container.demux(self.stream):
                time = packet.pts if packet.pts is not None else packet.dts
                if packet.is_keyframe and time is not None:
                    return time if time * self._time_base <= begin else None
        return None

    def _precedes_entry(self, packet: av.Packet[Any]) -> bool:
        """Whether a packet of the video lies before the keyframe from which it is decoded."""
        time = packet.pts if packet.pts is not None else packet.dts
        if self._entry is None or (packet.is_keyframe and time is not None and time >= self._entry):
            self._entry = None
            return False
        return True

    def _jump(self, time: Fraction) -> None:
        import av

        try:
            # Before its first frame a transport stream is read from the beginning, others refuse to go there.
            with contextlib.suppress(av.error.FFmpegError):
                self.container.seek(int(time * 1_000_000), backward=True)
                return
            self.container.seek(max(int(time * 1_000_000), self.container.start_time or 0), backward=True)
        except av.error.FFmpegError as failure:
            raise InputError(
                f"{self.source} cannot be sought ({self.container.format.name}: {_reason(failure)}); leave --start out, or "
                f"give a file with times in it, such as .mp4"
            ) from failure

    def _describe(self, picture: av.VideoFrame) -> StreamInfo:
        from vidnoise.io.planes import pixel_format

        format = pixel_format(layout_of(picture))
        return StreamInfo(
            width=picture.width,
            height=picture.height,
            time_base=self._time_base,
            rate=_mean_rate(self.stream),
            frames=_count(self.stream, self.container, self.shift, self._end),
            format=replace(format, name=format.name.replace("yuvj", "yuv")),
            colour=_filled(colour_of(picture, self.facts.chroma_location), self._colour, format.family),
        )


def open_reader(
    source: str | os.PathLike[str],
    *,
    start: float | None = None,
    duration: float | None = None,
    threads: int = 0,
    deinterlace: bool = False,
    assume_progressive: bool = False,
    device: Device | None = None,
    rate: Fraction | float | None = None,
) -> Reader:
    """Open an input for cleaning.

    Args:
        source: a path, numbered pictures (`frames/%05d.png`), `-` for the standard input, or a URL of an
            allowed protocol (`vidnoise.io.protocols`).
        start: seconds from the beginning of the file to leave out; the times of frames count from there.
        duration: seconds to keep.
        threads: of the decoder; 0 means as many as there are processors.
        deinterlace: make whole pictures of interlaced ones with bwdif, one for each.
        assume_progressive: take the pictures as whole, whatever they look like.
        device: a CUDA device decodes with NVDEC where that can, and frames stay on it.
        rate: numbered pictures a second; 25 if not given.

    Raises:
        InputError: the input cannot be opened, or holds no video that can be decoded, or is interlaced, or has no times
            by which `start` could be found.
        UsageError: `start` or `duration` is out of range, or the protocol is not allowed.
    """
    import av

    from vidnoise.io.sequence import open_sequence

    check_path("source", source)
    check("input", "threads", threads, int, Option(help="", low=0, high=MOST_THREADS))
    check("input", "deinterlace", deinterlace, bool, Option(help=""))
    check("input", "assume_progressive", assume_progressive, bool, Option(help=""))
    begin, length = _part(start, duration)
    source = source if isinstance(source, str) else Path(source)
    options: dict[str, Any] = {
        "start": begin,
        "duration": length,
        "threads": threads,
        "deinterlace": deinterlace,
        "assume_progressive": assume_progressive,
    }
    if sequence := open_sequence(source, rate, **options):
        return sequence
    if rate is not None:
        raise UsageError(
            f"--rate is for numbered pictures such as frames/%05d.png, not for {mask(str(source))}"
        )
    place = locate(source)
    _check(place)
    name = place.name
    try:
        container = av.open(
            place.url,
            "r",
            format=place.format,
            metadata_errors="replace",
            options=place.options,
            timeout=PATIENCE if place.kind == "network" else None,
        )
    except (av.error.FFmpegError, OSError) as failure:
        hint = pipes.hint(place.url) or (_cut_off(name) if place.kind == "file" else "") or _of_pieces(name)
        raise InputError(f"{name} cannot be read as video: {mask(_reason(failure))}{hint}") from failure
    try:
        return Reader(container, name, seekable=place.seekable, device=device, **options)
    except BaseException:
        container.close()
        raise


def colour_of(frame: av.VideoFrame, chroma_location: int = 0) -> Colour:
    """The colour tags of a picture; full range where the pixel format itself means it (`yuvj420p`)."""
    full = 2 if frame.format.name.startswith("yuvj") else 0
    return Colour(
        matrix=int(frame.colorspace),
        primaries=int(frame.color_primaries),
        transfer=int(frame.color_trc),
        range=int(frame.color_range) or full,
        chroma_location=chroma_location,
    )


def _of_container(context: Any) -> Colour:
    """The colour that a container tells its decoder, before that knows better."""
    return Colour(
        matrix=int(context.colorspace),
        primaries=int(context.color_primaries),
        transfer=int(context.color_trc),
        range=int(context.color_range),
    )


def _filled(colour: Colour, told: Colour, family: str) -> Colour:
    """A picture's colour with the container's word for what its codec leaves open, as ProRes may."""
    return replace(
        colour,
        # FFmpeg reads 0, which is that of RGB, from an FLV that says none.
        matrix=(told.matrix or UNSPECIFIED)
        if colour.matrix == UNSPECIFIED and family == "yuv"
        else colour.matrix,
        primaries=told.primaries if colour.primaries == UNSPECIFIED else colour.primaries,
        transfer=told.transfer if colour.transfer == UNSPECIFIED else colour.transfer,
        range=colour.range or told.range,
    )


def _within(planes: Planes, peak: int) -> Planes:
    """Samples of raw video that are larger than its depth allows, brought down; encoders may abort on them."""
    import numpy as np
    import torch

    return tuple(
        plane if int(plane.numpy().max()) <= peak else torch.from_numpy(np.minimum(plane.numpy(), peak))
        for plane in planes
    )


def _main_video(container: InputContainer, source: str, lines: dict[int, str]) -> Any:
    if container.format.name in NOT_VIDEO:
        raise InputError(f"{source} is a text file, not a video")
    videos = [s for s in container.streams.video if not is_cover(s)]
    decoded = [s for s in videos if s.codec_context is not None]
    if decoded and container.format.name in variants.SIZED:
        return variants.best(decoded)
    if decoded:
        return stills.main_of(decoded, source) if stills.is_boxed(container) else decoded[0]
    if videos:
        codec = lines.get(videos[0].index, "").partition("Video: ")[2].partition(",")[0]
        target = (
            shlex.quote(str(Path(source).with_suffix(".png")))
            if container.format.name == "image2"
            else "-c:v ffv1 OUTPUT.mkv"
        )
        raise InputError(
            f"{source}: there is no decoder for its video ({codec}) here; convert it with a program that has one, as in: "
            f"ffmpeg -i {shlex.quote(source)} {target}"
        )
    kinds = sorted({"a cover picture" if s.type == "video" else s.type for s in container.streams})
    found = ", ".join(kinds) or "no streams at all"
    raise InputError(f"{source} has no video to clean; it holds {found}")


def _of_light(source: str) -> str:
    """What to type for EXR, whose numbers are amounts of light: encoded as screens show them."""
    name = re.sub(r"[\W_]*%\d*d", "", os.path.splitext(source)[0]) or "out"
    return (
        f"{source} holds light in floating point, which is not read here; type: ffmpeg -apply_trc iec61966_2_1 "
        f"-i {shlex.quote(source)} -pix_fmt gbrp16le -c:v ffv1 {shlex.quote(name + '.mkv')}"
    )


def _mean_rate(stream: Any) -> Fraction | None:
    """Frames a second; of raw DV FFmpeg gives ticks a second for the mean."""
    mean: Fraction | None = stream.average_rate
    return mean if mean and mean <= HIGHEST else stream.guessed_rate


def _ticks_per_frame(stream: Any, time_base: Fraction) -> int:
    rate = _mean_rate(stream) or Fraction(25)
    return max(1, round(1 / (rate * time_base)))


def _count(stream: Any, container: Any, shift: Fraction, end: Fraction | None) -> int | None:
    """How many frames there are to come, as far as the header says."""
    rate = _mean_rate(stream)
    if not shift and end is None and stream.frames:
        return int(stream.frames)
    if not rate or not (stream.duration or container.duration):
        return None
    origin: Fraction = (container.start_time or 0) * MICRO
    length = stream.duration * stream.time_base if stream.duration else container.duration * MICRO
    begin, last = -shift or origin, origin + length
    return max(0, round(float((min(last, end or last) - begin) * rate)))


def _part(start: Any, duration: Any) -> tuple[Fraction | None, Fraction | None]:
    """The two of them exactly, from numbers of any kind; refused where they are no times."""
    with contextlib.suppress(TypeError, ValueError, OverflowError):
        begin, length = _seconds(start), _seconds(duration)
        if 0 <= (begin or 0) <= LATEST and (length is None or length > 0):
            return begin, length
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


def _check(place: Location) -> None:
    if place.kind == "file":
        _check_file(place.name)
    if place.kind == "stdin":
        pipes.check_stdin()


def _check_file(name: str) -> None:
    if not name:
        raise InputError(
            "the name of the input is empty; give a file, a URL, or a pattern such as frames/%05d.png"
        )
    if pipes.is_named(name):  # whatever is read of it here is missed later
        return
    from vidnoise.io.sequence import pattern_in

    path = Path(name)
    try:
        if path.is_dir():
            raise InputError(f"{name} is a folder; give a file, or a pattern such as {pattern_in(name)}")
        with path.open("rb") as file:
            empty = not file.read(1)
    except (OSError, ValueError) as failure:
        many = set(name) & set("*?")
        hint = f"; numbered pictures are given as {pattern_in(os.path.dirname(name))}" if many else ""
        raise InputError(f"{name} cannot be opened: {_reason(failure)}{hint}") from failure
    if empty:
        raise InputError(f"{name} is empty (0 bytes)")


def _cut_off(name: str) -> str:
    """What is missing where MP4 ends before its index, which FFmpeg tells its log alone; nothing for other files."""
    if pipes.is_named(name):
        return ""
    kinds: list[bytes] = []
    at, end = 0, os.path.getsize(name)
    with open(name, "rb") as file:
        while at < end:
            file.seek(at)
            head = file.read(16)
            size = int.from_bytes(head[:4], "big")
            size = int.from_bytes(head[8:], "big") if size == 1 else size
            kinds.append(head[4:8])
            if size < 8:
                break
            at += size
    if not {b"ftyp", b"mdat", b"wide"} & set(kinds[:1]) or {b"moov", b"moof"} & set(kinds):
        return ""
    return (
        "; it ends before its index (moov), so the recording or the download was cut off: load it again, or rebuild it "
        "with untrunc and a whole file of the same camera"
    )


def _of_pieces(name: str) -> str:
    """What to type for a list of DASH, which PyAV's FFmpeg does not read; nothing for other names."""
    path = Path(name)
    if path.suffix.lower() != ".mpd":
        return ""
    return f"; type: ffmpeg -i {shlex.quote(name)} -c copy {shlex.quote(path.stem + '.mkv')}, and give that"


def _reason(failure: BaseException) -> str:
    import av

    if isinstance(failure, av.error.ExitError):
        return f"nothing has come for {PATIENCE:g} s"
    return str(getattr(failure, "strerror", "") or failure)


if hasattr(os, "register_at_fork"):
    # Decoders and encoders that await collection would be freed there, and wait for threads that a copy does not have.
    os.register_at_fork(after_in_child=gc.freeze)
