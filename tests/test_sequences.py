from __future__ import annotations

import struct
import zlib
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import skimage.data

import vidnoise as vn
from vidnoise.errors import InputError, OutputError, UsageError
from vidnoise.io import OutputOptions, open_reader, open_writer

SIZE = (40, 56)


def picture(number=0, channels=3, depth=8) -> np.ndarray:
    """(H,W,C) in OpenCV's order, another for each number, with the low bits of 16 in use."""
    image = skimage.data.astronaut()[60 + number : 60 + number + SIZE[0], 100 : 100 + SIZE[1]].copy()
    if channels == 1:
        image = image[..., 0]
    if channels == 4:
        image = np.dstack([image, np.arange(SIZE[1])[None].repeat(SIZE[0], 0).astype(np.uint8)])
    return image if depth == 8 else image.astype(np.uint16) * 257 + 13


def pictures(folder: Path, numbers, name="{:05d}.png", **kind) -> str:
    folder.mkdir(exist_ok=True)
    for number in numbers:
        cv2.imwrite(str(folder / name.format(number)), picture(number, **kind))
    return str(folder / "%05d.png")


def convert(source, target, change=None, *, rate=None, start=None, duration=None, **options) -> list[str]:
    """Read and write; the warnings."""
    with open_reader(source, rate=rate, start=start, duration=duration) as reader:
        with open_writer(target, reader, reader.info, OutputOptions(**options)) as writer:
            for frame in reader:
                writer.write(change(frame) if change else frame)
        return reader.warnings + writer.warnings


def load(path) -> np.ndarray:
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def same_again(frame):
    """The same picture as new floats, as a filter gives it."""
    return frame.with_image(frame.image.clone())


@pytest.mark.parametrize("change", [None, same_again])
@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_numbered_pictures_come_out_exact_with_their_numbers(tmp_path, channels, depth, change):
    source = pictures(tmp_path / "in", (7, 8, 9), channels=channels, depth=depth)
    (tmp_path / "out").mkdir()
    assert convert(source, tmp_path / "out" / "c%03d.png", change) == []
    assert names(tmp_path / "out") == ["c007.png", "c008.png", "c009.png"]
    for number in (7, 8, 9):
        back = load(tmp_path / "out" / f"c{number:03d}.png")
        assert back.dtype == (np.uint8 if depth == 8 else np.uint16)
        assert np.array_equal(back, picture(number, channels, depth))


@pytest.mark.parametrize("rate", ["25", float("nan"), float("inf"), [25]])
def test_what_is_no_rate_is_refused_in_words(tmp_path, rate):
    with pytest.raises(UsageError, match=r"rate=.*numbers? "):
        open_reader(tmp_path / "%03d.png", rate=rate)
    with pytest.raises(UsageError, match="--rate must be more than 0 pictures a second, not -1"):
        open_reader(tmp_path / "%03d.png", rate=-1)


def test_numbers_are_times_at_the_rate_that_is_asked_for(tmp_path):
    source = pictures(tmp_path / "in", range(10, 20))
    with open_reader(source) as reader:
        assert (reader.info.rate, reader.info.frames) == (25, 10)
        assert [frame.pts * frame.time_base for frame in reader] == [Fraction(n, 25) for n in range(10)]
    with open_reader(source, rate=Fraction(30000, 1001)) as reader:
        assert [f.pts * f.time_base for f in reader] == [Fraction(1001 * n, 30000) for n in range(10)]


def test_a_part_of_the_numbers_can_be_chosen_and_keeps_them(tmp_path):
    source = pictures(tmp_path / "in", range(10, 20))
    (tmp_path / "out").mkdir()
    convert(source, tmp_path / "out" / "%05d.png", rate=10, start=0.3, duration=0.4)
    assert names(tmp_path / "out") == [f"{n:05d}.png" for n in (13, 14, 15, 16)]
    assert np.array_equal(load(tmp_path / "out" / "00013.png"), picture(13))
    with pytest.raises(InputError, match=r"chosen by --start .*; there are 10 pictures, 25 a second"):
        open_reader(source, start=9)


def test_a_gap_is_named_kept_and_starts_a_new_scene(tmp_path):
    source = pictures(tmp_path / "in", (1, 2, 5, 6, 8))
    (tmp_path / "out").mkdir()
    warnings = convert(source, tmp_path / "out" / "%05d.png")
    assert len(warnings) == 1
    assert "missing 3 to 4, 7" in warnings[0]
    assert names(tmp_path / "out") == names(tmp_path / "in")
    with open_reader(source) as reader:
        assert [(f.pts, f.cut) for f in reader] == [(0, False), (1, False), (4, True), (5, False), (7, True)]


