"""Files out: the cleaned pictures encoded, everything else of the input copied."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidnoise.errors import OutputError, UsageError
from vidnoise.frame import Frame, StreamInfo
from vidnoise.io import carry, pipes
from vidnoise.io.encoders import BY_CODEC, KNOWN, QSCALE, Encoder
from vidnoise.io.reader import Reader
from vidnoise.io.target import Target
from vidnoise.io.timeline import Timeline

if TYPE_CHECKING:
    import av
    from av.container import OutputContainer
    from av.stream import Stream

    from vidnoise.colour import PixelFormat, Planes


@dataclass(frozen=True)
class OutputOptions:
    """What the user chose for the output; every default means "as the input".

    `codec` is a codec (`h264`) or an encoder (`libx264`, `h264_nvenc`). `crf` is the encoder's own quality scale, lower
    is better. `preset` is the encoder's own speed setting. `encoder_opts` go to the encoder as they are.
    `format` is that of the standard output: `nut` or `y4m`.
    """

    codec: str | None = None
    crf: float | None = None
    preset: str | None = None
    pix_fmt: str | None = None
    encoder_opts: Mapping[str, str] = field(default_factory=dict)
    threads: int = 0
    audio: str = "copy"
    overwrite: bool = False
    format: str | None = None


class Writer:
    """One output file. `write` may be called from another thread than the one that iterates the reader.

    Attributes:
        warnings: sentences for the user about what could not be kept.
        encoder: the encoder in words, and why it was chosen where it is not the input's own.
    """

    def __init__(
        self, target: Target | pipes.StdoutTarget, reader: Reader | None, info: StreamInfo, options: OutputOptions
    ) -> None:
        self.warnings: list[str] = []
        self._target = target
        self._info = info
        self._lock = threading.Lock()
        self._copies: dict[int, Stream] = {}
        self._rate = _rate(info)
        self._clock = None
        if target.format == pipes.FORMATS["y4m"]:
            self._clock = pipes.SteadyClock(self._rate, self.warnings.append)
            self._info = info = replace(info, time_base=1 / self._rate)
        self._container = _open_container(target)
        self._stream, self.encoder = self._add_video(reader, options)
        if reader is not None:
            self._add_copies(reader, options)
            self._container.metadata.update(reader.container.metadata)
        self._timeline = Timeline(info.time_base, round(1 / (self._rate * info.time_base)))
        self._guard(self._container.start_encoding)
        if reader is not None:
            reader.attach(self._copy)

    def write(self, frame: Frame) -> None:
        """Encode one frame; untouched ones give the encoder the source's own samples.

        Raises:
            OutputError: the encoder or the disk refused.
        """
        picture = self._picture(frame)
        ticks = frame.pts if frame.time_base == self._info.time_base else None
        if self._clock is not None:
            ticks = self._clock.tick(frame)
        elif ticks is None:
            ticks = round((frame.pts or 0) * frame.time_base / self._info.time_base)
        picture.pts = self._timeline.add(ticks, frame.duration)
        picture.time_base = 1 / self._rate
        self._encode(picture)

    def finish(self) -> None:
        """Write what the encoder still holds, close the file and give it its final name.

        Raises:
            OutputError: the encoder or the disk refused; the temporary file is removed.
        """
        self._encode(None)
        self._guard(self._container.close)
        self._target.commit()

    def abort(self) -> None:
        """Stop writing and remove the temporary file; safe to call at any time, also after `finish`."""
        import av

        with self._lock:
            try:
                self._container.close()
            except (av.error.FFmpegError, OSError):
                pass
            self._target.discard()

    def _encode(self, picture: av.VideoFrame | None) -> None:
        def work() -> None:
            for packet in self._stream.encode(picture):
                self._timeline.stamp(packet)
                with self._lock:
                    self._container.mux(packet)

        self._guard(work)

    def _copy(self, packet: av.Packet) -> None:
        copy = self._copies.get(packet.stream_index)
        if copy is None or packet.is_discard:
            return
        packet.stream = copy
        with self._lock:
            self._guard(lambda: self._container.mux(packet))

    def _picture(self, frame: Frame) -> av.VideoFrame:
        from vidnoise.io.planes import pixel_format, to_av

        wanted = self._stream.codec_context.pix_fmt
        format = pixel_format(wanted)
        picture = to_av(self._planes(frame, format), format, frame.width, frame.height)
        if picture.format.name != wanted:
            picture = picture.reformat(format=wanted)
        return picture

    def _planes(self, frame: Frame, format: PixelFormat) -> Planes:
        if not frame.touched and frame.format == format and frame.planes is not None:
            return tuple(plane.cpu() for plane in frame.planes)
        from vidnoise.colour import from_rgb

        return tuple(plane.cpu() for plane in from_rgb(frame.image, format, frame.colour))

    def _add_video(self, reader: Reader | None, options: OutputOptions) -> tuple[Any, str]:
        info = self._info
        codec = options.codec or self._target.codec or (reader.stream.codec_context.codec.canonical_name if reader else "h264")
        name = BY_CODEC.get(codec, (codec,))[0]
        encoder = KNOWN.get(name, Encoder(name))
        stream: Any = self._container.add_stream(name, rate=self._rate)
        context = stream.codec_context
        context.width, context.height = info.width, info.height
        context.pix_fmt = options.pix_fmt or info.format.name
        context.thread_count = options.threads
        context.options = _options(encoder, options)
        colour = info.colour
        context.colorspace, context.color_range = colour.matrix, colour.range
        context.color_primaries, context.color_trc = colour.primaries, colour.transfer
        context.time_base = 1 / self._rate
        stream.time_base = info.time_base
        if reader is not None:
            context.sample_aspect_ratio = reader.stream.sample_aspect_ratio or Fraction(1)
            stream.metadata.update(reader.stream.metadata)
            stream.disposition = reader.stream.disposition
        return stream, name

    def _add_copies(self, reader: Reader, options: OutputOptions) -> None:
        format = self._container.format.name
        for stream in reader.container.streams:
            if stream.index == reader.stream.index:
                continue
            if stream.type == "audio" and options.audio == "none":
                continue
            if carry.can_hold(format, stream):
                self._copies[stream.index] = carry.add_copy(self._container, stream)
            else:
                self.warnings.append(carry.warning(stream, format))

    def _guard(self, work: Any) -> None:
        """Run a step whose failure is the output's fault."""
        import av

        try:
            work()
        except BrokenPipeError as failure:
            raise pipes.DownstreamError(f"what read {self._target.path} has ended") from failure
        except (av.error.FFmpegError, OSError, ValueError) as failure:
            raise OutputError(f"cannot write {self._target.path}: {_reason(failure)}") from failure


