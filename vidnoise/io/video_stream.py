"""The encoder of an output, opened and told all that it can write of the source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from vidnoise.errors import OutputError
from vidnoise.io import encoder_options, encoders, gpu, pipes, scheduling
from vidnoise.io.candidates import candidates
from vidnoise.io.colour_tags import tag
from vidnoise.io.containers import FILMS, GRIDS, OGG, PROGRAM, QUICKTIME
from vidnoise.io.facts import LOCATIONS, VIEWS
from vidnoise.io.metadata import stream_metadata, stream_warnings
from vidnoise.io.muxer import Muxer
from vidnoise.io.written_colour import written_as

if TYPE_CHECKING:
    import av

    from vidnoise.device import Device
    from vidnoise.io.encoders import Choice
    from vidnoise.io.output import Output

IN_ORDER = {"av1", "vp8", "vp9"}
"""Codecs whose packets come in the order of presentation."""

OWN_SHAPE = {"h264", "hevc", "mpeg4", "mpeg2video", "mpeg1video", "mjpeg", "h263p", "dvvideo"}
"""Codecs that hold the sample aspect ratio themselves."""

TOLD_SHAPE = {*QUICKTIME, *OGG, "asf", "mxf"}
"""Containers that are told it with the codec's parameters; others would have to be told apart, which PyAV cannot."""

HARDWARE = ("nvenc", "qsv", "amf", "v4l2m2m")
"""What the names of encoders that need more than a CPU end with."""


def open_video(output: Output) -> VideoStream:
    """The first encoder that opens; another than the first only where nothing of it was asked for.

    Raises:
        UsageError: what was asked for does not exist, or not in this container.
        OutputError: no encoder opens.
    """
    encoders.quiet()
    options = output.options
    chosen = options.crf is not None or options.preset or options.encoder_opts
    failure: OutputError | None = None
    for choice in candidates(output):
        if failure is not None:
            known = choice.why if options.codec else ""
            choice = replace(choice, why=known or f"{choice.encoder.name} is used, because {failure}")
        try:
            return VideoStream(output, choice)
        except OutputError as refused:
            if chosen and not choice.encoder.name.endswith(HARDWARE):
                raise
            failure = failure or refused
    assert failure is not None
    raise failure


class VideoStream:
    """The video of an output, in a container of its own.

    Attributes:
        muxer: the container.
        choice: the encoder, and the pixel format it is given.
        format: the planar format that frames are made in; `colour` are its tags.
        stream: PyAV's.
        words: the encoder in words, and why it was chosen where it is not the input's own.
    """

    def __init__(self, output: Output, choice: Choice) -> None:
        self._output, self.choice = output, choice
        self.muxer = Muxer(output.target, output.info.time_base)
        self.format, self.colour = written_as(output, choice)
        self.stream: Any = self.muxer.guard(self._added)
        with scheduling.ordinary():
            self.muxer.guard(self.stream.codec_context.open, f"open the encoder {_asked(output, choice)}")
        why = f" ({choice.why})" if choice.why else ""
        self.words = f"{choice.encoder.name} {choice.pix_fmt}{why}"
        for warning in _losses(output, choice):
            output.warn(warning)

    @property
    def reorders(self) -> bool:
        """Whether packets may come in another order than that of presentation."""
        return self.choice.codec not in IN_ORDER

    def encode(self, picture: av.VideoFrame | None) -> list[av.Packet[Any]]:
        """The packets that became ready; None drains the encoder at the end."""
        packets: list[av.Packet[Any]] = self.muxer.guard(lambda: self.stream.encode(picture))
        return packets

    def _added(self) -> Any:
        """The stream, with everything said that is said before its encoder is opened."""
        output, name, info = self._output, self.choice.encoder.name, self._output.info
        if encoders.hangs(name, info.width, info.height):
            raise OutputError(
                f"{name} cannot encode {info.width}x{info.height} pixels, a strip so narrow; --codec h264 can"
            )
        options = output.options
        settings = encoder_options.options_of(
            self.choice.encoder, options.crf, options.preset, options.encoder_opts
        )
        settings = encoder_options.merge(_settings(output, self.choice), settings)
        device = self._device(settings)
        acceleration = gpu.accelerator(device) if device else None
        stream: Any = self.muxer.container.add_stream(name, rate=output.rate, hwaccel=acceleration)
        context = stream.codec_context
        context.width, context.height, context.options = info.width, info.height, settings
        context.pix_fmt = self.choice.pix_fmt if device is None else self._gpu_layout
        most = encoder_options.MOST_THREADS.get(name, options.threads)
        context.thread_count = min(options.threads, most)
        context.time_base = 1 / output.rate
        stream.time_base = 1 / output.rate if output.muxer in GRIDS else info.time_base
        tag(context, self.colour)
        if self.choice.codec == "hevc" and output.muxer in QUICKTIME:
            context.codec_tag = "hvc1"  # which Apple's players need, and all others take
        self._tell_of_source(stream)
        return stream

    def _tell_of_source(self, stream: Any) -> None:
        output, reader = self._output, self._output.reader
        if output.facts.matrix:
            stream.set_display_matrix(output.facts.matrix)
        if reader is None:
            return
        stream.codec_context.sample_aspect_ratio = reader.sample_shape
        entries = stream_metadata(reader.stream, output.muxer, encoded=True)
        stream.metadata.update(output.begun_later(entries))
        stream.disposition = reader.stream.disposition
        for warning in stream_warnings(output.kind, output.muxer, reader.stream):
            output.warn(warning)

    def _device(self, settings: Mapping[str, str]) -> Device | None:
        """The GPU whose memory the encoder takes frames from; None for the CPU's."""
        from vidnoise.io.planes import goes_to_nvenc

        name, size = self.choice.encoder.name, (self._output.info.width, self._output.info.height)
        device = self._output.reader.gpu if self._output.reader else None
        if device is None or not name.endswith("_nvenc") or not goes_to_nvenc(self.format, *size):
            return None
        works = gpu.encodes_from_gpu(name, self._gpu_layout, size, settings, device)
        return device if works else None

    @property
    def _gpu_layout(self) -> str:
        """How `planes.to_av` lays out 4:2:0 in a GPU's memory."""
        return "nv12" if self.format.depth == 8 else "p010le"


