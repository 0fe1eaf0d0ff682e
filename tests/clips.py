"""Small clips rendered in code, and what can be read back of them.

Every picture carries its number as black and white blocks along the top, so that a test can tell which frame
it sees after any codec; a square moves over a gradient below it. Clips can flash and beep once a second, and
carry subtitles, chapters, a cover, a font and whatever else a container holds.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

BITS = 10
"""Blocks along the top: frame numbers run up to 1023."""

AUDIO_RATE = 48000
MILLI = Fraction(1, 1000)


def picture(number: int, width: int = 96, height: int = 64, *, flash: bool = False) -> NDArray[np.uint8]:
    """Frame `number` of the moving pattern as (H,W,3) RGB; a flash is white below the number."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    ramp = 40 + 120 * (x + 2 * number) / (width + 2 * number + 1)
    image = np.stack([ramp, 60 + 120 * y / height, 200 - ramp], axis=2)
    top, left = height // 3 + number % (height // 4), (5 * number) % (width - width // 5)
    image[top : top + height // 4, left : left + width // 5] = (220, 200, 30)
    if flash:
        image[:] = 255
    block = width // BITS
    for bit in range(BITS):
        image[: height // 6, bit * block : (bit + 1) * block] = 255 if number >> bit & 1 else 0
    return image.astype(np.uint8)


def number_of(frame: av.VideoFrame | NDArray[Any]) -> int:
    """The number burnt into a picture: a PyAV frame, or its luma or gray plane (H,W) in 8 bit."""
    luma = frame.to_ndarray(format="gray") if isinstance(frame, av.VideoFrame) else frame
    height, width = luma.shape
    block, line = width // BITS, luma[height // 24 : height // 8].astype(float)
    return sum(int(line[:, b * block + 1 : (b + 1) * block - 1].mean() > 128) << b for b in range(BITS))


@dataclass(frozen=True)
class Extra:
    """A stream of ready-made packets: (seconds, duration in seconds, data) each."""

    codec: str
    packets: Sequence[tuple[float, float, bytes]]
    metadata: dict[str, str] = field(default_factory=dict)
    disposition: int = 0
    size: tuple[int, int] | None = None


def subtitles(container: str = "mkv", language: str = "deu") -> Extra:
    """Three lines of text, one every 0.15 s."""
    lines = [f"line {i}".encode() for i in range(3)]
    if container in ("mp4", "mov"):
        lines = [len(line).to_bytes(2, "big") + line for line in lines]
    codec = "mov_text" if container in ("mp4", "mov") else "subrip"
    packets = [(0.15 * i, 0.1, line) for i, line in enumerate(lines)]
    return Extra(codec, packets, {"language": language, "title": "Worte"})


def cover(width: int = 32, height: int = 32) -> bytes:
    """A small JPEG."""
    return image_bytes("mjpeg", picture(5, width, height), "yuvj420p")


def image_bytes(codec: str, rgb: NDArray[np.uint8], pix_fmt: str) -> bytes:
    """One still picture, encoded."""
    context = av.CodecContext.create(codec, "w")
    context.width, context.height, context.pix_fmt = rgb.shape[1], rgb.shape[0], pix_fmt
    context.time_base = Fraction(1, 25)
    frame = av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format=pix_fmt)
    return b"".join(bytes(packet) for packet in [*context.encode(frame), *context.encode(None)])


def beeps(seconds: float, start: float = 0.0) -> NDArray[np.int16]:
    """Silence with a beep of 40 ms at 1 kHz at every full second of the stream's clock, int16 (1,N)."""
    t = start + np.arange(int(seconds * AUDIO_RATE)) / AUDIO_RATE
    tone = np.where(t % 1.0 < 0.04, np.sin(2 * np.pi * 1000 * t), 0)
    return (tone * 20000).astype(np.int16)[None]


@dataclass(frozen=True)
class Clip:
    """A clip to be made; `save` writes it. Times are seconds.

    `times` are those of the frames (default: `start` and then one every 1/`rate`), rounded to `time_base`.
    `prepare` gets the video stream before the header is written, `retouch` every frame before it is encoded.
    """

    frames: int = 12
    size: tuple[int, int] = (96, 64)
    rate: Fraction | int = 25
    codec: str = "libx264"
    pix_fmt: str = "yuv420p"
    options: dict[str, str] = field(default_factory=lambda: {"crf": "4", "preset": "veryfast"})
    container_options: dict[str, str] = field(default_factory=dict)
    time_base: Fraction = Fraction(1, 90000)
    start: Fraction | float = 0
    times: Sequence[Fraction] | None = None
    flashes: bool = False
    audio: str | None = None
    audio_start: float | None = None
    extras: Sequence[Extra] = ()
    attachments: Sequence[tuple[str, str, bytes]] = ()
    chapters: Sequence[tuple[float, float, str]] = ()
    metadata: dict[str, str] = field(default_factory=dict)
    video_metadata: dict[str, str] = field(default_factory=dict)
    format: str | None = None
    prepare: Callable[[Any], None] | None = None
    retouch: Callable[[int, av.VideoFrame], av.VideoFrame] | None = None
    draw: Callable[[int], NDArray[np.uint8]] | None = None

    def moments(self) -> list[Fraction]:
        """When each frame is shown, in exact ticks of `time_base`."""
        step = 1 / Fraction(self.rate)
        times = self.times or [Fraction(self.start) + i * step for i in range(self.frames)]
        return [round(time / self.time_base) * self.time_base for time in times]

    def save(self, path: str | Path | io.BytesIO) -> Path:
        """Encode and write the clip; gives the path back."""
        where = path if isinstance(path, io.BytesIO) else str(path)
        with av.open(where, "w", format=self.format, container_options=self.container_options) as container:
            self._fill(container)
        return Path(str(path))

    def _fill(self, container: Any) -> None:
        video = self._video(container)
        audio = container.add_stream(self.audio, rate=AUDIO_RATE, layout="mono") if self.audio else None
        extras = [(self._extra(container, extra), extra) for extra in self.extras]
        for name, mimetype, data in self.attachments:
            container.add_attachment(name, mimetype, data)
        container.metadata.update(self.metadata)
        if self.chapters:
            container.set_chapters(list(self._chapter_entries()))
        container.start_encoding()
        for stream, extra in extras:
            for packet in _packets(stream, extra):
                container.mux(packet)
        if audio is not None:
            self._write_audio(container, audio)
        for packet in self._encoded(video):
            container.mux(packet)

    def _video(self, container: Any) -> Any:
        stream = container.add_stream(self.codec, rate=Fraction(self.rate), options=dict(self.options))
        stream.width, stream.height = self.size
        stream.pix_fmt = self.pix_fmt
        stream.codec_context.time_base = 1 / Fraction(self.rate)
        stream.time_base = 1 / Fraction(self.rate) if container.format.name == "avi" else self.time_base
        stream.metadata.update(self.video_metadata)
        if self.prepare:
            self.prepare(stream)
        return stream

    def _encoded(self, stream: Any) -> Iterator[av.Packet]:
        """The encoder counts frames; the true times are put on its packets, so any codec can do any times."""
        times = [round(time / self.time_base) for time in self.moments()]
        step = max(1, round(1 / (Fraction(self.rate) * self.time_base)))
        for number in [*range(len(times)), None]:
            for packet in stream.encode(None if number is None else self.frame(number)):
                # x265 leaves the field unset where a clip is shorter than its delay.
                known = packet.dts is not None and -64 <= packet.dts <= packet.pts
                order = packet.dts if known else packet.pts
                packet.pts = times[packet.pts]
                packet.dts = times[order] if order >= 0 else times[0] + order * step
                packet.time_base, packet.duration = self.time_base, step
                yield packet

    def frame(self, number: int) -> av.VideoFrame:
        """Frame `number` as it is given to the encoder."""
        flash = self.flashes and self.moments()[number] % 1 < 1 / Fraction(self.rate) / 2
        rgb = self.draw(number) if self.draw else picture(number, *self.size, flash=flash)
        frame = av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format=self.pix_fmt)
        if self.retouch:
            frame = self.retouch(number, frame)
        frame.pts, frame.time_base = number, 1 / Fraction(self.rate)
        return frame

    def _write_audio(self, container: Any, stream: Any) -> None:
        start = float(self.moments()[0]) if self.audio_start is None else self.audio_start
        seconds = float(self.moments()[-1]) + float(1 / Fraction(self.rate)) - start
        samples = av.AudioFrame.from_ndarray(beeps(seconds, start), format="s16", layout="mono")
        samples.sample_rate, samples.time_base = AUDIO_RATE, Fraction(1, AUDIO_RATE)
        samples.pts = round(start * AUDIO_RATE)
        for frame in (samples, None):
            for packet in stream.encode(frame):
                container.mux(packet)

    def _extra(self, container: Any, extra: Extra) -> Any:
        size = {} if extra.size is None else {"width": extra.size[0], "height": extra.size[1]}
        stream = container.add_mux_stream(extra.codec, time_base=MILLI, **size)
        stream.metadata.update(extra.metadata)
        if extra.disposition:
            stream.disposition = extra.disposition
        return stream

    def _chapter_entries(self) -> Iterator[dict[str, Any]]:
        for index, (start, end, title) in enumerate(self.chapters):
            times = {"start": round(start * 1000), "end": round(end * 1000), "time_base": MILLI}
            yield {"id": index, **times, "metadata": {"title": title}}