def open_writer(
    target: str | Path, reader: Reader | None, info: StreamInfo, options: OutputOptions | None = None
) -> Writer:
    """Start an output file.

    Args:
        target: the final path, whose extension chooses the container, or `-` for the standard output.
        reader: the input whose other streams, metadata and chapters are copied; None for pictures alone.
        info: size, time base, rate, format and colour of the frames that will be written.

    Raises:
        UsageError: the file exists, is the input, or the options do not fit.
        OutputError: folder, permissions, container or encoder refuse.
    """
    options = options or OutputOptions()
    if target == "-":
        return _open_stdout(reader, info, options)
    place = Target(target, reader.source if reader else None, overwrite=options.overwrite)
    try:
        return Writer(place, reader, info, options)
    except BaseException:
        place.discard()
        raise


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


def _open_container(target: Target | pipes.StdoutTarget) -> OutputContainer:
    import av

    try:
        return av.open(str(target.temporary), "w", format=target.format, options=target.options)
    except ValueError as failure:
        suffix = target.path.suffix or "without an extension"
        raise OutputError(
            f"{target.path}: no container is known for {suffix!r}; use .mp4, .mkv, .mov, .webm or .ts"
        ) from failure


def _options(encoder: Encoder, options: OutputOptions) -> dict[str, str]:
    chosen = dict(encoder.fixed)
    quality = encoder.quality if options.crf is None else options.crf
    if encoder.crf == QSCALE:
        chosen |= {"qmin": f"{quality:g}", "qmax": f"{quality:g}"}
    elif encoder.crf:
        chosen[encoder.crf] = f"{quality:g}"
    elif options.crf is not None:
        raise UsageError(f"--crf does not apply to {encoder.name}")
    if encoder.preset:
        chosen[encoder.preset] = options.preset or encoder.speed
    elif options.preset:
        raise UsageError(f"--preset does not apply to {encoder.name}")
    return chosen | dict(options.encoder_opts)


def _rate(info: StreamInfo) -> Fraction:
    rate = info.rate or Fraction(25)
    return rate.limit_denominator(1001) if rate > 0 else Fraction(25)


def _reason(failure: BaseException) -> str:
    return str(getattr(failure, "strerror", "") or failure)
