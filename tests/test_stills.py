"""Picture files that hold more than one picture: read as what they are, or said."""

from __future__ import annotations

import struct
from pathlib import Path

import clips
import pytest

from vidnoise.errors import InputError
from vidnoise.io import open_reader


def chunk(name: bytes, body: bytes) -> bytes:
    """Of a RIFF file."""
    return name + struct.pack("<I", len(body)) + body + bytes(len(body) % 2)


def box(name: bytes, body: bytes, version: int | None = None, flags: int = 0) -> bytes:
    """Of an MP4, one with a version where that is given."""
    head = b"" if version is None else struct.pack(">I", version << 24 | flags)
    return struct.pack(">I", len(head + body) + 8) + name + head + body


def tiff(pages: int) -> bytes:
    """A TIFF file in which every page is the same picture; the directory is copied, its places are of the whole file."""
    data = bytearray(clips.image_bytes("tiff", clips.picture(3), "rgb24"))
    (first,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, first)
    end = first + 2 + 12 * count
    directory = bytes(data[first:end])
    for _ in range(pages - 1):
        struct.pack_into("<I", data, end, len(data))
        end = len(data) + len(directory)
        data += directory + bytes(4)
    return bytes(data)


def with_tag(data: bytes, tag: int, value: int) -> bytes:
    """A TIFF file in which a short tag says something else."""
    place = data.index(struct.pack("<HHI", tag, 3, 1), struct.unpack_from("<I", data, 4)[0])
    return data[: place + 8] + struct.pack("<H", value) + data[place + 10 :]


def animated_webp() -> bytes:
    still = clips.image_bytes("libwebp", clips.picture(1), "yuv420p")[12:]
    size = struct.pack("<I", 95)[:3] + struct.pack("<I", 63)[:3]
    frame = chunk(b"ANMF", bytes(6) + size + b"\x28\0\0\0" + still)
    body = chunk(b"VP8X", b"\2\0\0\0" + size) + chunk(b"ANIM", bytes(6)) + frame
    return chunk(b"RIFF", b"WEBP" + body)


def avif(path: Path, frames: int) -> Path:
    return clips.Clip(frames=frames, codec="libsvtav1", options={"preset": "12"}, format="avif").save(path)


def tiled_avif(path: Path) -> Path:
    """Two pictures beside each other, put together by a grid."""
    data = avif(path, 1).read_bytes()
    place = data.index(b"av1C") - 4
    setup = data[place : place + struct.unpack_from(">I", data, place)[0]]
    place = data.index(b"mdat")
    tile = data[place + 4 : place - 4 + struct.unpack_from(">I", data, place - 4)[0]]
    grid = struct.pack(">4BHH", 0, 0, 0, 1, 192, 64)
    entries = [box(b"infe", struct.pack(">HH4sB", n, 0, b"av01", 0), 2) for n in (1, 2)]
    entries.append(box(b"infe", struct.pack(">HH4sB", 3, 0, b"grid", 0), 2))
    sizes = [box(b"ispe", struct.pack(">II", width, 64), 0) for width in (96, 192)]
    owners = struct.pack(">I HB2B HB2B HB1B", 3, 1, 2, 129, 2, 2, 2, 129, 2, 3, 1, 3)
    properties = box(b"iprp", box(b"ipco", setup + b"".join(sizes)) + box(b"ipma", owners, 0))
    file_type = box(b"ftyp", b"avif\0\0\0\0mif1avif")

    def described(start: int) -> bytes:
        places = b"".join(
            struct.pack(">HHHII", n, 0, 1, at, size)
            for n, at, size in (
                (1, start, len(tile)),
                (2, start, len(tile)),
                (3, start + len(tile), len(grid)),
            )
        )
        return box(
            b"meta",
            box(b"hdlr", struct.pack(">I4s13x", 0, b"pict"), 0)
            + box(b"pitm", struct.pack(">H", 3), 0)
            + box(b"iloc", struct.pack(">BBH", 0x44, 0, 3) + places, 0)
            + box(b"iinf", struct.pack(">H", 3) + b"".join(entries), 0)
            + box(b"iref", box(b"dimg", struct.pack(">4H", 3, 2, 1, 2)), 0)
            + properties,
            0,
        )

    start = len(file_type) + len(described(0)) + 8
    path.write_bytes(file_type + described(start) + box(b"mdat", tile + grid))
    return path


def test_the_pages_of_a_tiff_that_are_left_out_are_said(tmp_path: Path) -> None:
    (tmp_path / "pages.tif").write_bytes(tiff(3))
    (tmp_path / "one.tif").write_bytes(tiff(1))
    with open_reader(tmp_path / "pages.tif") as reader:
        assert len(list(reader)) == 1
        assert ["3 pages" in warning for warning in reader.warnings] == [True]
    with open_reader(tmp_path / "one.tif") as reader:
        assert reader.warnings == []


def test_a_sequence_of_tiffs_with_pages_says_so_too(tmp_path: Path) -> None:
    for number in range(2):
        (tmp_path / f"{number}.tif").write_bytes(tiff(2))
    with open_reader(str(tmp_path / "%d.tif")) as reader:
        assert any("2 pages" in warning for warning in reader.warnings)


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("in.tif", with_tag(tiff(1), 259, 7), "by JPEG, which FFmpeg cannot read; .* magick"),
        ("in.webp", animated_webp(), "is animated.* anim_dump"),
    ],
)
def test_what_would_come_out_wrong_is_refused_with_what_to_type(
    tmp_path: Path, name: str, data: bytes, words: str
) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match=words):
        open_reader(tmp_path / name)


def test_an_animated_avif_is_read_whole(tmp_path: Path) -> None:
    with open_reader(avif(tmp_path / "in.avif", 6)) as reader:
        assert len(list(reader)) == 6


def test_a_picture_in_tiles_is_not_taken_for_its_first_tile(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"2 tiles.* heif-convert"):
        open_reader(tiled_avif(tmp_path / "in.avif"))


def test_of_an_icon_the_largest_picture_is_taken(tmp_path: Path) -> None:
    sizes = (30, 60)
    pictures = [clips.image_bytes("png", clips.picture(3, size, size), "rgba") for size in sizes]
    entries, place = b"", 6 + 16 * len(sizes)
    for size, data in zip(sizes, pictures, strict=True):
        entries += struct.pack("<4B2H2I", size, size, 0, 0, 1, 32, len(data), place)
        place += len(data)
    (tmp_path / "in.ico").write_bytes(struct.pack("<3H", 0, 1, len(sizes)) + entries + b"".join(pictures))
    with open_reader(tmp_path / "in.ico") as reader:
        assert [(frame.width, frame.height) for frame in reader] == [(60, 60)]
        assert any("of which the best is taken (60x60)" in warning for warning in reader.warnings)


def test_a_picture_without_a_decoder_is_answered_with_what_makes_a_picture_of_it(tmp_path: Path) -> None:
    gray = (
        "ff0a434052dc080012880200c4005de5120000152aa38c1bbc9cebf9f24387c5b48deb0c6db56d6149a2c8383649277048128b34800864e6"
        "020030b4504902"
    )
    (tmp_path / "in.jxl").write_bytes(bytes.fromhex(gray))
    with pytest.raises(
        InputError, match=r"no decoder for its video \(jpegxl\).*ffmpeg -i .*in\.jxl .*in\.png$"
    ):
        open_reader(tmp_path / "in.jxl")
