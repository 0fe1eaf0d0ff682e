"""Playlists (HLS) that name the same in several sizes, often the smallest first: the largest is taken, with its sound."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from av.container import InputContainer


def largest(videos: Sequence[Any]) -> Any:
    """The stream with the most pixels."""
    return max(videos, key=lambda stream: stream.codec_context.width * stream.codec_context.height)


def leave_out(container: InputContainer, *wanted: Any) -> None:
    """Fetch nothing but the streams that are wanted."""
    from av.stream import Discard

    for stream in container.streams:
        if stream not in wanted:
            stream.discard = Discard.all


def is_left_out(container: InputContainer, stream: Any) -> bool:
    """Whether a stream is that of another size, of which nothing is fetched."""
    from av.stream import Discard

    return container.format.name == "hls" and bool(stream.discard == Discard.all)
