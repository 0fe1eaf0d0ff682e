"""Cleaned pictures to packets, at once unless asked to look ahead; a keyframe every 2 s and whenever a receiver comes."""

from __future__ import annotations

import io
import logging
import threading
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from vidnoise.errors import OutputError, UsageError
from vidnoise.io import carry, encoder_options, encoders, scheduling
from vidnoise.io.colour_tags import tag
from vidnoise.live import sound
from vidnoise.live.clock import BASE
from vidnoise.live.packets import AUDIO, VIDEO, Packet

if TYPE_CHECKING:
    from vidnoise.frame import Frame, StreamInfo
    from vidnoise.live.settings import Settings

KEYFRAMES = Fraction(2)
"""Seconds between keyframes."""

FAST = {
    "libx264": replace(
        encoders.KNOWN["libx264"], quality=21, speed="veryfast", fixed={"tune": "zerolatency"}
    ),
    "libx265": replace(
        encoders.KNOWN["libx265"],
        quality=24,
        speed="ultrafast",
        fixed={**encoders.KNOWN["libx265"].fixed, "tune": "zerolatency"},
    ),
}
"""How encoders are driven quickly, where the user has not said otherwise."""

REPEAT = {"libx264": "x264-params", "libx265": "x265-params"}
"""The option through which each can be told to repeat its headers, so that a receiver may come at any time."""

PIXELS = "yuv420p"
"""The one pixel format that every receiver shows."""


