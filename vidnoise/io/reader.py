"""Files in: pictures for the filters, packets of every other stream for the writer."""

from __future__ import annotations

import gc
import os
import re
import shlex
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidnoise.errors import InputError
from vidnoise.frame import Frame, StreamInfo
from vidnoise.io import pipes, stills
from vidnoise.io.colour_tags import colour_of, filled
from vidnoise.io.cut_off import UNCOUNTED
from vidnoise.io.decode import Decoder, Tail, decoder_for, hides_alpha, layout_of
from vidnoise.io.facts import facts_of
from vidnoise.io.interlace import InterlaceGate
from vidnoise.io.part import MICRO, begin_of
from vidnoise.io.picture_tags import read_tags
from vidnoise.io.picture_times import PictureTimes
from vidnoise.io.rates import mean_rate
from vidnoise.io.shape import Conformer, ShapeWatch

if TYPE_CHECKING:
    import av

    from vidnoise.colour import Colour, Planes
    from vidnoise.device import Device
    from vidnoise.io.demux import Demuxer, Sink

PRIME_BYTES = 256 << 20
"""How much of the input is searched for a first picture before it is given up."""


@dataclass(frozen=True)
class Decoding:
    """How pictures are decoded, as `open_reader` is told it."""

    threads: int = 0
    deinterlace: bool = False
    assume_progressive: bool = False
    device: Device | None = None