def _settings(output: Output, choice: Choice) -> dict[str, str]:
    """What the encoder is told of the source: HDR, chroma location, captions, the order of frames."""
    facts, name, format = output.facts, choice.encoder.name, output.muxer
    found: dict[str, str] = {}
    location = output.info.colour.chroma_location
    if location:
        found["chroma_sample_location"] = LOCATIONS[location]
    if encoder_options.has_option(name, "a53cc"):
        found["a53cc"] = "1"
    found = encoder_options.merge(found, encoder_options.hdr_options(name, facts.mastering, facts.light))
    if name == "libx265" and output.options.threads:  # FFmpeg tells it of frames alone
        found = encoder_options.merge(found, {"x265-params": f"pools={output.options.threads}"})
    early = output.reader is None or output.reader.first + output.offset < 6 / output.rate
    if early and format not in FILMS:
        # Decoding times would begin before zero, for which these shift the whole file.
        found["bf"] = "0"
        if choice.codec == "mpeg2video" and format not in PROGRAM:
            found["flags"] = "+low_delay"  # or decoding is a picture early even so, as DVDs have it
    if format == "mxf" and choice.codec in ("h264", "hevc"):
        found["g"] = "100"  # its index counts no further back to a keyframe than 128 pictures
    return found


def _asked(output: Output, choice: Choice) -> str:
    """An encoder with what the user chose for it, for messages."""
    options = output.options
    chosen = {"crf": options.crf, "preset": options.preset, **options.encoder_opts}
    words = ", ".join(f"{name}={value}" for name, value in chosen.items() if value is not None)
    size = f"{output.info.width}x{output.info.height} {choice.pix_fmt}"
    return f"{choice.encoder.name} for {size}" + (f" with {words}" if words else "")


def _losses(output: Output, choice: Choice) -> Iterator[str]:
    """What the encoder or the container cannot hold of the video, in sentences."""
    facts, name = output.facts, choice.encoder.name
    if choice.why:
        yield choice.why
    if choice.loss:
        yield f"{name} takes {choice.pix_fmt} here: {choice.loss}"
    if (facts.mastering or facts.light) and not encoder_options.hdr_options(
        name, facts.mastering, facts.light
    ):
        yield (
            f"{name} cannot write the mastering-display and content-light data of this HDR video; "
            "--codec hevc, h264 and av1 can"
        )
    if facts.matrix and output.muxer not in FILMS:
        yield f"{output.kind} cannot hold the rotation of this video; .mp4, .mov and .mkv can"
    tags = output.reader.stream.metadata if output.reader else {}
    kept = {VIEWS} if "stereo_mode" in tags and output.muxer in ("matroska", "webm") else set()
    for what in facts.others:
        if what not in kept:
            yield f"{what} cannot be written here and is left out"
    shape = output.reader.sample_shape if output.reader else Fraction(1)
    if shape != 1 and output.muxer not in TOLD_SHAPE and choice.codec not in OWN_SHAPE:
        ratio = f"{shape.numerator}:{shape.denominator}"
        piped = isinstance(output.target, pipes.StdoutTarget)
        advice = f"tell the next program, as in: -vf setsar={shape}" if piped else ".mp4 and .mov can"
        yield f"{output.kind} cannot be told here that {choice.codec} samples are {ratio}, not square; {advice}"
