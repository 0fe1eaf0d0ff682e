"""The streams of a file: which is the video that is cleaned, what the others are, and how messages call them."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidnoise.errors import InputError
from vidnoise.io import stills, variants

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.stream import Stream

ATTACHED_PIC = 1 << 10

NOT_VIDEO = {"tty", "ansi", "bin", "adf", "idf", "xbin"}
"""Demuxers that draw text as pictures: a text file would pass for a video."""


def main_video(container: InputContainer, source: str, lines: dict[int, str]) -> Any:
    """The stream to clean; `lines` are those of `facts.stream_lines`.

    Raises:
        InputError: there is none that can be decoded.
    """
    if container.format.name in NOT_VIDEO:
        raise InputError(f"{source} is a text file, not a video")
    videos = [s for s in container.streams.video if not is_cover(s)]
    decoded = [s for s in videos if s.codec_context is not None]
    if decoded and container.format.name in variants.SIZED:
        return variants.best(decoded)
    if decoded:
        return stills.main_of(decoded, source) if stills.is_boxed(container) else decoded[0]
    if videos:
        raise _undecodable(container, source, lines.get(videos[0].index, ""))
    kinds = sorted({"a cover picture" if s.type == "video" else s.type for s in container.streams})
    found = ", ".join(kinds) or "no streams at all"
    raise InputError(f"{source} has no video to clean; it holds {found}")


def _undecodable(container: InputContainer, source: str, line: str) -> InputError:
    codec = line.partition("Video: ")[2].partition(",")[0]
    picture = shlex.quote(str(Path(source).with_suffix(".png")))
    target = picture if is_of_pictures(container) else "-c:v ffv1 OUTPUT.mkv"
    return InputError(
        f"{source}: there is no decoder for its video ({codec}) here; convert it with a program that has one, as in: "
        f"ffmpeg -i {shlex.quote(source)} {target}"
    )


def is_of_pictures(container: InputContainer) -> bool:
    """Whether an input is picture files."""
    return container.format.name == "image2" or container.format.name.endswith("_pipe")


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
