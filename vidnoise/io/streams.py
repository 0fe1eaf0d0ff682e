"""What a stream is, for the code and in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from av.stream import Stream

ATTACHED_PIC = 1 << 10


def is_cover(stream: Stream) -> bool:
    """Whether a video stream is a cover picture."""
    return bool(int(getattr(stream, "disposition", 0)) & ATTACHED_PIC)


def codec_of(stream: Any) -> str:
    """The name of a stream's codec, whichever decoder it has."""
    context = stream.codec_context
    return str(context.codec.canonical_name if context is not None else getattr(stream, "name", None))


def describe(stream: Stream, line: str = "") -> str:
    """A stream in the words of a warning: its type, number, codec and language; `line` may know its name in the file."""
    codec: Any = stream.codec_context
    name = codec.name if codec is not None else getattr(stream, "name", None)
    name = name or line.partition(": none (")[2].partition(" / ")[0]
    details = ", ".join(word for word in (name, stream.metadata.get("language")) if word)
    kind = "cover picture" if is_cover(stream) else f"{stream.type} stream"
    return f"{kind} {stream.index}" + (f" ({details})" if details else "")
