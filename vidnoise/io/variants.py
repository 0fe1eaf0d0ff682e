"""The same video in several sizes, as playlists (HLS) and icons hold it: the best is read, and no other is fetched."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from av.container import InputContainer

SIZED = {"hls", "ico"}
"""Demuxers whose videos are the same in several sizes."""


def best(videos: Sequence[Any]) -> Any:
    """The stream with the most pixels, and of such the most bits a second."""
    return max(videos, key=_worth)


def leave_others(container: InputContainer, main: Any) -> bool:
    """Fetch no other size of the video, nor the sound of one; whether there are any. What is of all sizes stays."""
    if container.format.name not in SIZED or len(container.streams.video) == 1:
        return False
    rate = main.metadata.get("variant_bitrate")

    def is_of_all(stream: Any) -> bool:
        return stream.metadata.get("variant_bitrate", rate) == rate or "comment" in stream.metadata

    wanted = [stream for stream in container.streams if stream.type != "video" and is_of_all(stream)]
    leave_out(container, main, *wanted)
    return True


def leave_out(container: InputContainer, *wanted: Any) -> None:
    """Fetch nothing but the streams that are wanted."""
    from av.stream import Discard

    for stream in container.streams:
        if stream not in wanted:
            stream.discard = Discard.all


def _worth(stream: Any) -> tuple[int, int]:
    context = stream.codec_context
    return context.width * context.height, int(stream.metadata.get("variant_bitrate", 0))