class LiveEncoder:
    """One encoder for all outputs. `shape` says how wide a sample is for its height.

    Attributes:
        head: what an output has to know of the streams; see `vidnoise.live.mux.Muxer`. There from the first packet.
        name: of the encoder.

    Raises:
        UsageError: no such encoder.
        OutputError: it does not take this size or these options, or is not for cameras.
    """

    def __init__(
        self,
        info: StreamInfo,
        audio: Any,
        settings: Settings,
        log: logging.LoggerAdapter[Any],
        shape: Fraction = Fraction(1),
    ) -> None:
        import av

        self.head = b""
        self._info = info
        self._force = threading.Event()
        self._next_key = Fraction(0)
        self.name = _encoder(settings.codec)
        encoders.quiet()
        self._buffer = io.BytesIO()
        self._container = av.open(self._buffer, "w", format="nut")
        # With chroma at half the size, encoders take even sizes alone: of odd ones a line or column is left out.
        self._width, self._height = info.width // 2 * 2, info.height // 2 * 2
        self._stream = self._add_video(settings, shape)
        self._aac = None if audio is None else self._add_sound(audio, log)
        try:
            with scheduling.ordinary():
                self._container.start_encoding()
        except (av.error.FFmpegError, OSError, ValueError) as failure:
            raise OutputError(
                f"the encoder {self.name} does not take {info.width}x{info.height} {PIXELS}: {failure}"
                + ("" if self.name in FAST else "; leave --codec out, or take h264 or hevc")
            ) from failure

    def _add_video(self, settings: Settings, shape: Fraction) -> Any:
        rate = self._info.rate if self._info.rate and 0 < self._info.rate <= 240 else Fraction(25)
        try:
            stream: Any = self._container.add_stream(self.name, rate=rate.limit_denominator(1001))
        except ValueError as failure:  # NUT has no number for it
            raise OutputError(
                f"{self.name} is not for cameras; leave --codec out, or take h264 or hevc"
            ) from failure
        context = stream.codec_context
        context.width, context.height, context.pix_fmt = self._width, self._height, PIXELS
        context.sample_aspect_ratio = shape
        context.time_base = BASE
        context.max_b_frames = 0  # pictures go out in the order in which they are shown
        context.options = _options(self.name, settings)
        tag(context, self._info.colour)
        return stream

    def _add_sound(self, audio: Any, log: logging.LoggerAdapter[Any]) -> sound.ToAac | None:
        """As it comes, or else what makes AAC of it."""
        if not _survives(audio):
            log.warning("no output can hold the sound as %s; it goes out as AAC", audio.codec_context.name)
            return sound.ToAac(self._container, audio, own=True)
        copy = carry.add_copy(self._container, audio)
        if sound.is_adts(audio.codec_context):
            copy.codec_context.extradata = sound.settings(audio.codec_context)
        return None

    def want_key(self) -> None:
        """Make the next picture a keyframe; from any thread."""
        self._force.set()

    def encode(self, frame: Frame, time: Fraction) -> list[Packet]:
        """The packets that are ready after a picture, shown at `time` seconds.

        Raises:
            OutputError: the encoder refused.
        """
        picture = self._picture(frame)
        picture.pts, picture.time_base = round(time / BASE), BASE
        picture.pict_type = 0
        if time >= self._next_key or self._force.is_set():
            self._force.clear()
            self._next_key = time + KEYFRAMES
            picture.pict_type = 1
        return self._encoded(picture)

    def finish(self) -> list[Packet]:
        """The packets of pictures that the encoder holds, as those that look ahead do.

        Raises:
            OutputError: the encoder refused.
        """
        return self._encoded(None)

    def _encoded(self, picture: Any) -> list[Packet]:
        import av

        try:
            made = self._stream.encode(picture)
        except (av.error.FFmpegError, ValueError) as failure:
            raise OutputError(f"the encoder {self.name} failed: {failure}") from failure
        if made and not self.head:
            self._container.mux(made[0])
            self._container.close()
            self.head = self._buffer.getvalue()
            self._buffer = io.BytesIO()
        return [_packet(packet) for packet in made]

    def pass_sound(self, packet: Packet) -> list[Packet]:
        """A packet of sound as the outputs are told to expect it."""
        import av

        if self._aac is None:
            return [packet]
        given = av.Packet(packet.data)
        given.pts, given.time_base, given.duration = packet.time, packet.base, packet.duration
        return [_packet(made, AUDIO) for made in self._aac.convert(given)]

    def _picture(self, frame: Frame) -> Any:
        from vidnoise.colour import from_rgb
        from vidnoise.io.planes import pixel_format, to_av

        format = pixel_format(PIXELS)
        if not frame.touched and frame.planes is not None and frame.format.name == PIXELS:
            planes = frame.planes
        else:
            planes = from_rgb(frame.image, format, self._info.colour)
        width, height = self._width, self._height
        sizes = ((height, width), *2 * [(height // 2, width // 2)])
        even = tuple(plane[:h, :w].cpu() for plane, (h, w) in zip(planes, sizes, strict=True))
        return to_av(even, format, width, height)


def check(settings: Settings) -> None:
    """See whether there is such an encoder, and whether it takes what is asked of it.

    Raises:
        UsageError: it is not so.
    """
    import av

    name = _encoder(settings.codec)
    options = _options(name, settings)
    if name not in FAST or not settings.encoder_opts:
        return
    try:  # words such as those of `tune` are known to the encoder alone
        encoder_options.attempt(name, options)
    except av.error.FFmpegError as failure:
        typed = " ".join(f"{key}={value}" for key, value in settings.encoder_opts.items())
        raise UsageError(f"--encoder-opt {typed}: {name} does not open with that") from failure


def _packet(packet: Any, stream: int = VIDEO) -> Packet:
    return Packet(
        stream, packet.pts, packet.time_base, packet.duration or 0, packet.is_keyframe, bytes(packet)
    )


def _survives(audio: Any) -> bool:
    """Whether the head can tell the outputs all of a stream of sound: of G.726 it cannot tell the number of bits."""
    import av

    buffer = io.BytesIO()
    try:
        with av.open(buffer, "w", format="nut") as container:
            packet = av.Packet(bytes(64))
            packet.stream, packet.pts, packet.dts = carry.add_copy(container, audio), 0, 0
            container.mux(packet)
        with av.open(io.BytesIO(buffer.getvalue())) as container:
            return bool(container.streams.audio[0].codec_context.layout.channels)
    except (ValueError, OSError, EOFError, IndexError, av.error.FFmpegError):
        return False


def _encoder(codec: str | None) -> str:
    """The encoder for a codec's or encoder's name.

    Raises:
        UsageError: there is none.
    """
    from av.codec import Codec
    from av.codec.codec import UnknownCodecError

    wanted = codec or "h264"
    for name in encoders.BY_CODEC.get(wanted, (wanted,)):
        try:
            found = Codec(name, "w")
        except UnknownCodecError:
            continue
        if found.type == "video":
            return str(found.name)
    raise UsageError(
        f"there is no encoder {wanted!r} here; h264 and hevc are there, and other names that FFmpeg knows"
    )


def _options(name: str, settings: Settings) -> dict[str, str]:
    encoder = FAST.get(name) or encoders.KNOWN.get(name, encoders.Encoder(name))
    chosen = encoder_options.options_of(encoder, settings.crf, settings.preset, settings.encoder_opts)
    if encoder_options.has_option(name, "forced-idr"):
        chosen.setdefault("forced-idr", "1")  # or a picture asked to be a keyframe is none to start from
    if name in REPEAT:
        chosen = encoder_options.merge(
            chosen, {REPEAT[name]: "repeat-headers=1:keyint=infinite:scenecut=0:bframes=0"}
        )
    return chosen
