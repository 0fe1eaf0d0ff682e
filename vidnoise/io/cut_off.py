"""Files that were cut off, as by a lost connection or an empty battery: before their index, or in the pictures.

Ogg: RFC 3533, section 6. GIF89a, section 27. Transport streams: ISO 13818-1, section 2.4.3.2. Matroska: RFC 8794.
ASF 1.2 (Microsoft), sections 2.1 and 5.
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

PROMISING = ("mov", "matroska", "avi", "flv", "asf", "mxf", "rm")
"""Demuxers that read a duration in the header."""

UNCOUNTED = 1 << 30
"""Frames in the header of AVI that FFmpeg has streamed."""

_STREAMED = ("rm", 3_600_000_000)
"""RealMedia that FFmpeg has streamed promises an hour."""

_LAST_PAGE = 4
_GIF_END = b";"
_NUT_ELISION = 16
_SYNC = 0x47
_STEPS = ((188, 188), (192, 188), (204, 204))
_IN_STEP = 4


def ends_too_early(container: InputContainer, stream: Any, reached: Fraction, read: int) -> bool:
    """Whether an input ends in a picture, without what those of its kind end with, or well before what its header promises.

    Args:
        container: which was read to its end.
        stream: the video.
        reached: the time at which the last packet ends, in seconds.
        read: where it ends, in bytes.
    """
    name, duration = container.format.name, container.duration
    if _lacks_end(container, read):
        return True
    if duration is None or (name, duration) == _STREAMED or not any(word in name for word in PROMISING):
        return False
    # Matroska's duration counts from zero, that of others from the start.
    promised = duration * MICRO + (0 if "matroska" in name else begin_of(container))
    if "avi" in name and stream.frames:
        if stream.frames >= UNCOUNTED:
            return False
        # What is left decides on the duration; the header still counts the frames that were there.
        promised = max(promised, stream.frames * stream.time_base)
    return promised - reached > max(Fraction(1, 4), duration * MICRO / 100)


def _lacks_end(container: InputContainer, read: int) -> bool:
    """Whether the bytes themselves say that some are missing; nobody can tell of a network's."""
    format, source = container.format.name, container.file
    if source:
        return format in ENDS and ENDS[format](source.file.tail, source.file.size, read)
    path = 0 if container.name == "fd:" else container.name.removeprefix("file:")
    if not os.path.isfile(path):
        return False
    size = os.path.getsize(path)
    with open(path, "rb", closefd=path != 0) as file:
        if format in BOXES:
            return BOXES[format](file, size)
        file.seek(max(0, size - pipes.TAIL))
        return format in ENDS and ENDS[format](file.read(), size, read)


def _ends_in_picture(tail: bytes, size: int, read: int) -> bool:
    """Of a last picture that is not whole FFmpeg gives nothing, or in DV as much as of a whole one."""
    return read != size


def _ogg_lacks_end(tail: bytes, size: int, read: int) -> bool:
    """The last page of a stream says that it is, and how long it is."""
    page = tail[max(0, tail.rfind(b"OggS")) :]
    segments = page[26] if len(page) > 26 else 0
    whole = len(page) >= 27 + segments + sum(page[27 : 27 + segments])
    return not whole or not page[5] & _LAST_PAGE


def _gif_lacks_end(tail: bytes, size: int, read: int) -> bool:
    return not tail.rstrip(b"\0").endswith(_GIF_END)


def _nut_lacks_end(tail: bytes, size: int, read: int) -> bool:
    """It ends with an index, at whose end stand its length and a checksum."""
    index = int.from_bytes(tail[-12:-4], "big")
    return not 0 < index <= size - read + _NUT_ELISION


def _transport_stream_lacks_end(tail: bytes, size: int, read: int) -> bool:
    """Whether the packets, each with a byte to know it by, go on to a last one that is not whole."""
    return any(
        all(tail[-rest - step * back] == _SYNC for back in range(_IN_STEP))
        for step, whole in _STEPS
        for rest in range(1, step)
        if rest != whole and len(tail) > step * _IN_STEP
    )


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


def _matroska_lacks_end(file: BinaryIO, size: int) -> bool:
    """Whether an element is longer than the rest of the file; of those that do not say how long they are, one in them."""
    at = 0
    while at < size:
        file.seek(at)
        head = file.read(12)
        name = _vint_size(head)
        length = _vint_size(head[name:])
        if not name or not length:
            return len(head) <= name > 0
        value = int.from_bytes(head[name : name + length], "big") & ((1 << 7 * length) - 1)
        at += name + length
        at += 0 if value == (1 << 7 * length) - 1 else value
    return at > size


def _vint_size(data: bytes) -> int:
    """Bytes of the number that data of EBML begin with, 0 where they are none."""
    return 9 - data[0].bit_length() if data and data[0] else 0


ENDS: dict[str, Callable[[bytes, int, int], bool]] = {
    pipes.FORMATS["y4m"]: _ends_in_picture,
    "dv": _ends_in_picture,
    "ogg": _ogg_lacks_end,
    "gif": _gif_lacks_end,
    "nut": _nut_lacks_end,
    "mpegts": _transport_stream_lacks_end,
}
"""How the last bytes tell that an input was cut off, with their number and that of those read, by demuxer."""

BOXES: dict[str, Callable[[BinaryIO, int], bool]] = {
    "asf": _asf_lacks_end,
    "matroska,webm": _matroska_lacks_end,
}
"""How sizes that a file says of its parts tell it."""


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
