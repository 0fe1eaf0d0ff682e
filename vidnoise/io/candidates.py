"""Which encoders come into question for an output."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vidnoise.errors import UsageError
from vidnoise.io import encoders, read_back
from vidnoise.io.encoders import Choice

if TYPE_CHECKING:
    from vidnoise.io.output import Output


def candidates(output: Output) -> list[Choice]:
    """Encoders and the formats to give them, best first, of which the container's file can be read back.

    Raises:
        UsageError: there are none, or what was asked for does not exist.
        OutputError: no encoder fits.
    """
    found = [choice for choice in _choices(output) if _is_readable(output, choice)]
    if not found:
        video = output.options.codec or "this video"
        raise UsageError(f"{output.kind} cannot store {video} readably; .mkv can")
    return found


def _is_readable(output: Output, choice: Choice) -> bool:
    name = choice.encoder.name
    # Of raw video `pipes.choose` has seen to it.
    return name == output.target.codec or read_back.readable(output.muxer, name, choice.pix_fmt)


def _choices(output: Output) -> list[Choice]:
    reader, options, container = output.reader, output.options, output.muxer
    pictures = reader is not None and reader.of_pictures
    codec = reader.stream.codec_context.codec.canonical_name if reader and not pictures else ""
    asked = options.codec or output.target.codec
    if options.pix_fmt is not None:
        _check_format(options.pix_fmt)
    plain = container in encoders.FALLBACKS and bool(codec) and not encoders.accepts(container, codec)
    common = (pictures or (plain and output.info.format.family == "rgb")) and container != "apng"
    return encoders.choose(
        codec,
        _source_format(output),
        lambda name: name == output.target.codec or encoders.accepts(container, name),
        asked=asked,
        asked_format=options.pix_fmt or (_common_format(output) if common and not asked else None),
        fallback=encoders.FALLBACKS.get(container, encoders.FALLBACK),
        gpu=reader is not None and reader.gpu is not None,
    )


def _common_format(output: Output) -> str:
    """What players show, for a video made of pictures."""
    info = output.info
    if output.muxer == "asf":
        return "yuv420p"
    odd = info.width % 2 or info.height % 2
    return ("yuv444p" if odd else "yuv420p") + ("10le" if info.format.depth > 8 else "")


def _source_format(output: Output) -> str:
    """The pixel format to keep: the decoder's own name for it where that is another layout of the same."""
    from vidnoise.io.planes import is_layout_of

    wanted = output.info.format
    if wanted.depth > 16:
        return "yuv420p"
    native = output.reader.pix_fmt.replace("yuvj", "yuv") if output.reader else wanted.name
    if is_layout_of(native, wanted) and not output.is_y4m:
        return native
    return "bgr24" if wanted.name == "gbrp" else wanted.name  # which more containers hold uncompressed


def _check_format(name: str) -> None:
    import av

    try:
        av.VideoFormat(name, 16, 16)
    except ValueError as failure:
        raise UsageError(
            f"{name!r} is not a pixel format; yuv420p and yuv420p10le are the most common"
        ) from failure
