"""What the user chose for the output."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import get_type_hints

from vidnoise.errors import UsageError
from vidnoise.options import MOST_THREADS, Option, check


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
