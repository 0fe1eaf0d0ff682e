"""Picture files that hold more than FFmpeg's decoders take of them: said, or refused where what they give would be wrong.

TIFF 6.0, sections 2 and 22. WebP: RFC 9649, section 2.7. HEIF and AVIF: ISO/IEC 23008-12, 6.6.2.3 (grid).
"""

from __future__ import annotations

import shlex
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from vidnoise.errors import InputError

BRANDS = {"heic", "heix", "heim", "heis", "hevc", "hevx", "mif1", "msf1", "avif", "avis"}
"""Brands of pictures in the boxes of MP4."""

DEFAULT, DEPENDENT = 1 << 0, 1 << 19
"""FFmpeg's marks of the stream that is meant, and of one that is a part of a picture."""

_SUBFILE, _COMPRESSION, _SAMPLES, _DNG = 254, 259, 339, 50706
_JPEG, _FLOAT = 7, 3


def is_boxed(container: Any) -> bool:
    """Whether a container holds pictures in the boxes of MP4, as HEIC and AVIF do."""
    return container.metadata.get("major_brand", "").strip() in BRANDS


def main_of(videos: Sequence[Any], source: str) -> Any:
    """The animation among the streams of a HEIC or AVIF file, or the picture that is meant.

    Raises:
        InputError: it lies there in tiles.
    """
    main = max(videos, key=lambda stream: (stream.frames > 1, stream.disposition & DEFAULT))
    if main.disposition & DEPENDENT:
        raise InputError(
            f"{source} is a picture in {len(videos)} tiles, which are not put together here; "
            f"convert it first, as in: {shlex.join(['heif-convert', source, str(Path(source).with_suffix('.png'))])}"
        )
    return main


def warnings_of(path: Path) -> list[str]:
    """What of a TIFF file is left out, in sentences.

    Raises:
        InputError: a TIFF file would come out wrong, or a WebP file is animated.
    """
    try:
        data = path.read_bytes() if path.is_file() else b""
    except OSError:
        return []
    if data[12:16] == b"VP8X" and data[20:21] and data[20] & 2:
        raise InputError(
            f"{path} is animated, and FFmpeg cannot read animated WebP; "
            f"type: anim_dump -folder FRAMES {shlex.quote(str(path))}, and give FRAMES/dump_%04d.png"
        )
    if data[:4] not in (b"II*\0", b"MM\0*"):
        return []
    pages = [page for page in _directories(data) if not page.get(_SUBFILE, 0) & 1]
    if not pages or _DNG in pages[0]:
        return []
    wrong = {_COMPRESSION: (_JPEG, "compressed by JPEG"), _SAMPLES: (_FLOAT, "in floating point")}
    for tag, (value, words) in wrong.items():
        if pages[0].get(tag) == value:
            names = shlex.join([str(path), "-depth", "16", str(path.with_suffix(".png"))])
            raise InputError(
                f"{path} is a TIFF {words}, which FFmpeg cannot read; convert it first, as in: magick {names}"
            )
    if len(pages) == 1:
        return []
    typed = shlex.quote(str(path))
    return [
        f"{path} has {len(pages)} pages, of which the first is taken; for all type: magick {typed} page%03d.png"
    ]


def _directories(data: bytes) -> Iterator[dict[int, int]]:
    """The tags of each page of a TIFF file, with the first of their values where these are short or long."""
    order = "<" if data.startswith(b"II") else ">"
    seen: set[int] = set()
    try:
        (place,) = struct.unpack_from(order + "I", data, 4)
        while place and place not in seen:
            seen.add(place)
            (count,) = struct.unpack_from(order + "H", data, place)
            yield dict(_entry(data, order, place + 2 + 12 * number) for number in range(count))
            (place,) = struct.unpack_from(order + "I", data, place + 2 + 12 * count)
    except struct.error:
        return


def _entry(data: bytes, order: str, place: int) -> tuple[int, int]:
    tag, kind, count = struct.unpack_from(order + "HHI", data, place)
    form = "H" if kind == 3 else "I"
    value = place + 8
    if kind == 3 and count > 2:
        (value,) = struct.unpack_from(order + "I", data, value)
    return tag, struct.unpack_from(order + form, data, value)[0]
