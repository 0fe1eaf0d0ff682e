"""FFmpeg's colour tags of pictures and streams, read and written."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from vidnoise.colour import UNSPECIFIED, Colour


def colour_of(tagged: Any, chroma_location: int = 0) -> Colour:
    """The colour tags of a picture, or a codec's context; full range where the pixel format means it (`yuvj420p`)."""
    full = 2 if tagged.format is not None and tagged.format.name.startswith("yuvj") else 0
    return Colour(
        matrix=int(tagged.colorspace),
        primaries=int(tagged.color_primaries),
        transfer=int(tagged.color_trc),
        range=int(tagged.color_range) or full,
        chroma_location=chroma_location,
    )


def tag(target: Any, colour: Colour) -> None:
    """Say what colours mean: of an encoder's context, and of each picture, as ProRes writes that into every one."""
    target.colorspace, target.color_range = colour.matrix, colour.range
    target.color_primaries, target.color_trc = colour.primaries, colour.transfer


def filled(colour: Colour, told: Colour, family: str) -> Colour:
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