def test_a_number_that_is_written_in_two_ways_is_read_once(tmp_path):
    for name in ("1.png", "2.png", "002.png"):
        cv2.imwrite(str(tmp_path / name), picture(len(name)))
    with open_reader(tmp_path / "%d.png") as reader:
        assert [frame.pts for frame in reader] == [0, 1]


@pytest.mark.parametrize(
    ("number", "content"), [(3, b"no picture at all"), (5, b"no picture at all"), (3, b"")]
)
def test_a_damaged_picture_is_skipped_and_counted(tmp_path, number, content):
    source = pictures(tmp_path / "in", range(1, 6))
    (tmp_path / "in" / f"0000{number}.png").write_bytes(content)
    (tmp_path / "out").mkdir()
    with open_reader(source) as reader:
        with open_writer(tmp_path / "out" / "%05d.png", reader, reader.info) as writer:
            for frame in reader:
                writer.write(frame)
        assert str(reader.losses) == "1 damaged packet skipped"
    assert names(tmp_path / "out") == [f"0000{n}.png" for n in range(1, 6) if n != number]
    assert np.array_equal(load(tmp_path / "out" / "00004.png"), picture(4))


def test_a_jpeg_that_was_cut_off_is_counted_and_its_thumbnail_is_not_taken_for_its_end(tmp_path):
    whole = cv2.imencode(".jpg", picture())[1].tobytes()
    thumbnail = b"Exif\0\0" + cv2.imencode(".jpg", picture()[:8, :8])[1].tobytes()
    # With a fill byte, of which any number may stand before a marker.
    whole = whole[:2] + struct.pack(">BHH", 0xFF, 0xFFE1, len(thumbnail) + 2) + thumbnail + whole[2:]
    for data, damage in ((whole, ""), (whole[:-40], "1 damaged frame patched by the decoder")):
        (tmp_path / "in.jpg").write_bytes(data)
        assert vn.run(tmp_path / "in.jpg", "none", tmp_path / "out.png", overwrite=True).damage == damage


def test_pictures_of_several_sizes_are_refused_by_name(tmp_path):
    source = pictures(tmp_path / "in", range(3))
    cv2.imwrite(str(tmp_path / "in" / "00002.png"), picture()[:20])
    with pytest.raises(InputError, match=r"00002\.png is 56x20.*56x40"):
        convert(source, tmp_path / "out.mkv")
    assert names(tmp_path) == ["in"]


def test_missing_pictures_and_folders_are_named(tmp_path):
    pictures(tmp_path / "in", (1,), name="frame{:d}.png")
    with pytest.raises(InputError, match=r"no such pictures.*there is frame1\.png"):
        open_reader(tmp_path / "in" / "%05d.png")
    with pytest.raises(InputError, match="no folder"):
        open_reader(tmp_path / "nowhere" / "%05d.png")
    with pytest.raises(UsageError, match="one number"):
        open_reader(tmp_path / "%d" / "%05d.png")
    with pytest.raises(UsageError, match="--rate is for numbered pictures"):
        open_reader(tmp_path / "in" / "frame1.png", rate=10)


def test_existing_pictures_are_replaced_only_when_asked(tmp_path):
    source = pictures(tmp_path / "in", range(2))
    pictures(tmp_path / "out", range(2), channels=1)
    with pytest.raises(UsageError, match=r"00000\.png and 1 more exist; add --overwrite"):
        convert(source, tmp_path / "out" / "%05d.png")
    convert(source, tmp_path / "out" / "%05d.png", overwrite=True)
    assert load(tmp_path / "out" / "00001.png").shape == (*SIZE, 3)
    assert names(tmp_path / "out") == ["00000.png", "00001.png"]


def test_the_input_is_never_written_over(tmp_path):
    source = pictures(tmp_path / "in", range(2))
    with pytest.raises(UsageError, match="the input itself"):
        convert(source, tmp_path / "in" / ".." / "in" / "%05d.png", overwrite=True)
    with pytest.raises(UsageError, match="the input itself"):
        convert(tmp_path / "in" / "00000.png", tmp_path / "in" / "00000.png", overwrite=True)


def test_an_output_folder_that_is_missing_is_named_with_the_cure(tmp_path):
    source = pictures(tmp_path / "in", range(2))
    with pytest.raises(OutputError, match="mkdir -p"):
        convert(source, tmp_path / "out" / "%05d.png")