class Reader:
    """One opened input: iterate it for its frames, once.

    Packets of all other streams go to whoever called `attach`, from the thread that iterates; without one
    they are dropped.

    Attributes:
        source: the path or URL.
        info: size, time base, rate, format and colour of the video.
        packets: the input that is read; `container`, `stream`, `lines`, `part`, `covers`, `losses` and `warnings` are its.
        decoder: which decoder works, and why not another.
        gpu: the device that NVDEC decodes on, None for decoding on the CPU.
        pix_fmt: FFmpeg's name of the decoder's pixel format, of which `info.format` is the planar equivalent.
        facts: HDR and rotation of the first picture.
        first: when the first frame is shown, in seconds.
    """

    def __init__(self, packets: Demuxer, how: Decoding) -> None:
        self.packets, self.source, self.part = packets, packets.source, packets.part
        self.container, self.stream, self.lines = packets.container, packets.stream, packets.lines
        self.losses, self.warnings, self.covers = packets.losses, packets.warnings, packets.covers
        told = colour_of(self.stream.codec_context)
        self._open_decoder(how)
        # Warnings tell times as --start counts them.
        self._begun = self.part.shift + self.begin
        self._conform = Conformer(self.warnings, begun=self._begun)
        self._gate = InterlaceGate(
            field_order=self._context.field_order,
            deinterlace=how.deinterlace,
            assume_progressive=how.assume_progressive,
            warn=self.warnings.append,
            name=self.source,
            threads=how.threads,
            begun=self._begun,
        )
        self._times = PictureTimes(packets, self._decoder)
        self._ended = False
        self.warnings += self._left_out()
        self._warn_if_endless()
        picture = self._prime()
        self._learn(picture, told)

    def _open_decoder(self, how: Decoding) -> None:
        """The decoder for the CPU, or NVDEC."""
        self._context: Any = decoder_for(self.stream, how.threads)
        shape = self.stream.sample_aspect_ratio
        self._shape = ShapeWatch(shape, self._context.sample_aspect_ratio, self.warnings.append)
        self._incoming = iter(self.packets)
        self.gpu: Device | None = None
        self.decoder = f"{self._context.codec.name} on the CPU"
        threaded = self._context.codec.reorder and how.threads != 1
        self._decoder = Decoder(self._context, self.losses, Tail(self._context) if threaded else None)
        if how.device is not None and how.device.is_cuda:
            self._try_gpu(how.device, how.deinterlace)

    def attach(self, sink: Sink) -> None:
        """Hand every packet of the other streams to `sink`, those already read at once."""
        self.packets.attach(sink)

    def __iter__(self) -> Iterator[Frame]:
        from vidnoise.io.planes import planes_of

        self.packets.drop_others()
        for picture in self._pictures():
            planes = planes_of(picture)[0]
            if self._loose:
                planes = _within(planes, self.info.format.peak)
            pts = picture.pts or 0
            cut = pts in self.packets.cuts
            self.packets.cuts.discard(pts)
            yield Frame(
                pts=pts,
                time_base=self._times.time_base,
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
        end: int = (stream.start_time or 0) + stream.duration + self.part.shift // self._times.time_base
        return max(0, min(duration, end - (picture.pts or 0)))

    @property
    def of_pictures(self) -> bool:
        """Whether the input is picture files, which have no video codec that an output could keep."""
        return self.packets.of_pictures

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

    def _warn_if_endless(self) -> None:
        endless = self.container.format.name in ("hls", "mpjpeg") and self.container.duration is None
        if self.part.length is None and endless:
            self.warnings.append(
                f"{self.source} goes on as its sender does; --live cleans it as a camera, --duration takes a part of it"
            )

    @property
    def sample_shape(self) -> Fraction:
        """How wide a sample is for its height."""
        return self._shape.sample

    @property
    def begin(self) -> Fraction:
        """The time of the input from which `start` counts, in seconds."""
        return begin_of(self.container)

    @property
    def seconds(self) -> float | None:
        """How long the video is, as far as the header says."""
        if self.stream.duration:
            return float(self.stream.duration * self._times.time_base)
        return self.container.duration / 1_000_000 if self.container.duration else None

    def close(self) -> None:
        """Release the file and end the iteration. Frames already handed out stay valid."""
        self._ended = True
        self._ready.clear()
        pipes.close(self.container)

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
            packet = next(self._incoming, None)
            self._ended = packet is None
            self._ready.extend(self._decode(packet))

    def _try_gpu(self, device: Device, deinterlace: bool) -> None:
        """Decode with NVDEC if it can; the packets of the trial are decoded again."""
        from vidnoise.io.gpu import Trial

        if deinterlace or hides_alpha(self.stream):
            why = "bwdif makes whole pictures there" if deinterlace else "NVDEC would drop its alpha"
            self.decoder += f", because {why}"
            return
        trial = Trial(self.stream, device, self._incoming)
        self._incoming = chain(trial.packets, self._incoming)
        if trial.context is None:
            self.decoder = f"{self.decoder}, because {trial.why}"
            return
        self.gpu = device
        self.decoder = f"NVDEC ({trial.context.codec.canonical_name})"
        self._decoder = Decoder(trial.context, self.losses)

    def _prime(self) -> av.VideoFrame:
        """Read until there is a picture: only a picture tells format, colour and side data for certain."""
        self._ready: deque[av.VideoFrame] = deque()
        read = 0
        for packet in self._incoming:
            read += packet.size
            self._ready += self._decode(packet)
            if self._ready:
                return self._ready[0]
            if read > PRIME_BYTES and not self._gate.holding:
                break
        self._ended = True
        self._ready += self._decode(None)
        if not self._ready:
            raise self._no_picture()
        return self._ready[0]

    def _no_picture(self) -> InputError:
        if not self.part.is_whole:
            found = f"; the video is {self.seconds:.2f} s long" if self.seconds else ""
            return InputError(
                f"{self.source}: no frame lies in the part chosen by --start and --duration{found}"
            )
        codec = self.stream.codec_context.name
        found = f": {self.losses}" if self.losses else ""
        hint = pipes.hint(self.container.name, self.container.format.name)
        return InputError(f"{self.source}: no frame of its {codec} video could be decoded{found}{hint}")

    def _decode(self, packet: av.Packet[Any] | None) -> list[av.VideoFrame]:
        ready: list[av.VideoFrame] = []
        if self.packets.torn:
            self.packets.torn = False
            self._decoder.lost()
        for frame in self._times.shown(self._decoder.decode(packet), ended=packet is None):
            self._check(frame)
            frame = self._conform(frame)
            if self._times.follows_gap(frame) or self._conform.changed:
                self.packets.cuts.add(frame.pts or 0)
            ready += self._gate.push(frame)
        return ready if packet is not None else ready + self._gate.flush()

    def _check(self, frame: av.VideoFrame) -> None:
        """Look at a decoded picture before it is conformed to the first."""
        time = float((frame.pts or 0) * self._times.time_base - self._begun)
        self._shape.see(frame, self._decoder.sample_shape, time)

    def _learn(self, picture: av.VideoFrame, told: Colour) -> None:
        """What the first picture and the header say; `told` is the container's word on colours."""
        from vidnoise.io.planes import pixel_format

        layout, codec = layout_of(picture), self._context.codec.name
        if codec == "exr" and re.search("f16|f32", layout):
            raise InputError(_of_light(self.source, self.packets.first_number))
        format = pixel_format(layout)
        self.first: Fraction = (picture.pts or 0) * self._times.time_base
        self.pix_fmt = format.name if self.gpu else layout
        # PyAV 18.1 crashes on side data of a PNG with a colour profile: it frees the profile's name twice.
        self._carries = not self.gpu and not self.of_pictures and codec not in ("png", "apng")
        self.facts = facts_of(
            picture if self._carries or self.gpu else None, self.lines.get(self.stream.index, "")
        )
        if self.of_pictures:
            self.facts = replace(self.facts, matrix=read_tags(self.first_file).matrix)
        self.info = StreamInfo(
            width=picture.width,
            height=picture.height,
            time_base=self._times.time_base,
            rate=mean_rate(self.stream),
            frames=self._count(),
            format=replace(format, name=format.name.replace("yuvj", "yuv")),
            colour=filled(colour_of(picture, self.facts.chroma_location), told, format.family),
        )
        self._loose = codec == "rawvideo" and 8 < format.depth < 16

    def _count(self) -> int | None:
        """How many frames there are to come, as far as the header says."""
        stream, part, rate = self.stream, self.part, mean_rate(self.stream)
        if part.is_whole and 0 < stream.frames < UNCOUNTED:
            return int(stream.frames)
        told, tick = (
            (stream.duration, stream.time_base) if stream.duration else (self.container.duration, MICRO)
        )
        if not rate or not told or stream.frames >= UNCOUNTED:
            return None
        last = self.begin + told * tick
        return max(0, round(float((min(last, part.end or last) - (-part.shift or self.begin)) * rate)))


def _within(planes: Planes, peak: int) -> Planes:
    """Samples of raw video that are larger than its depth allows, brought down; encoders may abort on them."""
    import numpy as np
    import torch

    return tuple(
        plane if int(plane.numpy().max()) <= peak else torch.from_numpy(np.minimum(plane.numpy(), peak))
        for plane in planes
    )


def _of_light(source: str, number: int) -> str:
    """What to type for EXR, whose samples are amounts of light: encoded as screens show them."""
    name = re.sub(r"[\W_]*%\d*d", "", os.path.splitext(source)[0]) or "out"
    begin = f"-start_number {number} " if number > 4 else ""  # up to there FFmpeg looks for it itself
    return (
        f"{source} holds light in floating point, which is not read here; type: ffmpeg -apply_trc iec61966_2_1 "
        f"{begin}-i {shlex.quote(source)} -pix_fmt gbrp16le -c:v ffv1 {shlex.quote(name + '.mkv')}"
    )


if hasattr(os, "register_at_fork"):
    # Decoders and encoders that await collection would be freed there, and wait for threads that a copy does not have.
    os.register_at_fork(after_in_child=gc.freeze)
