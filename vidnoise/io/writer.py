"""Files out: the cleaned pictures encoded, everything else of the input copied."""

from __future__ import annotations

import contextlib
import os
import shlex
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from fractions import Fraction
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

from vidnoise.colour import Colour
from vidnoise.errors import OutputError, UsageError, VidnoiseError
from vidnoise.frame import Frame, StreamInfo
from vidnoise.io import carry, encoders, gpu, pipes, scheduling, stills
from vidnoise.io.colour_tags import tag
from vidnoise.io.encoders import Choice
from vidnoise.io.facts import LOCATIONS, VIEWS, Facts
from vidnoise.io.failures import reason_and_log
from vidnoise.io.protocols import mask_whole
from vidnoise.io.rates import HIGHEST, grid_rate, written_rate
from vidnoise.io.reader import Reader
from vidnoise.io.sidedata import Transplant, has_kept, names
from vidnoise.io.subtitles import Conversion, can_convert
from vidnoise.io.target import Target
from vidnoise.io.timecode import later
from vidnoise.io.timeline import Timeline
from vidnoise.options import MOST_THREADS, Option, check, check_path

if TYPE_CHECKING:
    import av
    from av.container import OutputContainer

    from vidnoise.colour import PixelFormat, Planes
    from vidnoise.device import Device
    from vidnoise.io.sequence import PictureWriter

IN_ORDER = {"av1", "vp8", "vp9"}
"""Codecs whose packets come in the order of presentation."""

OWN_SHAPE = {"h264", "hevc", "mpeg4", "mpeg2video", "mpeg1video", "mjpeg", "h263p", "dvvideo"}
"""Codecs that hold the sample aspect ratio themselves."""

TOLD_SHAPE = {*carry.QUICKTIME, "asf", "mxf", "oga", "ogg", "ogv"}
"""Containers that are told it with the codec's parameters; others would have to be told apart, which PyAV cannot."""


@dataclass(frozen=True)
class OutputOptions:
    """What the user chose for the output; every default means "as the input".

    `codec` is a codec (`h264`) or an encoder (`libx264`, `h264_nvenc`). `crf` is the encoder's own quality
    scale, lower is better. `preset` is the encoder's own speed setting. `encoder_opts` go to the encoder as
    they are, both names and values as text. `threads` is for the encoder, 0 for as many as there are processors.
    `audio` is "copy" or "none". `format` is that of the standard output, `nut` or `y4m`, and None for files.

    Raises:
        UsageError: a value is of another type, no finite number, or none of the choices.
    """

    codec: str | None = None
    crf: float | None = None
    preset: str | None = None
    pix_fmt: str | None = None
    encoder_opts: Mapping[str, str] = field(default_factory=dict)
    threads: int = field(default=0, metadata={"low": 0, "high": MOST_THREADS})
    audio: str = field(default="copy", metadata={"choices": ("copy", "none")})
    overwrite: bool = False
    format: str | None = None

    def __post_init__(self) -> None:
        kinds = get_type_hints(type(self))
        for f in fields(self):
            check("output", f.name, getattr(self, f.name), kinds[f.name], Option(help="", **f.metadata))
        given = self.encoder_opts
        words = [*given, *given.values()] if isinstance(given, Mapping) else [None]
        if not all(isinstance(word, str) for word in words):
            raise UsageError(
                f"output: encoder_opts={given!r} does not map text to text; write it as {{'tune': 'grain'}}"
            )


FILMS = {*carry.QUICKTIME, "matroska", "webm"}
"""Containers whose players count from zero, and which hold decoding times before it."""


LATE = 5
"""Seconds by which a text may lie behind the sound in a file."""


