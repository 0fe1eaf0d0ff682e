"""Streams that are copied as they are: audio, subtitles, data, attachments, covers, further videos."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from av.container import OutputContainer
    from av.stream import Stream

OTHERS = {"matroska": ".mkv", "mov": ".mov", "mp4": ".mp4", "mpegts": ".ts", "nut": ".nut"}
"""Containers that are tried, in this order, for a stream that the output cannot hold."""


def can_hold(format: str, stream: Stream) -> bool:
    """Whether a container takes a copy of a stream: found by writing a header, which the muxers check best."""
    import av

    try:
        scratch = av.open(io.BytesIO(), "w", format=format)
    except (ValueError, av.error.FFmpegError):
        return False
    try:
        add_copy(scratch, stream)
        scratch.start_encoding()
        scratch.close()
    except (ValueError, av.error.FFmpegError, EOFError):
        return False
    return True


def add_copy(container: OutputContainer, stream: Stream) -> Stream:
    """Add a stream to `container` that takes the packets of `stream` as they are."""
    copy = container.add_stream_from_template(stream, opaque=True)
    copy.metadata.update(stream.metadata)
    copy.disposition = stream.disposition
    return copy


def describe(stream: Stream) -> str:
    """A stream in the words of a warning: its type, number, codec and language."""
    codec: Any = stream.codec_context
    name = codec.name if codec is not None else getattr(stream, "name", None)
    details = ", ".join(word for word in (name, stream.metadata.get("language")) if word)
    return f"{stream.type} stream {stream.index}" + (f" ({details})" if details else "")


def warning(stream: Stream, format: str) -> str:
    """What is lost, and which container would keep it."""
    better = next((ext for name, ext in OTHERS.items() if name != format and can_hold(name, stream)), None)
    advice = f"; {better} can" if better else "; no common container can"
    return f"{format} cannot hold {describe(stream)}, it is left out{advice}"
