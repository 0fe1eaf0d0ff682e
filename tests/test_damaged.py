"""Damaged input: a clear error, or a file with what could be saved and a count of what could not; never a hang."""

from __future__ import annotations

import io
import random
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import clips
import pytest
from clips import Clip
from test_files import through

from vidnoise.errors import InputError, VidnoiseError
from vidnoise.io import OutputOptions, open_reader, open_writer
from vidnoise.io.decode import Losses

FRAMES = 40


class Streamed(io.BytesIO):
    """A file whose header cannot be mended at the end."""

    def seekable(self) -> bool:
        return False


@pytest.fixture(scope="module")
def intact(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same film with sound in several containers and codecs."""
    folder = tmp_path_factory.mktemp("intact")
    options = {"g": "10", "crf": "20"}
    made = {
        "mp4": Clip(frames=FRAMES, audio="aac", options=options),
        "mkv": Clip(frames=FRAMES, audio="pcm_s16le", options=options),
        "ts": Clip(frames=FRAMES, audio="aac", options=options),
        "avi": Clip(frames=FRAMES, codec="mpeg4", options={"g": "10", "b": "1M"}),
        "webm": Clip(frames=FRAMES, codec="libvpx-vp9", options={"g": "10", "b": "1M"}),
        "mov": Clip(frames=FRAMES, codec="mjpeg", pix_fmt="yuvj420p", options={"qmin": "2", "qmax": "2"}),
    }
    return {ext: clip.save(folder / f"clip.{ext}") for ext, clip in made.items()}


def flipped(data: bytes, seed: int) -> bytes:
    """1 to 20 bytes at seeded places replaced; half of the times only behind the header."""
    dice = random.Random(seed)
    spoiled = bytearray(data)
    first = 0 if seed % 2 else len(data) // 10
    for _ in range(dice.randint(1, 20)):
        spoiled[dice.randrange(first, len(data))] = dice.randrange(256)
    return bytes(spoiled)


def save_what_is_left(source: Path, target: Path) -> tuple[int, Any]:
    """Copy a file as the command does; the count of frames and the losses."""
    count = 0
    with open_reader(source, threads=1, assume_progressive=True) as reader:
        options = OutputOptions(codec="mpeg4", threads=1)
        with open_writer(target, reader, reader.info, options) as writer:
            for frame in reader:
                writer.write(frame)
                count += 1
    return count, reader.losses


@pytest.mark.parametrize("part", range(10))
def test_flipped_bits_give_an_error_or_a_file(intact: dict[str, Path], tmp_path: Path, part: int) -> None:
    """200 seeded places over six containers; a hang is caught by the test's time limit."""
    saved = lossy = 0
    for seed in range(20 * part, 20 * part + 20):
        ext = list(intact)[seed // 2 % len(intact)]
        source, target = tmp_path / f"in{seed}.{ext}", tmp_path / f"out{seed}.mkv"
        source.write_bytes(flipped(intact[ext].read_bytes(), seed))
        try:
            count, losses = save_what_is_left(source, target)
        except VidnoiseError:
            assert not target.exists()
        else:
            saved += 1
            lossy += bool(losses)
            assert count > 0
            assert len(clips.decoded(target)) == count
            assert bool(losses) == bool(str(losses))
    assert saved >= 10
    assert lossy >= 1


@pytest.mark.parametrize("ext", ["mp4", "mkv", "ts", "avi", "webm"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_a_truncated_file_gives_its_beginning(
    intact: dict[str, Path], tmp_path: Path, ext: str, share: float
) -> None:
    data = intact[ext].read_bytes()
    source = tmp_path / f"in.{ext}"
    source.write_bytes(data[: int(len(data) * share)])
    try:
        count, losses = save_what_is_left(source, tmp_path / "out.mkv")
    except InputError:
        assert ext == "mp4", "only the index at the end of an MP4 makes the whole unreadable"
        return
    assert 0 < count <= FRAMES
    numbers = [clips.number_of(f) for f in clips.decoded(tmp_path / "out.mkv")]
    assert numbers[: count - 2] == list(range(count - 2))
    if ext in ("mkv", "avi", "webm") and share < 0.9:
        assert count < FRAMES
        assert losses.truncated
        assert "too early" in str(losses)


def test_a_truncated_mp4_with_its_index_in_front_gives_its_beginning(tmp_path: Path) -> None:
    clip = Clip(frames=FRAMES, options={"g": "10", "crf": "20"}, container_options={"movflags": "+faststart"})
    data = clip.save(tmp_path / "whole.mp4").read_bytes()
    (tmp_path / "in.mp4").write_bytes(data[: len(data) * 6 // 10])
    count, losses = save_what_is_left(tmp_path / "in.mp4", tmp_path / "out.mkv")
    assert 5 < count < FRAMES
    assert losses.truncated


@pytest.mark.parametrize("missing", [0, 1, 96 * 64])
def test_a_y4m_that_ends_in_a_picture_is_told_of(tmp_path: Path, missing: int) -> None:
    source = Clip(frames=5, codec="rawvideo", options={}).save(tmp_path / "in.y4m")
    data = source.read_bytes()
    source.write_bytes(data[: len(data) - missing])
    count, losses = save_what_is_left(source, tmp_path / "out.mkv")
    assert count == (4 if missing else 5)
    assert losses.truncated == bool(missing)


@pytest.mark.parametrize("share", [0.51, 0.71, 1])
@pytest.mark.parametrize(
    ("ext", "codec", "pix_fmt"),
    [
        ("ogv", "libvpx", "yuv420p"), ("gif", "gif", "bgr8"), ("wmv", "wmv2", "yuv420p"), ("nut", "ffv1", "yuv420p"),
        ("ts", "mpeg2video", "yuv420p"), ("m2ts", "mpeg2video", "yuv420p"), ("dv", "dvvideo", "yuv420p"),
        ("mxf", "mpeg2video", "yuv420p"),
    ],
)  # fmt: skip
def test_a_file_that_lacks_its_end_is_told_of_where_its_header_promises_no_length(
    tmp_path: Path, ext: str, codec: str, pix_fmt: str, share: float
) -> None:
    size = (720, 576) if ext == "dv" else (96, 64)
    clip = Clip(
        frames=40, size=size, codec=codec, pix_fmt=pix_fmt, options={"b": "2M"}, time_base=Fraction(1, 25)
    )
    source = clip.save(tmp_path / f"in.{ext}")
    data = source.read_bytes()
    source.write_bytes(data[: int(len(data) * share)])
    with open_reader(source, assume_progressive=True) as reader:
        count = len(list(reader))
    assert (count == 40) == (share == 1)
    assert reader.losses.truncated == (share < 1)


@pytest.mark.parametrize("share", [0.51, 0.99, 1])
@pytest.mark.parametrize("format", ["matroska", "avi"])
def test_what_was_streamed_promises_no_length_and_is_told_of_all_the_same(
    tmp_path: Path, format: str, share: float
) -> None:
    """A recording that a crash has ended is such a file."""
    held = Streamed()
    Clip(frames=40, codec="mpeg4", options={"g": "5", "b": "1M"}, format=format).save(held)
    source = tmp_path / "in"
    source.write_bytes(held.getvalue()[: int(len(held.getvalue()) * share)])
    with open_reader(source) as reader:
        assert (len(list(reader)) == 40) == (share == 1)
    assert bool(reader.losses) == (share < 1)
    assert reader.info.frames is None


def test_realmedia_that_was_streamed_is_whole_though_it_promises_an_hour(tmp_path: Path) -> None:
    held = Streamed()
    Clip(frames=40, size=(176, 144), codec="rv10", time_base=Fraction(1, 25), format="rm").save(held)
    (tmp_path / "in.rm").write_bytes(held.getvalue())
    with open_reader(tmp_path / "in.rm") as reader:
        assert len(list(reader)) == 40
    assert not reader.losses


def test_wmv_that_lacks_its_index_alone_is_whole(tmp_path: Path) -> None:
    source = Clip(codec="wmv2", options={"b": "2M"}).save(tmp_path / "in.wmv")
    data = source.read_bytes()
    source.write_bytes(data[: data.rindex(bytes.fromhex("90080033B1E5CF1189F400A0C90349CB"))])
    assert len(source.read_bytes()) < len(data)
    with open_reader(source) as reader:
        assert len(list(reader)) == 12
    assert not reader.losses


def test_an_mp4_that_was_cut_off_before_its_index_is_told_so(tmp_path: Path) -> None:
    data = Clip(frames=FRAMES).save(tmp_path / "whole.mp4").read_bytes()
    (tmp_path / "in.mp4").write_bytes(data[: len(data) // 2])
    with pytest.raises(InputError, match=r"before its index \(moov\).* was cut off"):
        open_reader(tmp_path / "in.mp4")


@pytest.mark.parametrize("ext", ["mp4", "mkv", "ts", "avi", "webm", "mov"])
def test_intact_files_have_no_losses(intact: dict[str, Path], tmp_path: Path, ext: str) -> None:
    count, losses = save_what_is_left(intact[ext], tmp_path / "out.mkv")
    assert count == FRAMES
    assert not losses, losses
    assert str(losses) == ""


@pytest.mark.parametrize("ext", ["mp4", "mkv", "mov"])
@pytest.mark.parametrize("rate", [2, 5])
def test_few_frames_a_second_are_no_sign_of_an_early_end(tmp_path: Path, ext: str, rate: int) -> None:
    source = Clip(frames=FRAMES, rate=rate, options={"bf": "3", "crf": "20"}).save(tmp_path / f"in.{ext}")
    count, losses = save_what_is_left(source, tmp_path / "out.mkv")
    assert count == FRAMES
    assert not losses, losses


@pytest.mark.parametrize("threads", [1, 4])
def test_damage_in_the_middle_is_counted_and_marked_as_a_cut(tmp_path: Path, threads: int) -> None:
    """Twenty pictures overwritten: what follows belongs to no frame before them."""
    source = Clip(frames=100, options={"g": "10", "crf": "10"}).save(tmp_path / "whole.mp4")
    with av.open(str(source)) as container:
        places = [(p.pos, p.size) for p in container.demux() if p.size and p.pos is not None]
    data = bytearray(source.read_bytes())
    for place, size in places[40:60]:
        data[place : place + size] = b"\xff" * size
    (tmp_path / "in.mp4").write_bytes(data)
    with open_reader(tmp_path / "in.mp4", threads=threads) as reader:
        step = round(Fraction(1, 25) / reader.info.time_base)
        frames = [
            (clips.number_of(f.planes[0].numpy()), f.pts // step, f.cut)
            for f in reader
            if f.planes and f.pts is not None
        ]
    assert reader.losses.packets >= 15
    assert [number for number, _, _ in frames[:38]] == list(range(38))
    assert [number for number, _, _ in frames[-38:]] == list(range(62, 100))
    assert all(place == number for number, place, _ in frames if place < 38 or place >= 62)
    assert not any(cut for _, place, cut in frames if place < 36 or place > 62)
    assert [cut for _, place, cut in frames if place == 60] == [True]


def test_a_part_that_is_lost_is_refused_and_shows_no_picture_from_before_it(tmp_path: Path) -> None:
    source = Clip(frames=100, options={"g": "10", "crf": "10"}).save(tmp_path / "in.mp4")
    for back in range(1, 51):
        empty_packet(source, back)
    with pytest.raises(InputError, match="no frame lies in the part"):
        open_reader(source, start=3)


def empty_packet(path: Path, back: int) -> None:
    """Overwrite a packet by zeros, counted from the last, 1."""
    with av.open(str(path)) as container:
        place, size = [(p.pos, p.size) for p in container.demux() if p.size][-back]
        head = 8 if container.format.name == "avi" else 0
    data = bytearray(path.read_bytes())
    assert place is not None
    data[place + head : place + head + size] = bytes(size)
    path.write_bytes(data)


@pytest.mark.parametrize(("codec", "pix_fmt"), [("prores_ks", "yuv422p10le"), ("png", "rgb24")])
def test_a_last_picture_that_is_damaged_costs_no_other(tmp_path: Path, codec: str, pix_fmt: str) -> None:
    source = Clip(frames=12, codec=codec, pix_fmt=pix_fmt, options={}).save(tmp_path / "in.mov")
    empty_packet(source, 1)
    with open_reader(tmp_path / "in.mov", threads=8) as reader:
        times = [frame.pts * frame.time_base for frame in reader if frame.pts is not None]
    assert times == [Fraction(number, 25) for number in range(11)]
    assert reader.losses.packets == 1


@pytest.mark.parametrize("back", [1, 3])
@pytest.mark.parametrize("frames", [5, 30])
def test_damage_among_the_last_packets_costs_nothing_else_whatever_the_threads(
    tmp_path: Path, back: int, frames: int
) -> None:
    options = {"bf": "0", "crf": "10", "refs": "1", "g": "1" if back > 1 else "50"}
    source = Clip(frames=frames, options=options).save(tmp_path / "in.mp4")
    empty_packet(source, back)
    for threads in (1, 8):
        numbers, losses = read(source, threads)
        assert numbers == [number for number in range(frames) if number != frames - back]
        assert losses.packets == 1


def read(path: Path, threads: int, start: float = 0) -> tuple[list[int], Losses]:
    """The numbers of the frames of a clip, and what was lost."""
    with open_reader(path, threads=threads, start=start) as reader:
        return [clips.number_of(frame.planes[0].numpy()) for frame in reader if frame.planes], reader.losses


@pytest.mark.parametrize("back", [1, 2, 5])
def test_damage_among_the_last_reordered_pictures_of_avi_costs_the_same_whatever_the_threads(
    tmp_path: Path, back: int
) -> None:
    """AVI has no times of showing, and what FFmpeg makes of those of decoding jumps to and fro."""
    options = {"bf": "3", "crf": "10", "g": "12"}
    source = Clip(frames=60, options=options).save(tmp_path / "in.avi")
    empty_packet(source, back)
    assert read(source, threads=8) == read(source, threads=1)


def test_what_is_never_shown_at_the_start_is_not_looked_for_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It refers to pictures before the start; all of the last packets were decoded once more."""
    params = "bframes=3:keyint=12:open-gop=1:scenecut=0:log-level=error"
    source = Clip(frames=40, codec="libx265", options={"x265-params": params}).save(tmp_path / "in.mkv")
    monkeypatch.setattr("vidnoise.io.decode._alone", lambda context: pytest.fail("decoded once more"))
    assert read(source, threads=8, start=0.96) == (list(range(24, 40)), Losses())


@pytest.mark.parametrize("threads", [1, 8])
@pytest.mark.parametrize(
    ("params", "twice", "lost", "left", "count"),
    [
        ("bframes=0:open-gop=0", False, 4, [*range(4), *range(10, 30)], 5),
        ("bframes=3:open-gop=1", False, 0, [*range(10, 30)], 0),
        ("bframes=3:open-gop=1", True, 30, [*range(30), *range(10, 30)], 9),
    ],
)
def test_of_hevc_all_that_is_intact_is_shown_and_what_follows_on_a_loss_is_counted(
    tmp_path: Path, params: str, twice: bool, lost: int, left: list[int], count: int, threads: int
) -> None:
    """What refers to a picture that is gone comes out gray, up to the next keyframe."""
    params = f"{params}:keyint=10:min-keyint=10:scenecut=0:log-level=error"
    source = Clip(frames=30, codec="libx265", options={"x265-params": params}).save(tmp_path / "whole.ts")
    target = tmp_path / "lost.ts"
    with av.open(str(source)) as one, av.open(str(source)) as two, av.open(str(target), "w") as out:
        stream = out.add_stream_from_template(one.streams.video[0])
        packets = [[packet for packet in part.demux(video=0) if packet.size] for part in (one, two)]
        for packet in packets[1]:
            packet.pts, packet.dts = packet.pts + 30 * 3600, packet.dts + 30 * 3600
        for number, packet in enumerate(packets[0] + packets[1] * twice):
            if number != lost:
                packet.stream = stream
                out.mux(packet)
    numbers, losses = read(target, threads)
    assert (numbers, losses.packets, losses.frames) == (left, count, 0)


def test_of_hevc_that_begins_with_a_gradual_refresh_nothing_is_shown_before_it_is_whole(
    tmp_path: Path,
) -> None:
    params = "bframes=0:keyint=99:scenecut=0:repeat-headers=1:log-level=error"
    whole = Clip(frames=30, codec="libx265", options={"x265-params": params}).save(tmp_path / "whole.ts")
    refreshed_after_four = bytes.fromhex("000000014E010602114080")  # a recovery point
    with av.open(str(whole)) as source, av.open(str(tmp_path / "late.ts"), "w") as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        headers = bytes(source.streams.video[0].codec_context.extradata or b"")
        packets = [packet for packet in source.demux(video=0) if packet.size]
        for packet in packets[10:]:
            data = (headers + refreshed_after_four) * (packet is packets[10]) + bytes(packet)
            made = av.Packet(data)
            made.pts, made.dts, made.time_base = packet.pts, packet.dts, packet.time_base
            made.stream = stream
            out.mux(made)
    for threads in (1, 8):
        with open_reader(tmp_path / "late.ts", threads=threads) as reader:
            assert len(list(reader)) == 16
        assert not reader.losses


def test_a_hole_in_a_transport_stream_is_a_loss_and_a_joined_one_is_not(tmp_path: Path) -> None:
    whole = Clip(frames=100, options={"g": "10", "crf": "10"}).save(tmp_path / "whole.ts").read_bytes()
    (tmp_path / "hole.ts").write_bytes(
        whole[: len(whole) // 2] + bytes(188 * 20) + whole[len(whole) // 2 + 188 * 20 :]
    )
    (tmp_path / "joined.ts").write_bytes(whole + whole)
    count, losses = save_what_is_left(tmp_path / "hole.ts", tmp_path / "out.ts")
    assert count < 100
    assert "incomplete packet" in str(losses)
    count, losses = save_what_is_left(tmp_path / "joined.ts", tmp_path / "out2.ts")
    assert count == 200
    assert not losses, losses


def test_broken_sound_does_not_spoil_the_picture(tmp_path: Path) -> None:
    source = Clip(frames=FRAMES, audio="aac").save(tmp_path / "whole.mp4")
    with av.open(str(source)) as container:
        places = [(p.pos, p.size) for p in container.demux(audio=0) if p.size and p.pos is not None]
    data = bytearray(source.read_bytes())
    for place, size in places[3:20]:
        data[place : place + size] = bytes(size)
    (tmp_path / "in.mp4").write_bytes(data)
    through(tmp_path / "in.mp4", tmp_path / "out.mp4")
    assert [clips.number_of(f) for f in clips.decoded(tmp_path / "out.mp4")] == list(range(FRAMES))


@pytest.mark.parametrize("codec", ["dnxhd", "libx264", "ffv1"])
def test_raw_samples_beyond_their_depth_do_not_reach_the_encoder(tmp_path: Path, codec: str) -> None:
    def spoil(number: int, frame: av.VideoFrame) -> av.VideoFrame:
        frame.planes[0].update(b"\xff" * frame.planes[0].buffer_size)
        return frame

    clip = Clip(codec="rawvideo", pix_fmt="yuv422p10le", options={}, frames=2, size=(256, 128), retouch=spoil)
    source = clip.save(tmp_path / "in.nut")
    profile = {"profile": "dnxhr_hqx"} if codec == "dnxhd" else {}
    target = tmp_path / ("out.mov" if codec == "dnxhd" else "out.mkv")
    through(source, target, OutputOptions(codec=codec, encoder_opts=profile))
    assert clips.decoded(target)[0].to_ndarray(format="gray").mean() > 235


@pytest.mark.parametrize("wrong", ["mp4", "avi", "mkv", "webm"])
def test_a_wrong_extension_does_not_matter(intact: dict[str, Path], tmp_path: Path, wrong: str) -> None:
    source = tmp_path / f"in.{wrong}"
    source.write_bytes(intact["ts"].read_bytes())
    count, losses = save_what_is_left(source, tmp_path / "out.mkv")
    assert (count, bool(losses)) == (FRAMES, False)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("empty.mp4", b"", "empty"),
        ("text.txt", b"This is not a video.\n" * 200, "video"),
        ("text.mp4", b"This is not a video.\n" * 200, "video"),
        ("zeros.mkv", bytes(100_000), "video"),
        ("noise.avi", random.Random(1).randbytes(100_000), "video"),
        ("short.mp4", b"\x00\x00\x00\x18ftypmp42", "video"),
        ("begin.mp4", b"\x00\x00\x00\x01\x67\x64\x00\x1e" + b"\xff" * 40, "video"),
    ],
)
def test_what_is_no_video_is_refused_by_name(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=words) as caught:
        open_reader(tmp_path / name)
    assert name in str(caught.value)


def test_a_missing_file_and_a_folder_are_explained(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.mp4 cannot be opened: No such file"):
        open_reader(tmp_path / "gone.mp4")
    with pytest.raises(InputError, match=r"is a folder; .* such as .*/%05d\.png"):
        open_reader(tmp_path)


@pytest.mark.parametrize("ext", ["JPG", "dpx"])
def test_a_folder_of_pictures_is_answered_with_what_to_type_for_these(tmp_path: Path, ext: str) -> None:
    for number in (9, 10):
        (tmp_path / f"shot 2 frame{number}_left.{ext}").touch()
    for name in (tmp_path, tmp_path / f"*.{ext}"):
        with pytest.raises(InputError, match=rf"/shot 2 frame%01d_left\.{ext}"):
            open_reader(name)


def test_memory_for_copied_streams_does_not_grow_while_no_picture_comes(tmp_path: Path) -> None:
    """Sound goes on for minutes after the last picture; its packets pass straight through."""
    source = Clip(frames=5, audio="pcm_s16le").save(tmp_path / "short.mkv")
    assert source.stat().st_size > 0
    with av.open(str(tmp_path / "long.mkv"), "w") as out:
        video: Any = out.add_stream("libx264", rate=25)
        video.width, video.height = 96, 64
        audio = out.add_stream("pcm_s16le", rate=48000, layout="mono")
        for index in range(5):
            frame = av.VideoFrame.from_ndarray(clips.picture(index), format="rgb24")
            out.mux(video.encode(frame.reformat(format="yuv420p")))
        out.mux(video.encode(None))
        for second in range(120):
            sound = av.AudioFrame.from_ndarray(clips.beeps(1), format="s16", layout="mono")
            sound.sample_rate, sound.pts = 48000, second * 48000
            out.mux(audio.encode(sound))
    with open_reader(tmp_path / "long.mkv") as reader:
        waiting: list[int] = []
        written = tmp_path / "out.mkv"
        writer = open_writer(written, reader, reader.info)
        for frame in reader:
            writer.write(frame)
            waiting.append(len(reader.packets._early or ()))
        writer.finish()
    assert max(waiting) == 0
    assert sum(len(data) for _, data in clips.packets(written, 1)) == 120 * 48000 * 2