class Writer:
    """One output file. `write` may be called from another thread than the one that iterates the reader.

    Attributes:
        warnings: sentences for the user about what could not be kept.
        encoder: the encoder in words, and why it was chosen where it is not the input's own.
    """

    def __init__(
        self,
        target: Target | pipes.StdoutTarget,
        reader: Reader | None,
        info: StreamInfo,
        options: OutputOptions,
    ) -> None:
        self.warnings: list[str] = []
        self._target = target
        self._reader = reader
        self._info = info
        self._options = options
        self._facts = reader.facts if reader else Facts(chroma_location=info.colour.chroma_location)
        self._lock = threading.Lock()
        self._closed = False
        self._copies: dict[int, carry.Copy] = {}
        self._texts: list[Conversion] = []
        self._transplant = Transplant()
        self._rate = written_rate(info)
        self._clock: pipes.SteadyClock | None = None
        self._origin: Fraction | None = None
        self._begun: set[int] = set()
        self._muxer = self._open_container().format.name
        if self._muxer in carry.GRIDS and reader is not None:
            self._rate = grid_rate(reader.stream, self._rate)
        if self._muxer == "avi" and self._rate > HIGHEST:
            raise UsageError(
                f".avi holds up to {HIGHEST} frames/s, this video has {float(self._rate):g}; .mkv and .mp4 hold it"
            )
        if self._muxer == pipes.FORMATS["y4m"]:
            self._clock = pipes.SteadyClock(self._rate, self._warn_once)
            self._info = info = replace(info, time_base=1 / self._rate)
        self._container, self._stream, choice = self._open_encoder()
        self._offset = self._shift(self._muxer)
        self._format, self._colour = self._written_as(choice)
        self.encoder = self._words(choice)
        self._on_gpu = self._stream.codec_context.pix_fmt == "cuda"
        self._captions = encoders.has_option(choice.encoder.name, "a53cc")
        if reader is not None:
            self._add_others(reader)
        self._timeline = Timeline(
            info.time_base, round(1 / (self._rate * info.time_base)), reorders=choice.codec not in IN_ORDER
        )
        self._begin()
        if reader is not None:
            reader.attach(self._copy)

    def _begin(self) -> None:
        """Write the header, by which some containers find out what they cannot hold."""
        try:
            self._guard(self._container.start_encoding)
        except OutputError as refused:
            if isinstance(refused.__cause__, ValueError):
                raise OutputError(
                    f"{refused}; {self._target.kind} refuses this video or its frame rate, .mkv and .mp4 take all"
                ) from refused
            raise

    def write(self, frame: Frame) -> None:
        """Encode one frame; untouched ones give the encoder the source's own samples.

        Raises:
            OutputError: the encoder or the disk refused, or the frame has another size than the output.
        """
        if (frame.width, frame.height) != (self._info.width, self._info.height):
            raise OutputError(
                f"a frame of {frame.width}x{frame.height} cannot go into a video of {self._info.width}x{self._info.height}"
            )
        picture = self._picture(frame)
        base = self._info.time_base
        time = None if frame.pts is None else frame.pts * frame.time_base + self._offset
        ticks = None if time is None else round(time / base)
        if time is not None and self._muxer in carry.GRIDS:
            self._check_grid(time)
        if self._clock is not None:
            ticks = self._clock.tick(frame)
        picture.pts = self._timeline.add(ticks, round(frame.duration * frame.time_base / base))
        picture.time_base = 1 / self._rate
        self._encode(picture)

    def _check_grid(self, time: Fraction) -> None:
        """Warn where a time lies between those of a container that counts frames of one rate."""
        if self._origin is None:
            self._origin = time
            return
        steps = (time - self._origin) * self._rate
        wanted = round(steps)
        if self._muxer in carry.UNBROKEN:
            self._origin, wanted = time, 1
        if abs(steps - wanted) > Fraction(1, 4):
            self._warn_once(
                f"{self._target.kind} has one frame rate, to which uneven timestamps are moved; .mkv and .mp4 keep them"
            )

    def _check_begin(self, packet: av.Packet[Any]) -> None:
        """Warn where sound begins earlier or later than the picture, which the container cannot say."""
        if packet.stream_index in self._begun:
            return
        self._begun.add(packet.stream_index)
        late = (packet.pts or 0) * packet.time_base + self._offset
        if late > Fraction(1, 20):
            if self._muxer in carry.UNBROKEN or self._copies[packet.stream_index].is_pcm:
                return  # it is filled
            lost = f"what begins {float(late):.2f} s later is heard too early"
        elif late < -carry.priming(packet):
            lost = f"the {float(-late):.2f} s of it before that are left out"
        else:
            return
        self._warn_once(
            f"{self._target.kind} begins all sound with the picture, so {lost}; .mkv and .mp4 keep it"
        )

    def finish(self) -> None:
        """Write what the encoder still holds, close the file and give it its final name.

        Raises:
            OutputError: the encoder or the disk refused; the temporary file is removed.
        """
        try:
            self._encode(None)
            self._mux_texts(inf)
            self._fill()
            self._close()
        except BaseException:
            self.abort()
            raise
        self._target.commit()

    def _fill(self) -> None:
        """Let sound end with the picture where the container ends with the shortest of them."""
        end = self._timeline.end * self._info.time_base
        for copy in self._copies.values():
            for made in copy.silence(end, Fraction(0)):
                self._mux(made)
            if self._muxer in carry.UNBROKEN and (beyond := copy.heard - end) > carry.GAP:
                self._warn_once(
                    f"{self._target.kind} ends with the picture, so the last {float(beyond):.2f} s of sound are left out; "
                    f".mkv and .mp4 keep them"
                )

    def abort(self) -> None:
        """Stop writing and remove the temporary file; safe to call at any time, also after `finish`."""
        with contextlib.suppress(OutputError):
            self._close()
        self._target.discard()

    def _close(self) -> None:
        with self._lock:
            if not self._closed:
                self._closed = True
                self._guard(self._container.close)

    def _encode(self, picture: av.VideoFrame | None) -> None:
        packets = self._guard(lambda: self._stream.encode(picture))
        drained = picture is None and self._muxer in carry.QUICKTIME
        for packet in packets:
            last = drained and packet is packets[-1]
            self._timeline.stamp(packet, self._stream.time_base, decoded_last=last)
            self._mux(packet)

    def _copy(self, packet: av.Packet[Any]) -> None:
        """Take a packet of another stream from the reader's thread."""
        copy = self._copies.get(packet.stream_index)
        if copy is None:
            return
        if self._muxer in carry.COUNTING and copy.stream.type == "audio" and not packet.is_discard:
            self._check_begin(packet)
        if not copy.fit(packet):
            return
        for made in copy.silence((packet.dts or 0) * packet.time_base):
            self._mux(made)
        for made in copy.made(packet):
            self._mux(made)
        if copy.stream.type == "audio":
            self._mux_texts(float((packet.dts or 0) * packet.time_base) - LATE)

    def _mux_texts(self, time: float) -> None:
        """Write the converted texts up to a time in seconds."""
        for text in self._texts:
            for made in text.until(time):
                self._mux(made)

    def _mux(self, packet: av.Packet[Any]) -> None:
        with self._lock:
            if not self._closed:
                self._guard(lambda: self._container.mux(packet))

    # Pictures

    def _picture(self, frame: Frame) -> av.VideoFrame:
        from vidnoise.io.planes import to_av

        if self._is_source(frame):
            frame.carrier.pict_type = 0  # type: ignore[attr-defined]  # or the encoder repeats the source's types
            return frame.carrier  # type: ignore[return-value]
        planes = self._planes(frame)
        if not self._on_gpu:
            planes = tuple(plane.cpu() for plane in planes)
        picture = to_av(planes, self._format, frame.width, frame.height)
        wanted = self._stream.codec_context.pix_fmt
        if picture.format.name != wanted:
            picture = picture.reformat(format=wanted)
        tag(picture, self._colour)
        if not has_kept(frame.carrier):
            return picture
        self._loses_captions(frame)
        return self._transplant(frame.carrier, picture)  # type: ignore[arg-type]

    def _is_source(self, frame: Frame) -> bool:
        """Whether the decoded picture itself can go to the encoder: nothing has touched it, and it fits."""
        layout = getattr(getattr(frame.carrier, "format", None), "name", None)
        if frame.touched or frame.planes is None or layout != self._stream.codec_context.pix_fmt:
            return False
        picture: Any = frame.carrier
        shared = picture.planes[0].buffer_ptr == frame.planes[0].data_ptr()
        return shared and self._same(frame) and not self._loses_captions(frame)

    def _loses_captions(self, frame: Frame) -> bool:
        """Whether the encoder drops closed captions of this frame; said once."""
        lost = not self._captions and "A53_CC" in names(frame.carrier)
        if lost:
            self._warn_once(
                f"{self._stream.codec_context.name} cannot write the closed captions; --codec h264 and hevc can"
            )
        return lost

    def _planes(self, frame: Frame) -> Planes:
        from vidnoise.io.planes import planes_in

        if not frame.touched and frame.planes is not None and self._same(frame):
            return frame.planes
        return planes_in(frame, self._format, self._colour)

    def _same(self, frame: Frame) -> bool:
        """Whether the frame's planes mean the same in the output as in the source."""
        a, b = (c.resolved(frame.height, frame.format.family) for c in (frame.colour, self._colour))
        return frame.format == self._format and (a.matrix, a.range) == (b.matrix, b.range)

    # The encoder

    def _open_encoder(self) -> tuple[OutputContainer, Any, Choice]:
        """The first encoder that opens; another than the first only where nothing of it was asked for."""
        encoders.quiet()
        options = self._options
        sound = [c for c in self._choices() if self._is_readable(c)]
        if not sound:
            raise UsageError(
                f"{self._target.kind} cannot store {options.codec or 'this video'} readably; .mkv can"
            )
        chosen = options.crf is not None or options.preset or options.encoder_opts
        failure: OutputError | None = None
        for choice in sound:
            container = self._open_container()
            try:
                stream = self._guard(lambda: self._add_video(container, choice))  # noqa: B023
                with scheduling.ordinary():
                    self._guard(stream.codec_context.open, f"open the encoder {self._with_options(choice)}")
            except OutputError as refused:
                hardware = choice.encoder.name.rpartition("_")[2] in ("nvenc", "qsv", "amf", "v4l2m2m")
                if chosen and not hardware:
                    raise
                failure = failure or refused
                continue
            if failure is not None:
                known = choice.why if options.codec else ""
                choice = replace(choice, why=known or f"{choice.encoder.name} is used, because {failure}")
            return container, stream, choice
        assert failure is not None
        raise failure

    def _is_readable(self, choice: Choice) -> bool:
        if choice.encoder.name == self._target.codec:
            return True  # `pipes.choose` has seen to it
        return encoders.readable(self._muxer, choice.encoder.name, choice.pix_fmt)

    def _choices(self) -> list[Choice]:
        reader, options = self._reader, self._options
        pictures = reader is not None and reader.of_pictures
        codec = reader.stream.codec_context.codec.canonical_name if reader and not pictures else ""
        container = self._muxer
        asked = options.codec or self._target.codec
        if options.pix_fmt is not None:
            _check_format(options.pix_fmt)
        plain = container in encoders.FALLBACKS and bool(codec) and not encoders.accepts(container, codec)
        common = (pictures or (plain and self._info.format.family == "rgb")) and container != "apng"
        return list(
            encoders.choose(
                codec,
                self._source_format(),
                lambda name: name == self._target.codec or encoders.accepts(container, name),
                asked=asked,
                asked_format=options.pix_fmt or (self._common_format() if common and not asked else None),
                fallback=encoders.FALLBACKS.get(container, encoders.FALLBACK),
                gpu=reader is not None and reader.gpu is not None,
            )
        )

    def _common_format(self) -> str:
        """What players show, for a video made of pictures."""
        info = self._info
        if self._muxer == "asf":
            return "yuv420p"
        odd = info.width % 2 or info.height % 2
        return ("yuv444p" if odd else "yuv420p") + ("10le" if info.format.depth > 8 else "")

    def _source_format(self) -> str:
        """The pixel format to keep: the decoder's own name for it where that is another layout of the same."""
        from vidnoise.io.planes import is_layout_of

        wanted = self._info.format
        if wanted.depth > 16:
            return "yuv420p"
        native = self._reader.pix_fmt.replace("yuvj", "yuv") if self._reader else wanted.name
        if is_layout_of(native, wanted) and self._clock is None:
            return native
        return "bgr24" if wanted.name == "gbrp" else wanted.name  # which more containers hold uncompressed

    def _open_container(self) -> OutputContainer:
        import av

        base = self._info.time_base
        try:
            container = av.open(
                self._target.url,
                "w",
                format=self._target.format,
                options=dict(self._target.options),
            )
        except ValueError as failure:
            suffix = self._target.kind
            said = f"no container is known by {suffix}" if suffix else "its name has no ending"
            raise UsageError(f"{self._target.path}: {said}; use .mp4, .mkv, .mov, .webm or .ts") from failure
        self._check_kind(container)
        if container.format.name in carry.QUICKTIME:
            # Edit lists, which carry a late start, are counted in the film's own units: milliseconds unless
            # told.
            unit = base.denominator * -(-90_000 // base.denominator)
            container.container_options["movie_timescale"] = str(min(unit, 2**31 - 1))
        return container

    def _check_kind(self, container: OutputContainer) -> None:
        """Refuse containers that are no single video file, with what to type."""
        path, format = self._target.path, container.format
        if format.name == "gif":
            raise UsageError(
                f"{path}: GIF holds 256 colours, which spoils what was cleaned, so it is not written; "
                f"type -o {_typed(path, '.mp4')}, or -o - | ffmpeg -i - {_typed(path)}"
            )
        if format.name == "image2":
            from vidnoise.io.sequence import ENCODERS

            raise UsageError(f"{path}: pictures are written as {', '.join(ENCODERS)}, not {path.suffix}")
        if format.no_file:
            whole = "-hls_playlist_type vod " if format.name == "hls" else ""
            raise UsageError(
                f"{path}: {path.suffix} is a list of many files; type -o {_typed(path, '.mp4')}, and then: "
                f"ffmpeg -i {_typed(path, '.mp4')} -c copy {whole}{_typed(path)}"
            )
        if container.default_video_codec == "none":
            raise UsageError(f"{path}: {path.suffix} is no kind of video; type -o {_typed(path, '.mkv')}")
        if format.name == "rawvideo" and self._target.codec is None:
            raise UsageError(
                f"{path}: {path.suffix} says neither size nor pixel format, so it cannot be read again; "
                f"type -o {_typed(path, '.y4m')}"
            )

    def _add_video(self, container: OutputContainer, choice: Choice) -> Any:
        info, options = self._info, self._options
        name = choice.encoder.name
        if encoders.hangs(name, info.width, info.height):
            raise OutputError(
                f"{name} cannot encode {info.width}x{info.height} pixels, a strip so narrow; --codec h264 can"
            )
        settings = encoders.options_of(choice.encoder, options.crf, options.preset, options.encoder_opts)
        settings = encoders.merge(self._settings(container, choice), settings)
        device = self._encodes_on(choice, settings)
        acceleration = gpu.accelerator(device) if device else None
        stream: Any = container.add_stream(name, rate=self._rate, hwaccel=acceleration)
        context = stream.codec_context
        context.width, context.height = info.width, info.height
        context.pix_fmt = choice.pix_fmt if device is None else _gpu_layout(self._written_as(choice)[0])
        context.thread_count = min(options.threads, encoders.MOST_THREADS.get(name, options.threads))
        context.options = settings
        colour = self._written_as(choice)[1]
        tag(context, colour)
        context.time_base = 1 / self._rate
        stream.time_base = 1 / self._rate if container.format.name in carry.GRIDS else info.time_base
        if choice.codec == "hevc" and container.format.name in carry.QUICKTIME:
            context.codec_tag = "hvc1"  # which Apple's players need, and all others take
        if self._facts.matrix:
            stream.set_display_matrix(self._facts.matrix)
        if self._reader is not None:
            source = self._reader.stream
            context.sample_aspect_ratio = self._reader.sample_shape
            entries = carry.stream_metadata(source, container.format.name, encoded=True)
            stream.metadata.update(self._begun_later(entries))
            self._warn_of_words(source)
            stream.disposition = source.disposition
        return stream

    def _encodes_on(self, choice: Choice, settings: Mapping[str, str]) -> Device | None:
        """The GPU whose memory the encoder takes frames from; None for the CPU's."""
        from vidnoise.io.planes import goes_to_nvenc

        name, size = choice.encoder.name, (self._info.width, self._info.height)
        device = self._reader.gpu if self._reader else None
        format = self._written_as(choice)[0]
        if device is None or not name.endswith("_nvenc") or not goes_to_nvenc(format, *size):
            return None
        works = gpu.encodes_from_gpu(name, _gpu_layout(format), size, settings, device)
        return device if works else None

    def _settings(self, container: OutputContainer, choice: Choice) -> dict[str, str]:
        """What the encoder is told of the source: HDR, chroma location, captions, the order of frames."""
        facts, name = self._facts, choice.encoder.name
        found: dict[str, str] = {}
        location = self._info.colour.chroma_location
        if location:
            found["chroma_sample_location"] = LOCATIONS[location]
        if encoders.has_option(name, "a53cc"):
            found["a53cc"] = "1"
        found = encoders.merge(found, encoders.hdr_options(name, facts.mastering, facts.light))
        if name == "libx265" and self._options.threads:  # FFmpeg tells it of frames alone
            found = encoders.merge(found, {"x265-params": f"pools={self._options.threads}"})
        format = container.format.name
        early = self._reader is None or self._reader.first + self._shift(format) < 6 / self._rate
        if early and format not in FILMS:
            # Decoding times would begin before zero, for which these shift the whole file.
            found["bf"] = "0"
            if choice.codec == "mpeg2video" and format not in carry.PROGRAM:
                found["flags"] = "+low_delay"  # or decoding is a picture early even so, as DVDs have it
        if format == "mxf" and choice.codec in ("h264", "hevc"):
            found["g"] = "100"  # its index counts no further back to a keyframe than 128 pictures
        return found

    def _shift(self, format: str) -> Fraction:
        """What is added to all times for a container, in seconds: nothing where they can be kept."""
        reader = self._reader
        if reader is None:
            return Fraction(0)
        if format in carry.COUNTING:
            return -reader.first
        return max(-reader.packets.zero if format in FILMS else Fraction(0), -reader.first)

    def _written_as(self, choice: Choice) -> tuple[PixelFormat, Colour]:
        """The planar format that frames are made in, and the tags that say so."""
        from vidnoise.io.planes import pixel_format

        format, colour = pixel_format(choice.pix_fmt), self._info.colour
        if choice.codec == "mjpeg":
            colour = replace(colour, range=2)
        source = self._info.format.family
        if format.family == "yuv" and (source == "rgb" or colour.matrix == 0):  # gray PNG says RGB, too
            matrix = colour.resolved(self._info.height, "yuv").matrix
            narrow = source == "rgb" and choice.codec != "mjpeg"
            colour = replace(colour, matrix=matrix, range=1 if narrow else colour.range)
        if format.family == "rgb" and source != "rgb":
            colour = replace(colour, matrix=0, range=2)
        return format, colour if format.family == "rgb" else self._as_told(choice, colour, format.family)

    def _as_told(self, choice: Choice, colour: Colour, family: str) -> Colour:
        """A colour with the matrix and range that the file will say, or be taken for where it cannot say any."""
        name, height = choice.encoder.name, self._info.height
        if name == self._target.codec:
            return colour  # `pipes.losses` says what the next program must be told
        matrix, range = encoders.told(self._muxer, name, choice.pix_fmt, colour.matrix, colour.range)
        meant = colour.resolved(height, family)
        read = replace(colour, matrix=matrix, range=range).resolved(height, family)
        return replace(
            colour,
            matrix=colour.matrix if read.matrix == meant.matrix else read.matrix,
            range=colour.range if read.range == meant.range else read.range,
        )

    def _words(self, choice: Choice) -> str:
        facts, container, label = self._facts, self._container.format.name, self._target.kind
        if choice.why:
            self.warnings.append(choice.why)
        if choice.loss:
            self.warnings.append(f"{choice.encoder.name} takes {choice.pix_fmt} here: {choice.loss}")
        if (facts.mastering or facts.light) and not encoders.hdr_options(
            choice.encoder.name, facts.mastering, facts.light
        ):
            self.warnings.append(
                f"{choice.encoder.name} cannot write the mastering-display and content-light data of this HDR video; "
                "--codec hevc, h264 and av1 can"
            )
        if facts.matrix and container not in FILMS:
            self.warnings.append(f"{label} cannot hold the rotation of this video; .mp4, .mov and .mkv can")
        tags = self._reader.stream.metadata if self._reader else {}
        kept = {VIEWS} if "stereo_mode" in tags and container in ("matroska", "webm") else set()
        self.warnings.extend(
            f"{what} cannot be written here and is left out" for what in facts.others if what not in kept
        )
        shape = self._reader.sample_shape if self._reader else Fraction(1)
        if shape != 1 and container not in TOLD_SHAPE and choice.codec not in OWN_SHAPE:
            ratio = f"{shape.numerator}:{shape.denominator}"
            piped = isinstance(self._target, pipes.StdoutTarget)
            advice = f"tell the next program, as in: -vf setsar={shape}" if piped else ".mp4 and .mov can"
            self.warnings.append(
                f"{label} cannot be told here that {choice.codec} samples are {ratio}, not square; {advice}"
            )
        return f"{choice.encoder.name} {choice.pix_fmt}" + (f" ({choice.why})" if choice.why else "")

    # Everything else

    def _add_others(self, reader: Reader) -> None:
        container = self._container
        format = container.format.name

        def wants(stream: Any) -> bool:
            if stream.type == "video" and stills.is_boxed(reader.container):
                return False  # a still of the animation
            return stream.type != "audio" or self._options.audio == "copy"

        options = self._target.options
        held, lost = carry.plan(reader.container, reader.stream.index, format, reader.lines, wants, options)
        for stream in held:
            if carry.is_cover(stream) and format == "matroska":
                self._attach_cover(reader, stream)
                continue
            if stream.type == "video" and not carry.is_cover(stream):
                self.warnings.append(
                    f"{carry.describe(stream)} is copied as it is; of several, the first is cleaned"
                )
            delays = carry.knows_delay(reader.container.format.name, stream, format)
            copy = carry.add_copy(container, stream)
            self._warn_of_words(stream)
            self._copies[stream.index] = carry.Copy(copy, format, reader.losses, delays, self._offset)
        for stream in lost:
            if can_convert(format, stream):
                self._convert(reader, stream)
                continue
            line = reader.lines.get(stream.index, "")
            self.warnings.append(carry.warning(self._target.kind, format, stream, line))
        self._add_metadata(reader)
        self._add_chapters(reader)

    def _convert(self, reader: Reader, stream: Any) -> None:
        """Text subtitles in the container's own form."""
        text = Conversion(self._container, stream)
        self._texts.append(text)
        self.warnings.append(text.warning(self._target.kind, stream))
        self._warn_of_words(stream)
        format = self._container.format.name
        self._copies[stream.index] = carry.Copy(
            text.stream, format, reader.losses, offset=self._offset, convert=text
        )

    def _warn_of_words(self, stream: Any) -> None:
        """Say what the container cannot say of a stream."""
        self.warnings += carry.words_warning(self._target.kind, self._muxer, stream)
        self.warnings += carry.role_warning(self._target.kind, self._muxer, stream)

    def _attach_cover(self, reader: Reader, stream: Any) -> None:
        """Matroska keeps covers as attachments."""
        data = reader.covers.get(stream.index)
        if data is None:
            self.warnings.append("the cover picture could not be read and is left out")
            return
        png = data.startswith(b"\x89PNG")
        name = stream.metadata.get("filename") or ("cover.png" if png else "cover.jpg")
        mimetype = stream.metadata.get("mimetype") or ("image/png" if png else "image/jpeg")
        self._container.add_attachment(name, mimetype, data)

    def _add_metadata(self, reader: Reader) -> None:
        container = self._container
        entries = self._begun_later(carry.container_metadata(reader.container))
        container.metadata.update(entries)
        if lost := carry.lost_metadata(entries, container.format.name):
            self.warnings.append(
                f"{self._target.kind} cannot hold the metadata {', '.join(lost)}; .mkv and .mp4 can"
            )
        extra = carry.beyond_places(entries, container.format.name)
        if container.format.name not in carry.QUICKTIME or not extra:
            return
        if any(carry.is_cover(copy.stream) for copy in self._copies.values()):
            self.warnings.append(
                f"beside a cover, {self._target.kind} cannot hold the metadata {', '.join(extra)}; .mkv can"
            )
            return
        container.container_options["movflags"] = "+use_metadata_tags"

    def _begun_later(self, entries: dict[str, str]) -> dict[str, str]:
        """Metadata with the time code of the first picture, where `--start` has left out some before it."""
        reader = self._reader
        if reader is None or not reader.part.shift:
            return entries
        begin = (reader.stream.start_time or 0) * reader.info.time_base
        frames = round((reader.first - reader.part.shift - begin) * self._rate)
        codes = {
            key: later(code, frames, self._rate) for key, code in entries.items() if key.lower() == "timecode"
        }
        return entries | codes

    def _add_chapters(self, reader: Reader) -> None:
        chapters = []
        shift = reader.part.shift + self._offset
        for chapter in reader.container.chapters():
            base = chapter["time_base"] or Fraction(1)
            moved = round(shift / base)
            start, end = chapter["start"] + moved, chapter["end"] + moved
            last = end if reader.part.length is None else round(reader.part.length / base)
            if start < last and end > 0:
                kept = chapter.copy()
                kept["start"], kept["end"] = max(0, start), min(end, last)
                chapters.append(kept)
        if chapters and self._muxer not in carry.CHAPTERED:
            self.warnings.append(f"{self._target.kind} cannot hold the chapters; .mkv and .mp4 can")
        elif chapters:
            self._container.set_chapters(chapters)

    def _warn_once(self, text: str) -> None:
        if text not in self.warnings:
            self.warnings.append(text)

    def _with_options(self, choice: Choice) -> str:
        """An encoder with what the user chose for it, for messages."""
        options = self._options
        chosen = {"crf": options.crf, "preset": options.preset, **options.encoder_opts}
        words = ", ".join(f"{name}={value}" for name, value in chosen.items() if value is not None)
        size = f"{self._info.width}x{self._info.height} {choice.pix_fmt}"
        return f"{choice.encoder.name} for {size}" + (f" with {words}" if words else "")

    def _guard(self, work: Callable[[], Any], task: str = "") -> Any:
        """Run a step whose failure is the output's fault; `task` says what it was."""
        import av

        try:
            return work()
        except VidnoiseError:
            raise
        except BrokenPipeError as failure:
            raise pipes.DownstreamError(f"what read {self._target.path} has ended") from failure
        except (av.error.FFmpegError, OSError, ValueError, OverflowError) as failure:
            task = task or f"write {self._target.path}"
            raise OutputError(f"cannot {task}: {reason_and_log(failure)}") from failure


def open_writer(
    target: str | os.PathLike[str],
    reader: Reader | None,
    info: StreamInfo,
    options: OutputOptions | None = None,
) -> Writer | PictureWriter:
    """Start an output file.

    Args:
        target: the final path, whose extension chooses the container; a picture (`clean.png`) or numbered
            ones (`clean/%05d.png`); or `-` for the standard output.
        reader: the input whose other streams, metadata and chapters are copied; None for pictures alone.
        info: size, time base, rate, format and colour of the frames that will be written.

    Raises:
        UsageError: the file exists, is the input, or the options do not fit.
        OutputError: folder, permissions, container or encoder refuse.
    """
    check_path("target", target)
    options = options or OutputOptions()
    target = target if isinstance(target, str) else Path(target)
    if target == "-":
        return _open_stdout(reader, info, options)
    if isinstance(target, str) and "://" in target and not os.path.isdir(os.path.dirname(target)):
        raise UsageError(
            f"{mask_whole(target)}: a file is cleaned into a file; to send it on, type -o - | ffmpeg -re -i - -c copy "
            f"-f FORMAT URL, where FORMAT is rtsp, flv for rtmp:// and mpegts for udp://"
        )
    if options.format is not None:
        raise UsageError(
            f"--format {options.format} is for the standard output, -o -; a file is of the kind that its name says: "
            f"leave it out"
        )
    from vidnoise.io.sequence import open_pictures

    if pictures := open_pictures(target, reader, info, options):
        return pictures
    place = Target(target, reader.source if reader else None, overwrite=options.overwrite)
    try:
        if place.codec is not None:
            pipes.check_y4m(options.pix_fmt or info.format.name)
        writer = Writer(place, reader, info, options)
    except BaseException:
        place.discard()
        raise
    writer.warnings += pipes.losses("y4m", info) if place.codec is not None else []
    return writer


def _open_stdout(reader: Reader | None, info: StreamInfo, options: OutputOptions) -> Writer:
    format = pipes.choose(options.format, options.pix_fmt or info.format.name, reader)
    place = pipes.StdoutTarget(format)
    try:
        writer = Writer(place, reader, info, options)
    except BaseException:
        place.discard()
        raise
    writer.warnings += pipes.losses(format, info)
    return writer


def _typed(path: Path, suffix: str = "") -> str:
    """What to type for a file in a shell; with another suffix, where one is given."""
    return shlex.quote(str(path.with_suffix(suffix or path.suffix)))


def _gpu_layout(format: PixelFormat) -> str:
    """How `planes.to_av` lays out 4:2:0 in a GPU's memory."""
    return "nv12" if format.depth == 8 else "p010le"


def _check_format(name: str) -> None:
    import av

    try:
        av.VideoFormat(name, 16, 16)
    except ValueError as failure:
        raise UsageError(
            f"{name!r} is not a pixel format; yuv420p and yuv420p10le are the most common"
        ) from failure
