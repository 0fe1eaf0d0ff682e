"""What is written, and where: what the user chose, and what all parts of an output file go by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING, get_type_hints

from vidnoise.errors import UsageError
from vidnoise.io import pipes
from vidnoise.io.containers import COUNTING, FILMS, GRIDS
from vidnoise.io.facts import Facts
from vidnoise.io.muxer import Muxer
from vidnoise.io.rates import HIGHEST, grid_rate, written_rate
from vidnoise.io.timecode import later
from vidnoise.options import MOST_THREADS, Option, check

if TYPE_CHECKING:
    from vidnoise.frame import StreamInfo
    from vidnoise.io.reader import Reader
    from vidnoise.io.target import Target


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


@dataclass(frozen=True)
class Output:
    """One output file.

    Attributes:
        target: where it lies.
        reader: the input whose other streams, metadata and chapters are copied; None for pictures alone.
        info: size, time base, rate, format and colour of the frames.
        options: what the user chose.
        muxer: FFmpeg's name of the container.
        rate: frames a second, for the encoder and the header.
        warnings: sentences for the user about what could not be kept.
    """

    target: Target | pipes.StdoutTarget
    reader: Reader | None
    info: StreamInfo
    options: OutputOptions
    muxer: str
    rate: Fraction
    warnings: list[str] = field(default_factory=list)

    @staticmethod
    def of(
        target: Target | pipes.StdoutTarget, reader: Reader | None, info: StreamInfo, options: OutputOptions
    ) -> Output:
        """With the container that the target's name means.

        Raises:
            UsageError: the container cannot hold such a video.
        """
        muxer, rate = Muxer(target, info.time_base).name, written_rate(info)
        if muxer in GRIDS and reader is not None:
            rate = grid_rate(reader.stream, rate)
        if muxer == "avi" and rate > HIGHEST:
            raise UsageError(
                f".avi holds up to {HIGHEST} frames/s, this video has {float(rate):g}; .mkv and .mp4 hold it"
            )
        if muxer == pipes.FORMATS["y4m"]:
            info = replace(info, time_base=1 / rate)
        return Output(target, reader, info, options, muxer, rate)

    @property
    def kind(self) -> str:
        """What messages call the container."""
        return self.target.kind

    @property
    def is_y4m(self) -> bool:
        """Whether it holds raw pictures of one rate and nothing else."""
        return self.muxer == pipes.FORMATS["y4m"]

    @property
    def facts(self) -> Facts:
        """What the input says beside its pictures."""
        if self.reader is None:
            return Facts(chroma_location=self.info.colour.chroma_location)
        return self.reader.facts

    @cached_property
    def offset(self) -> Fraction:
        """What is added to all times, in seconds: nothing where they can be kept."""
        reader = self.reader
        if reader is None:
            return Fraction(0)
        if self.muxer in COUNTING:
            return -reader.first
        return max(-reader.packets.zero if self.muxer in FILMS else Fraction(0), -reader.first)

    def warn(self, text: str) -> None:
        """Tell the user, once."""
        if text not in self.warnings:
            self.warnings.append(text)

    def begun_later(self, entries: dict[str, str]) -> dict[str, str]:
        """Metadata with the time code of the first picture, where `--start` has left out some before it."""
        reader = self.reader
        if reader is None or not reader.part.shift:
            return entries
        begin = (reader.stream.start_time or 0) * reader.info.time_base
        frames = round((reader.first - reader.part.shift - begin) * self.rate)
        codes = {
            key: later(code, frames, self.rate) for key, code in entries.items() if key.lower() == "timecode"
        }
        return entries | codes
