"""The format and the colours that frames are written in, so that what reads the file takes them for what they are."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from vidnoise.io import read_back

if TYPE_CHECKING:
    from vidnoise.colour import Colour, PixelFormat
    from vidnoise.io.encoders import Choice
    from vidnoise.io.output import Output


def written_as(output: Output, choice: Choice) -> tuple[PixelFormat, Colour]:
    """The planar format that frames are made in, and the tags that say so."""
    from vidnoise.io.planes import pixel_format

    format, colour = pixel_format(choice.pix_fmt), output.info.colour
    if choice.codec == "mjpeg":
        colour = replace(colour, range=2)
    source = output.info.format.family
    if format.family == "yuv" and (source == "rgb" or colour.matrix == 0):  # gray PNG says RGB, too
        matrix = colour.resolved(output.info.height, "yuv").matrix
        narrow = source == "rgb" and choice.codec != "mjpeg"
        colour = replace(colour, matrix=matrix, range=1 if narrow else colour.range)
    if format.family == "rgb":
        return format, colour if source == "rgb" else replace(colour, matrix=0, range=2)
    return format, _as_told(output, choice, colour, format.family)


def _as_told(output: Output, choice: Choice, colour: Colour, family: str) -> Colour:
    """A colour with the matrix and range that the file will say, or be taken for where it cannot say any."""
    name, height = choice.encoder.name, output.info.height
    if name == output.target.codec:
        return colour  # `pipes.losses` says what the next program must be told
    matrix, range = read_back.told(output.muxer, name, choice.pix_fmt, colour.matrix, colour.range)
    meant = colour.resolved(height, family)
    read = replace(colour, matrix=matrix, range=range).resolved(height, family)
    return replace(
        colour,
        matrix=colour.matrix if read.matrix == meant.matrix else read.matrix,
        range=colour.range if read.range == meant.range else read.range,
    )