def test_many_frames_do_not_go_into_one_picture(tmp_path):
    source = pictures(tmp_path / "in", range(2))
    with pytest.raises(UsageError, match=r"type .*one%05d\.png for all"):
        convert(source, tmp_path / "one.png")
    assert names(tmp_path) == ["in"]


def test_stopping_leaves_whole_pictures_and_no_other_files(tmp_path):
    source = pictures(tmp_path / "in", range(6))
    (tmp_path / "out").mkdir()

    def fail_at_the_fourth(frame):
        if frame.pts == 3:
            raise KeyboardInterrupt
        return frame

    with pytest.raises(KeyboardInterrupt):
        convert(source, tmp_path / "out" / "%05d.png", fail_at_the_fourth)
    left = names(tmp_path / "out")
    assert set(left) <= {"00000.png", "00001.png", "00002.png"}
    assert all(np.array_equal(load(tmp_path / "out" / n), load(tmp_path / "in" / n)) for n in left)


def test_a_disk_that_refuses_ends_the_run(tmp_path):
    source = pictures(tmp_path / "in", range(6))
    (tmp_path / "out").mkdir()

    def take_the_folder_away(frame):
        if frame.pts == 2:
            for path in (tmp_path / "out").iterdir():
                path.unlink(missing_ok=True)  # the writer may be renaming it
            (tmp_path / "out").rename(tmp_path / "gone")
        return frame

    with pytest.raises(OutputError, match="out"):
        convert(source, tmp_path / "out" / "%05d.png", take_the_folder_away)


def test_pictures_become_a_video_that_players_show_and_a_video_becomes_pictures(tmp_path):
    source = pictures(tmp_path / "in", (4, 5, 6))
    warnings = convert(source, tmp_path / "clip.mp4", rate=10)
    assert any("yuv420p" in warning for warning in warnings)
    with av.open(tmp_path / "clip.mp4") as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert [frame.time for frame in container.decode(stream)] == pytest.approx([0, 0.1, 0.2])
    (tmp_path / "out").mkdir()
    convert(tmp_path / "clip.mp4", tmp_path / "out" / "%03d.png")
    assert names(tmp_path / "out") == ["001.png", "002.png", "003.png"]
    error = load(tmp_path / "out" / "002.png").astype(int) - picture(5)
    assert np.abs(error).mean() < 6


@pytest.mark.parametrize("change", [None, same_again])
@pytest.mark.parametrize("width", [55, 56])
def test_gray_pictures_become_a_gray_video(tmp_path, width, change):
    for number in range(2):
        cv2.imwrite(str(tmp_path / f"{number}.png"), picture(number, 1)[:, :width])
    convert(tmp_path / "%d.png", tmp_path / "out.mp4", change)
    with av.open(tmp_path / "out.mp4") as container:
        shown = [frame.to_ndarray(format="rgb24").astype(int) for frame in container.decode(video=0)]
    for number, colours in enumerate(shown):
        assert np.abs(colours - picture(number, 1)[:, :width, None]).max() < 20


@pytest.mark.parametrize("suffix", ["png", "tif", "bmp", "webp", "ppm"])
def test_one_picture_becomes_one_picture_in_every_lossless_format(tmp_path, suffix):
    cv2.imwrite(str(tmp_path / "in.png"), picture())
    convert(tmp_path / "in.png", tmp_path / f"out.{suffix}")
    assert np.array_equal(load(tmp_path / f"out.{suffix}")[..., :3], picture())
    convert(tmp_path / f"out.{suffix}", tmp_path / "back.png")
    assert np.array_equal(load(tmp_path / "back.png")[..., :3], picture())


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_transparency_and_16_bits_are_kept(tmp_path, suffix, depth):
    cv2.imwrite(str(tmp_path / "in.png"), picture(0, 4, depth))
    assert convert(tmp_path / "in.png", tmp_path / f"out.{suffix}", same_again) == []
    convert(tmp_path / f"out.{suffix}", tmp_path / "back.png")
    assert np.array_equal(load(tmp_path / "back.png"), picture(0, 4, depth))


