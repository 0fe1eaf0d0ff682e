"""What is read of a file is what was written: containers and encoders tried together, in memory."""

from __future__ import annotations

import io
from functools import lru_cache
from typing import Any

from vidnoise.io import scheduling
from vidnoise.io.encoders import canonical, driven
from vidnoise.io.pixel_loss import traits

SOUND = {
    "mp4": {"h264", "hevc", "av1", "vp9", "mpeg4"},
    "mov": {"h264", "hevc", "prores", "mpeg4", "mjpeg", "png", "qtrle"},
    "matroska": {"h264", "hevc", "av1", "vp9", "vp8", "mpeg4", "mpeg2video", "ffv1", "prores", "mjpeg"},
    "webm": {"av1", "vp9", "vp8"},
    "mpegts": {"h264", "hevc", "mpeg2video", "mpeg1video", "mpeg4"},
    "avi": {"h264", "mpeg4", "mjpeg", "msmpeg4v2", "msmpeg4v3"},
    "apng": {"apng"},
}
"""Codecs by container that need no trial."""

SELF_TOLD = {"h264", "hevc", "av1", "vp9"}
"""Codecs that hold colour matrix and range themselves, in any container."""


@lru_cache
def readable(container: str, name: str, pix_fmt: str) -> bool:
    """Whether what an encoder writes into a container can be read back as what it was.

    Some muxers take anything and lose what it is: rare codecs in MPEG-TS, raw video of rare formats in AVI.
    """
    held, codec = traits(pix_fmt), canonical(name)
    if codec in ("vp8", "vp9") and held is not None and held.alpha:
        return container in ("matroska", "webm")  # which alone keep the alpha beside the packets
    if container == "asf" and codec in SELF_TOLD:
        return False  # its only times are those of decoding
    if codec in SOUND.get(container, ()):
        return True
    made = _read_back(container, name, pix_fmt)
    if made is None:
        return False
    return made[:2] == (codec, pix_fmt) or (made[0] == codec != "rawvideo")


def told(container: str, name: str, pix_fmt: str, matrix: int, range: int) -> tuple[int, int]:
    """The colour matrix and range that are read from what an encoder writes into a container, where it is told these."""
    if canonical(name) in SELF_TOLD:
        return matrix, range
    made = _read_back(container, name, pix_fmt, matrix, range)
    return (matrix, range) if made is None else made[2:]


@lru_cache
def _read_back(
    container: str, name: str, pix_fmt: str, matrix: int = 2, range: int = 0
) -> tuple[str, str, int, int] | None:
    """Codec, pixel format, colour matrix and range of a picture that was written and read; None where it was lost."""
    import av

    file = io.BytesIO()
    try:
        with scheduling.ordinary(), av.open(file, "w", format=container) as out:
            stream: Any = out.add_stream(name, rate=25, width=256, height=128)
            stream.pix_fmt = pix_fmt
            stream.codec_context.colorspace = matrix
            stream.codec_context.color_range = 2 if name == "mjpeg" else range
            stream.options = dict(driven(name, pix_fmt).fixed)
            frame = av.VideoFrame(256, 128, pix_fmt)
            frame.colorspace, frame.color_range = matrix, stream.codec_context.color_range
            for plane in frame.planes:  # encoders may abort on samples that are larger than the format allows
                plane.update(bytes(plane.buffer_size))
            for picture in (frame, None):
                out.mux(stream.encode(picture))
        file.seek(0)
        with av.open(file, "r") as back:
            context = back.streams.video[0].codec_context
            if context is None:  # the codec is lost
                return None
            shown = next(back.decode(video=0))
    except (ValueError, IndexError, OSError, StopIteration, av.error.FFmpegError):
        return None
    full = context.pix_fmt is not None and context.pix_fmt.startswith("yuvj")
    return (
        context.codec.canonical_name,
        context.pix_fmt or "",
        int(shown.colorspace),
        2 if full else int(shown.color_range),
    )
