"""What a picture file says beside its pixels: profile, EXIF and resolution, for PNG and JPEG.

PNG: W3C PNG (third edition), chunks iCCP, eXIf and pHYs. JPEG: APP0 as in JFIF 1.02, APP1 as in Exif 2.3,
APP2 as in ICC.1:2010 annex B.4.
"""

from __future__ import annotations

import contextlib
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

INCH = 0.0254
"""Metres."""

PNG = b"\x89PNG\r\n\x1a\n"
JPEG = b"\xff\xd8"
_JPEG_END = b"\xff\xd9"
_EXIF = b"Exif\0\0"
_ICC = b"ICC_PROFILE\0"
_ICC_PART = 65519
_OURS = {b"iCCP", b"eXIf", b"pHYs"}
_COLOUR = {b"sRGB", b"gAMA", b"cHRM", b"cICP"}


_ORIENTATION = 0x112
_ORIENTATIONS = {
    2: (-1, 0, 0, 1),
    3: (-1, 0, 0, -1),
    4: (1, 0, 0, -1),
    5: (0, 1, 1, 0),
    6: (0, 1, -1, 0),
    7: (0, -1, -1, 0),
    8: (0, -1, 1, 0),
}
"""Where each orientation of EXIF has a step to the right go (right, down), and then a step down."""


@dataclass(frozen=True)
class PictureTags:
    """An ICC profile, an EXIF block (TIFF structure), and the resolution in pixels an inch (across, down)."""

    icc: bytes | None = None
    exif: bytes | None = None
    dpi: tuple[float, float] | None = None

    def __bool__(self) -> bool:
        return bool(self.icc or self.exif or self.dpi)

    @property
    def matrix(self) -> tuple[int, ...] | None:
        """The orientation as a video's display matrix; None for upright pictures."""
        turn = _ORIENTATIONS.get(_orientation(self.exif or b""))
        return None if turn is None else _matrix(turn)


def turned(matrix: tuple[int, ...]) -> PictureTags:
    """The tags of a picture of a video with such a display matrix; none where EXIF has no such orientation."""
    for number, turn in _ORIENTATIONS.items():
        if _matrix(turn)[:6] == matrix[:6]:
            head = struct.pack("<2sHIH", b"II", 42, 8, 1)
            return PictureTags(exif=head + struct.pack("<HHIHHI", _ORIENTATION, 3, 1, number, 0, 0))
    return PictureTags()


def _matrix(turn: tuple[int, ...]) -> tuple[int, ...]:
    a, b, c, d = (part << 16 for part in turn)
    return a, b, 0, c, d, 0, 0, 0, 1 << 30


def _orientation(exif: bytes) -> int:
    """As the first directory of an EXIF block says; 1, upright, where it does not."""
    order = ">" if exif.startswith(b"MM") else "<"
    with contextlib.suppress(struct.error):
        (start,) = struct.unpack_from(order + "I", exif, 4)
        (count,) = struct.unpack_from(order + "H", exif, start)
        for entry in range(count):
            tag, kind, _, value = struct.unpack_from(order + "HHIH", exif, start + 2 + 12 * entry)
            if (tag, kind) == (_ORIENTATION, 3):
                return int(value)
    return 1


def read_tags(path: Path) -> PictureTags:
    """The tags of a PNG or JPEG file; none for other files, pipes, and where they are damaged."""
    try:
        if not path.is_file():
            return PictureTags()
        data = path.read_bytes()
        if data.startswith(PNG):
            return _from_png(data)
        return _from_jpeg(data) if data.startswith(JPEG) else PictureTags()
    except (OSError, struct.error, zlib.error):
        return PictureTags()


def takes_tags(suffix: str) -> bool:
    """Whether `with_tags` can put tags into files of this kind."""
    return suffix.lower() in (".png", ".jpg", ".jpeg")


