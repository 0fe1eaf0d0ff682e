"""Which of an input's streams is the video that is cleaned."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidnoise.errors import InputError
from vidnoise.io import stills, variants
from vidnoise.io.streams import is_cover

if TYPE_CHECKING:
    from av.container import InputContainer

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
    target = picture if container.format.name == "image2" else "-c:v ffv1 OUTPUT.mkv"
    return InputError(
        f"{source}: there is no decoder for its video ({codec}) here; convert it with a program that has one, as in: "
        f"ffmpeg -i {shlex.quote(source)} {target}"
    )