def test_what_a_format_cannot_hold_is_said(tmp_path):
    cv2.imwrite(str(tmp_path / "in.png"), picture(0, 4, 16))
    said = " ".join(convert(tmp_path / "in.png", tmp_path / "out.jpg"))
    assert "transparency" in said
    assert "8 of 16 bits" in said
    said = " ".join(convert(tmp_path / "in.png", tmp_path / "out.ppm"))
    assert "transparency" in said
    with pytest.raises(OutputError, match=r"use \.png"):
        convert(tmp_path / "in.png", tmp_path / "out.pgm")
    assert ".bmp holds 8 of 16 bits" in " ".join(convert(tmp_path / "in.png", tmp_path / "out.bmp"))
    for said, options in {
        "--preset does not apply": {"preset": "fast"},
        r"--crf does not apply to \.png pictures \(to \.jpg it does": {"crf": 10},
        r"\.png pictures are made by png, not --codec mjpeg": {"codec": "mjpeg"},
        r"\.png cannot hold --pix-fmt yuv420p; it can hold .*rgb24": {"pix_fmt": "yuv420p"},
    }.items():
        with pytest.raises(UsageError, match=said):
            convert(tmp_path / "in.png", tmp_path / "new.png", **options)
    convert(tmp_path / "in.png", tmp_path / "gray.png", pix_fmt="gray")
    assert load(tmp_path / "gray.png").shape == SIZE
    with pytest.raises(UsageError, match=r"pictures are written as \.png"):
        convert(tmp_path / "in.png", tmp_path / "%05d.jp2")


def test_a_video_may_have_a_number_s_mark_in_its_name(tmp_path):
    cv2.imwrite(str(tmp_path / "in.png"), picture())
    convert(tmp_path / "in.png", tmp_path / "50%d.mp4")
    assert (tmp_path / "50%d.mp4").is_file()


def test_jpeg_stays_jpeg_at_a_quality_that_shows_no_loss(tmp_path):
    smooth = cv2.resize(picture(), (160, 120), interpolation=cv2.INTER_CUBIC)
    cv2.imwrite(str(tmp_path / "in.jpg"), smooth, [cv2.IMWRITE_JPEG_QUALITY, 95])
    convert(tmp_path / "in.jpg", tmp_path / "fine.jpg")
    convert(tmp_path / "in.jpg", tmp_path / "rough.jpg", crf=20)
    original = load(tmp_path / "in.jpg")
    assert cv2.PSNR(load(tmp_path / "fine.jpg"), original) > 45
    assert (tmp_path / "rough.jpg").stat().st_size < (tmp_path / "fine.jpg").stat().st_size / 2
    convert(tmp_path / "in.jpg", tmp_path / "out.png")
    assert cv2.PSNR(load(tmp_path / "out.png"), original) > 40


PROFILE = bytes(range(256)) * 300
EXIF = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"
"""Little-endian TIFF with one entry: orientation 6."""


def tagged_png(path: Path) -> None:
    _, data = cv2.imencode(".png", picture())
    plain = data.tobytes()
    chunks = {
        b"iCCP": b"p\0\0" + zlib.compress(PROFILE),
        b"pHYs": struct.pack(">IIB", 11811, 11811, 1),
        b"eXIf": EXIF,
    }
    added = b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks.items()
    )
    path.write_bytes(plain[:33] + added + plain[33:])


def test_a_colour_profile_does_no_harm_to_a_video_made_of_the_picture(tmp_path):
    tagged_png(tmp_path / "in.png")
    convert(tmp_path / "in.png", tmp_path / "out.mkv")
    convert(tmp_path / "in.png", tmp_path / "png.mov", codec="png")
    for name in ("out.mkv", "png.mov"):
        with av.open(tmp_path / name) as container:
            assert len(list(container.decode(video=0))) == 1


def test_a_damaged_resolution_costs_the_picture_nothing(tmp_path):
    plain = cv2.imencode(".png", picture())[1].tobytes()
    chunk = struct.pack(">I4s2sI", 2, b"pHYs", b"\0\0", zlib.crc32(b"pHYs\0\0"))
    (tmp_path / "in.png").write_bytes(plain[:33] + chunk + plain[33:])
    assert convert(tmp_path / "in.png", tmp_path / "out.png") == []
    assert np.array_equal(load(tmp_path / "out.png"), picture())