def with_tags(data: bytes, tags: PictureTags) -> bytes:
    """An encoded PNG or JPEG picture with these tags in place of what the encoder wrote of the kind."""
    if not tags:
        return data
    return _into_png(data, tags) if data.startswith(PNG) else _into_jpeg(data, tags)


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = len(PNG)
    while at + 12 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        yield kind, data[at + 8 : at + 8 + size]
        at += size + 12


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _from_png(data: bytes) -> PictureTags:
    found = dict(chunk for chunk in _chunks(data) if chunk[0] in _OURS)
    icc = found.get(b"iCCP")
    across, down, unit = struct.unpack(">IIB", found.get(b"pHYs", b"\0" * 9))
    return PictureTags(
        zlib.decompress(icc[icc.index(b"\0") + 2 :]) if icc and b"\0" in icc else None,
        found.get(b"eXIf"),
        (across * INCH, down * INCH) if unit == 1 else None,
    )


def _into_png(data: bytes, tags: PictureTags) -> bytes:
    chunks = list(_chunks(data))
    added = []
    if tags.icc:
        added.append(_chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(tags.icc)))
    if tags.dpi:
        added.append(_chunk(b"pHYs", struct.pack(">IIB", *(round(n / INCH) for n in tags.dpi), 1)))
    if tags.exif:
        added.append(_chunk(b"eXIf", tags.exif))
    replaced = _OURS | (_COLOUR if tags.icc else set())
    rest = [_chunk(*chunk) for chunk in chunks[1:] if chunk[0] not in replaced]
    return b"".join([PNG, _chunk(*chunks[0]), *added, *rest])


def _segments(data: bytes) -> Iterator[tuple[int, bytes, int]]:
    """Marker, body and end of each segment before the coded picture."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != 0xDA:
        marker, size = struct.unpack_from(">xBH", data, at)
        if marker == 0xFF:  # a fill byte; any number may stand before a marker
            at += 1
            continue
        yield marker, data[at + 4 : at + 2 + size], at + 2 + size
        at += 2 + size


def _from_jpeg(data: bytes) -> PictureTags:
    exif, dpi = None, None
    parts: dict[int, bytes] = {}
    for marker, body, _ in _segments(data):
        if marker == 0xE0 and body.startswith(b"JFIF\0") and len(body) >= 12:
            unit, across, down = struct.unpack_from(">BHH", body, 7)
            scale = {1: 1.0, 2: 2.54}.get(unit)
            dpi = (across * scale, down * scale) if scale else None
        if marker == 0xE1 and body.startswith(_EXIF):
            exif = body[len(_EXIF) :]
        if marker == 0xE2 and body.startswith(_ICC) and len(body) > 14:
            parts[body[12]] = body[14:]
    return PictureTags(b"".join(parts[n] for n in sorted(parts)) or None, exif, dpi)


def ends_early(data: bytes) -> bool:
    """Whether a JPEG was cut off: decoders show one with gray below, and do not tell."""
    begin = max((end for *_, end in _segments(data)), default=0)  # a thumbnail in EXIF has an end of its own
    return data.startswith(JPEG) and data.find(_JPEG_END, begin) < 0


def _segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def _into_jpeg(data: bytes, tags: PictureTags) -> bytes:
    added = []
    if tags.dpi:
        across, down = (min(65535, max(1, round(n))) for n in tags.dpi)
        added.append(_segment(0xE0, b"JFIF\0" + struct.pack(">HBHHBB", 0x0102, 1, across, down, 0, 0)))
    if tags.exif and len(tags.exif) < 65528:
        added.append(_segment(0xE1, _EXIF + tags.exif))
    if tags.icc:
        pieces = [tags.icc[i : i + _ICC_PART] for i in range(0, len(tags.icc), _ICC_PART)]
        for number, piece in enumerate(pieces, 1):
            added.append(_segment(0xE2, _ICC + bytes((number, len(pieces))) + piece))
    return data[:2] + b"".join(added) + data[2:]