def _packets(stream: Any, extra: Extra) -> Iterator[av.Packet]:
    for seconds, duration, data in extra.packets:
        packet = av.Packet(data)
        packet.stream, packet.time_base = stream, MILLI
        packet.pts = packet.dts = round(seconds * 1000)
        packet.duration = round(duration * 1000)
        packet.is_keyframe = True
        yield packet


def decoded(path: str | Path) -> list[av.VideoFrame]:
    """All pictures of the first video stream."""
    with av.open(str(path)) as container:
        return list(container.decode(video=0))


def times(path: str | Path) -> list[Fraction]:
    """The presentation times of the first video stream's pictures, in seconds."""
    with av.open(str(path)) as container:
        base = container.streams.video[0].time_base
        assert base is not None
        return [frame.pts * base for frame in container.decode(video=0)]


def tick(path: str | Path) -> Fraction:
    """The time base of the first video stream."""
    with av.open(str(path)) as container:
        base = container.streams.video[0].time_base
        assert base is not None
        return base


def packets(path: str | Path, index: int) -> list[tuple[Fraction, bytes]]:
    """Time in seconds and bytes of every packet of one stream, those that edit lists cut away left out."""
    with av.open(str(path)) as container:
        found = container.demux(container.streams[index])
        return [(p.pts * p.time_base, bytes(p)) for p in found if p.size and not p.is_discard]


def sound(path: str | Path) -> tuple[Fraction, NDArray[np.float64]]:
    """When the first sample of the first audio stream is heard, in seconds, and its first channel."""
    with av.open(str(path)) as container:
        frames = list(container.decode(audio=0))
        first = frames[0]
        data = np.concatenate([np.atleast_2d(f.to_ndarray())[0].astype(float) for f in frames])
        return first.pts * first.time_base, data


def flash_times(path: str | Path) -> list[Fraction]:
    """The times of white pictures."""
    with av.open(str(path)) as container:
        base = container.streams.video[0].time_base
        frames = [(f.pts * base, f.to_ndarray(format="gray")) for f in container.decode(video=0)]
    return [time for time, gray in frames if gray[gray.shape[0] // 4 :].mean() > 200]


def beep_times(path: str | Path) -> list[float]:
    """The times at which beeps begin."""
    start, samples = sound(path)
    loud = np.flatnonzero(np.abs(samples) > 0.3 * np.abs(samples).max())
    begins = loud[np.flatnonzero(np.diff(loud, prepend=-AUDIO_RATE) > AUDIO_RATE // 10)]
    return [float(start) + index / AUDIO_RATE for index in begins]
