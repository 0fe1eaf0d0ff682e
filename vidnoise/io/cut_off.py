"""Files that were cut off, as by a lost connection or an empty battery: before their index, or in the pictures.

Ogg: RFC 3533, section 6. GIF89a, section 27. ASF 1.2 (Microsoft), sections 2.1 and 5.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from fractions import Fraction
from typing import TYPE_CHECKING, Any, BinaryIO

from vidnoise.io import pipes
from vidnoise.io.part import MICRO, begin_of

if TYPE_CHECKING:
    from av.container import InputContainer

PROMISING = ("mov", "matroska", "avi", "flv", "asf")
"""Demuxers that read a duration in the header."""

_LONGEST_PAGE = 27 + 255 + 255 * 255
_LAST_PAGE = 4
_GIF_END = b";"


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
        # FFmpeg leaves such a picture out.
        return read < (container.file.file.size if container.file else container.size)
    if container.name.startswith("file:") and _lacks_end(name, container.name.removeprefix("file:")):
        return True
    if duration is None or not any(word in name for word in PROMISING):
        return False
    # Matroska's duration counts from zero, that of others from the start.
    promised = duration * MICRO + (0 if "matroska" in name else begin_of(container))
    if "avi" in name and stream.frames:
        # What is left decides on the duration; the header still counts the frames that were there.
        promised = max(promised, stream.frames * stream.time_base)
    return promised - reached > max(Fraction(1, 4), duration * MICRO / 100)


def _lacks_end(format: str, path: str) -> bool:
    """Whether a file lacks what those of its kind end with, or tell of their size; nobody can say of pipes."""
    if format not in ENDS or not os.path.isfile(path):
        return False
    with open(path, "rb") as file:
        return ENDS[format](file, os.path.getsize(path))


def _ogg_lacks_end(file: BinaryIO, size: int) -> bool:
    """The last page of a stream says that it is, and how long it is."""
    begin = max(0, size - _LONGEST_PAGE)
    file.seek(begin)
    tail = file.read()
    page = tail[max(0, tail.rfind(b"OggS")) :]
    segments = page[26] if len(page) > 26 else 0
    whole = len(page) >= 27 + segments + sum(page[27 : 27 + segments])
    return not whole or not page[5] & _LAST_PAGE


def _gif_lacks_end(file: BinaryIO, size: int) -> bool:
    file.seek(max(0, size - 64))
    return not file.read().rstrip(b"\0").endswith(_GIF_END)


def _asf_lacks_end(file: BinaryIO, size: int) -> bool:
    """FFmpeg forgets the duration where much is missing, so that the length of the data is asked for.

    The index behind it may be missing; of what was streamed nobody has said how long it is.
    """
    head = _object_size(file, 0)
    return head > size or head + _object_size(file, head) > size


def _object_size(file: BinaryIO, at: int) -> int:
    """What an object of ASF says of its own size: 16 bytes name it, 8 follow."""
    file.seek(at + 16)
    return int.from_bytes(file.read(8), "little")


ENDS: dict[str, Callable[[BinaryIO, int], bool]] = {
    "ogg": _ogg_lacks_end,
    "gif": _gif_lacks_end,
    "asf": _asf_lacks_end,
}
"""How to tell that a file was cut off, by demuxer."""


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
