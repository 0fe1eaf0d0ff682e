"""Files that were cut off, as by a lost connection or an empty battery: before their index, or in the pictures."""

from __future__ import annotations

import os
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from vidnoise.io import pipes
from vidnoise.io.part import MICRO, begin_of

if TYPE_CHECKING:
    from av.container import InputContainer

PROMISING = ("mov", "matroska", "avi", "flv", "asf", "ogg")
"""Demuxers that read a duration in the header."""


def ends_too_early(container: InputContainer, stream: Any, reached: Fraction, read: int) -> bool:
    """Whether an input ends in a picture, or well before what its header promises.

    Args:
        container: which was read to its end.
        stream: the video.
        reached: the time at which the last packet ends, in seconds.
        read: where it ends, in bytes.
    """
    name, duration = container.format.name, container.duration
    if name == pipes.FORMATS["y4m"]:
        return read < container.size  # FFmpeg leaves such a picture out; the size of a pipe is none
    if duration is None or not any(word in name for word in PROMISING):
        return False
    # Matroska's duration counts from zero, that of others from the start.
    promised = duration * MICRO + (0 if "matroska" in name else begin_of(container))
    if "avi" in name and stream.frames:
        # What is left decides on the duration; the header still counts the frames that were there.
        promised = max(promised, stream.frames * stream.time_base)
    return promised - reached > max(Fraction(1, 4), duration * MICRO / 100)


def without_index(name: str) -> str:
    """What is missing where MP4 ends before its index, which FFmpeg tells its log alone; nothing for other files."""
    if pipes.is_named(name):
        return ""
    kinds: list[bytes] = []
    at, end = 0, os.path.getsize(name)
    with open(name, "rb") as file:
        while at < end:
            file.seek(at)
            head = file.read(16)
            size = int.from_bytes(head[:4], "big")
            size = int.from_bytes(head[8:], "big") if size == 1 else size
            kinds.append(head[4:8])
            if size < 8:
                break
            at += size
    if not {b"ftyp", b"mdat", b"wide"} & set(kinds[:1]) or {b"moov", b"moof"} & set(kinds):
        return ""
    return (
        "; it ends before its index (moov), so the recording or the download was cut off: load it again, or rebuild it "
        "with untrunc and a whole file of the same camera"
    )