def test_profile_exif_and_resolution_stay_with_png_and_jpeg(tmp_path):
    """Also through a numbered sequence; as Pillow, which scikit-image brings, reads them."""
    from PIL import Image

    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    tagged_png(tmp_path / "in" / "1.png")
    ways = [("in/1.png", "a.png"), ("a.png", "b.jpg"), ("b.jpg", "c.jpg"), ("c.jpg", "d.png")]
    for source, target in [*ways, ("in/%d.png", "out/%d.png")]:
        assert convert(tmp_path / source, tmp_path / target) == []
        with Image.open(tmp_path / (target % 1 if "%" in target else target)) as image:
            image.load()
            assert image.info["icc_profile"] == PROFILE
            assert image.info["dpi"] == pytest.approx((300, 300), abs=0.1)
            assert image.getexif()[0x112] == 6
    rotation, tags = convert(tmp_path / "a.png", tmp_path / "e.tif")
    assert rotation == ".tif cannot hold the rotation of the input; .png and .jpg can"
    assert "not carried" in tags


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_pictures_and_videos_stay_upright_in_each_other(tmp_path, suffix):
    """EXIF counts eight orientations, and a video's display matrix holds each of them."""
    from PIL import Image

    upright = set()
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x112] = orientation
        Image.fromarray(picture()).save(tmp_path / f"in.{suffix}", exif=exif)
        convert(tmp_path / f"in.{suffix}", tmp_path / "video.mp4", overwrite=True)
        with av.open(tmp_path / "video.mp4") as container:
            sides = [bytes(side) for side in next(container.decode(video=0)).side_data]
        upright.add(tuple(sides))
        convert(tmp_path / "video.mp4", tmp_path / f"back.{suffix}", overwrite=True)
        with Image.open(tmp_path / f"back.{suffix}") as image:
            assert image.getexif().get(0x112, 1) == orientation
    assert len(upright) == 8
    assert "rotation" in " ".join(convert(tmp_path / "video.mp4", tmp_path / "back.tif"))


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_pictures_become_an_animated_png_without_loss_and_it_another(tmp_path, channels):
    source = pictures(tmp_path / "in", [1, 2, 4], channels=channels)
    assert not [line for line in convert(source, tmp_path / "out.apng", same_again) if "missing" not in line]
    assert not convert(tmp_path / "out.apng", tmp_path / "again.apng")
    kind = {1: "gray", 3: "bgr24", 4: "bgra"}[channels]
    with av.open(str(tmp_path / "again.apng")) as made:
        shown = [(frame.time, frame.to_ndarray(format=kind)) for frame in made.decode(video=0)]
    assert [round(time, 2) for time, _ in shown] == [0, 0.04, 0.12]
    for number, (_, image) in zip((1, 2, 4), shown, strict=True):
        assert np.array_equal(image.reshape(picture(number, channels).shape), picture(number, channels))


def test_pictures_that_no_decoder_knows_are_answered_with_what_to_type(tmp_path):
    (tmp_path / "1.jxl").write_bytes(b"\xff\x0a" + bytes(50))
    with pytest.raises(InputError, match=r"\(jpegxl\).*: ffmpeg -i .*%d\.jxl .*%d\.png"):
        open_reader(tmp_path / "%d.jxl")


@pytest.mark.parametrize("there", [True, False])
def test_one_picture_as_the_output_of_several_leaves_what_stood_there(tmp_path, there):
    """How many pictures an APNG holds is known at its end alone."""
    convert(pictures(tmp_path / "in", [1, 2, 3]), tmp_path / "in.apng")
    target = tmp_path / "out.png"
    if there:
        target.write_bytes(b"dear")
    with pytest.raises(UsageError, match=r"out\.png is one picture, the input has more; type .*out%05d\.png"):
        vn.run(tmp_path / "in.apng", "none", target, overwrite=True)
    assert (target.read_bytes() == b"dear") if there else not target.exists()


@pytest.mark.parametrize(
    ("name", "video"),
    [
        ("take.%04d.exr", "take.mkv"),
        ("take_%04d.exr", "take.mkv"),
        ("take.0001.exr", "take.0001.mkv"),
        ("%04d.exr", "out.mkv"),
        ("shot.1001.exr", "shot.1001.mkv"),
        ("-start_number 1001 -i shot.%04d.exr", "shot.mkv"),
    ],
)
def test_light_in_floating_point_is_answered_with_what_encodes_it_as_screens_show_it(
    tmp_path, monkeypatch, name, video
):
    monkeypatch.chdir(tmp_path)
    context = av.CodecContext.create("exr", "w")
    context.width, context.height, context.pix_fmt = 32, 16, "gbrpf32le"
    context.time_base = Fraction(1, 25)
    frame = av.VideoFrame(32, 16, "gbrpf32le")
    for plane in frame.planes:
        plane.update(np.ones((16, 32), np.float32).tobytes())
    data = b"".join(map(bytes, [*context.encode(frame), *context.encode(None)]))
    begin, _, name = name.rpartition("-i ")
    number = int(begin.split()[1]) if begin else 1
    Path(name % number if "%" in name else name).write_bytes(data)
    typed = rf"ffmpeg -apply_trc iec61966_2_1 {begin}-i {name} -pix_fmt gbrp16le -c:v ffv1 {video}$"
    with pytest.raises(InputError, match=typed):
        open_reader(name)
