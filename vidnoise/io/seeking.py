"""To the keyframe from which a part of an input can be decoded."""

from __future__ import annotations

import contextlib
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from vidnoise.errors import InputError
from vidnoise.io.continuity import may_jump
from vidnoise.io.failures import reason
from vidnoise.io.part import LATEST

if TYPE_CHECKING:
    from av.container import InputContainer

LONGEST_TEXT = 10
"""Seconds before the part that is read at which a text in it may have begun."""

BACK = (0, 10, 60, LATEST)
"""Seconds before the part that is read at which a keyframe is looked for, in turn."""


def seek(container: InputContainer, stream: Any, begin: Fraction, source: str) -> int | None:
    """Go to where reading has to begin for a part that begins at a time of the input.

    Returns:
        when the keyframe is shown before which no packet of the video needs to be decoded, in ticks; None for the first.

    Raises:
        InputError: one cannot jump in this input.
    """
    # Where the picture begins later, FFmpeg would jump there, past the sound before it.
    if (stream.start_time or 0) * (stream.time_base or 0) > begin:
        return None
    try:
        return _seek(container, stream, begin, source)
    except InputError:
        # A list that does not say how long its files are can only be read from its beginning.
        if container.format.name != "concat":
            raise
        return None


def _seek(container: InputContainer, stream: Any, begin: Fraction, source: str) -> int | None:
    """Where there is no index, as in transport streams, FFmpeg lands between keyframes, or behind the last one."""
    for back in BACK:
        _jump(container, begin - back, source)
        entry = _keyframe(container, stream, begin)
        if entry is not None:
            break
    if may_jump(container.format.name):  # the keyframe would not be known again
        entry = None
    early = LONGEST_TEXT if entry is not None and container.streams.subtitles else 0
    _jump(container, begin - back - early, source)
    return entry


def _keyframe(container: InputContainer, stream: Any, begin: Fraction) -> int | None:
    """When the next keyframe of the video is shown; None where that is after `begin`."""
    import av

    with contextlib.suppress(av.error.FFmpegError):
        for packet in container.demux(stream):
            time = packet.pts if packet.pts is not None else packet.dts
            if packet.is_keyframe and time is not None:
                return time if time * packet.time_base <= begin else None
    return None


def _jump(container: InputContainer, time: Fraction, source: str) -> None:
    import av

    try:
        # Before its first frame a transport stream is read from the beginning, others refuse to go there.
        with contextlib.suppress(av.error.FFmpegError):
            container.seek(int(time * 1_000_000), backward=True)
            return
        container.seek(max(int(time * 1_000_000), container.start_time or 0), backward=True)
    except av.error.FFmpegError as failure:
        raise InputError(
            f"{source} cannot be sought ({container.format.name}: {reason(failure)}); leave --start out, or "
            f"give a file with times in it, such as .mp4"
        ) from failure
