"""Times come out as they went in, to one tick of the coarser clock, and sound stays with the picture."""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import clips
import numpy as np
import pytest
from clips import Clip
from test_files import through

from vidnoise.errors import UsageError
from vidnoise.frame import Frame
from vidnoise.io import OutputOptions, open_reader

PHONE = [Fraction(i, 30) + Fraction((i * 7) % 5, 1000) for i in range(20)]
"""A phone's variable rate: a few milliseconds early or late."""

PAUSES = [Fraction(i, 25) + Fraction(i // 5 * 7, 10) for i in range(20)]
"""A screen recording: frames stop for 0.7 s now and then."""

FILM = [Fraction(1001 * i, 24000) for i in range(20)]


def check_times(source: Path, target: Path) -> None:
    """Same count, same times to one tick of the coarser time base."""
    before, after = clips.times(source), clips.times(target)
    coarser = max(clips.tick(source), clips.tick(target))
    assert len(after) == len(before)
    worst = max(abs(a - b) for a, b in zip(before, after, strict=True))
    assert worst <= coarser, f"{float(worst) * 1000:.3f} ms"
    assert [clips.number_of(f) for f in clips.decoded(target)] == [
        clips.number_of(f) for f in clips.decoded(source)
    ]


@pytest.mark.parametrize(
    "start", [0, 5, Fraction(123457, 90000)], ids=["at zero", "at 5 s", "at an odd time"]
)
@pytest.mark.parametrize("times", [PHONE, PAUSES, FILM], ids=["phone", "pauses", "film"])
@pytest.mark.parametrize(
    ("first", "second"),
    [("mp4", "mp4"), ("mp4", "mkv"), ("mkv", "mp4"), ("mkv", "mkv"), ("ts", "ts"), ("mov", "nut")],
)
def test_times_are_kept(
    tmp_path: Path, first: str, second: str, times: Sequence[Fraction], start: Fraction
) -> None:
    shifted = [time + start for time in times]
    options = {"bf": "0", "crf": "4"} if first == "ts" and start == 0 else {"bf": "3", "crf": "4"}
    precise = {"movie_timescale": "90000"} if first in ("mp4", "mov") else {}
    clip = Clip(times=shifted, options=options, container_options=precise)
    source = clip.save(tmp_path / f"in.{first}")
    assert abs(clips.times(source)[0] - start) <= clips.tick(source)
    through(source, tmp_path / f"out.{second}")
    check_times(source, tmp_path / f"out.{second}")


@pytest.mark.parametrize("ext", ["mp4", "mkv", "avi"])
@pytest.mark.parametrize("start", [0, 5, 70_000])
def test_what_counts_from_when_the_sender_began_counts_from_zero_in_a_file(
    tmp_path: Path, start: int, ext: str
) -> None:
    clip = Clip(frames=60, start=start, flashes=True, audio="mp2", codec="mpeg4", options={"qmax": "2"})
    source, target = clip.save(tmp_path / "in.ts"), tmp_path / f"out.{ext}"
    _, writer = through(source, target)
    assert writer.warnings == []
    before, after = clips.times(source), clips.times(target)
    assert 0 <= after[0] <= Fraction(1, 10)
    gaps = [np.diff([float(time) for time in times]) for times in (before, after)]
    np.testing.assert_allclose(gaps[1], gaps[0], atol=0.0011)
    flashes, beeps = clips.flash_times(target), clips.beep_times(target)
    assert len(flashes) == 3
    np.testing.assert_allclose(beeps[-2:], [float(time) for time in flashes[-2:]], atol=0.03)


@pytest.mark.parametrize(
    ("codec", "ext"),
    [("libx265", "mp4"), ("libsvtav1", "mp4"), ("libvpx-vp9", "webm"), ("mpeg4", "mp4"), ("ffv1", "mkv")],
)
def test_every_encoder_keeps_a_variable_rate(tmp_path: Path, codec: str, ext: str) -> None:
    source = Clip(times=[t + 2 for t in PHONE]).save(tmp_path / "in.mkv")
    through(source, tmp_path / f"out.{ext}", OutputOptions(codec=codec, threads=1))
    check_times(source, tmp_path / f"out.{ext}")


def test_a_fixed_rate_survives_avi(tmp_path: Path) -> None:
    source = Clip(times=FILM, rate=Fraction(24000, 1001), time_base=Fraction(1, 24000)).save(
        tmp_path / "in.mp4"
    )
    _, writer = through(source, tmp_path / "out.avi")
    assert writer.warnings == []
    check_times(source, tmp_path / "out.avi")
    with open_reader(tmp_path / "out.avi") as out:
        assert out.info.rate == Fraction(24000, 1001)


@pytest.mark.parametrize("ext", ["mp4", "mkv", "avi"])
@pytest.mark.parametrize("before", [21, 36, 39])
def test_a_pause_between_reordered_frames_keeps_its_place_and_the_file_its_length(
    tmp_path: Path, ext: str, before: int
) -> None:
    times = [Fraction(i, 30) + (5 if i >= before else 0) for i in range(40)]
    source = Clip(times=times, rate=30, options={"bf": "3", "crf": "10"}).save(tmp_path / "in.mp4")
    _, writer = through(source, tmp_path / f"out.{ext}")
    assert writer.warnings == []
    with av.open(str(tmp_path / f"out.{ext}")) as out:
        assert abs(Fraction(out.duration or 0, 1_000_000) - times[-1] - Fraction(1, 30)) < Fraction(1, 500)
    if ext != "avi":
        check_times(source, tmp_path / f"out.{ext}")


@pytest.mark.parametrize("ext", ["mp4", "mkv"])
@pytest.mark.parametrize(("before", "reordered"), [(38, 2), (38, 3), (39, 1)])
def test_a_pause_before_the_last_frames_counts_however_they_are_reordered(
    tmp_path: Path, ext: str, before: int, reordered: int
) -> None:
    """QuickTime files are as long as their frames are decoded, and the last of these was over before the pause."""
    times = [Fraction(i, 30) + (5 if i >= before else 0) for i in range(40)]
    source = Clip(times=times, rate=30).save(tmp_path / "in.mkv")
    options = OutputOptions(encoder_opts={"x264-params": f"b-adapt=0:bframes={reordered}"})
    through(source, tmp_path / f"out.{ext}", options)
    with av.open(str(tmp_path / f"out.{ext}")) as out:
        assert abs(Fraction(out.duration or 0, 1_000_000) - times[-1] - Fraction(1, 30)) < Fraction(1, 500)
    check_times(source, tmp_path / f"out.{ext}")


def twice(one: Path, target: Path) -> Path:
    """A file that holds the video of another one two times."""
    with av.open(str(one)) as source, av.open(str(target), "w") as two:
        video = source.streams.video[0]
        tracks = [two.add_stream_from_template(video) for _ in range(2)]
        for packet in source.demux(video):
            for track in tracks if packet.size else ():
                copy = av.Packet(bytes(packet))
                copy.pts, copy.dts, copy.time_base = packet.pts, packet.dts, packet.time_base
                copy.is_keyframe, copy.duration, copy.stream = packet.is_keyframe, packet.duration, track
                two.mux(copy)
    return target


@pytest.mark.parametrize("ext", ["mp4", "mkv"])
def test_a_second_video_is_copied_from_a_keyframe_on(tmp_path: Path, ext: str) -> None:
    options = {"g": "20", "sc_threshold": "0", "bf": "2", "crf": "4"}
    source = twice(Clip(frames=50, options=options).save(tmp_path / "one.mp4"), tmp_path / f"in.{ext}")
    reader, _ = through(source, tmp_path / "out.mkv", start=0.6)
    assert len(reader.warnings) == 1
    assert "has no keyframe where the part begins, so it is copied from its next one on" in reader.warnings[0]
    with av.open(str(tmp_path / "out.mkv")) as out:
        seen = [(frame.pts * frame.time_base, clips.number_of(frame)) for frame in out.decode(video=1)]
    assert seen == [(Fraction(number, 25) - Fraction(3, 5), number) for number in range(20, 50)]
    reader, _ = through(source, tmp_path / "whole.mkv", start=0.8)
    assert reader.warnings == []


@pytest.mark.parametrize("frames", [1, 2, 12])
@pytest.mark.parametrize("ext", ["mp4", "mkv"])
def test_a_second_video_of_reordered_frames_is_copied_whole(tmp_path: Path, ext: str, frames: int) -> None:
    """In Matroska the decoding times of its first frames are not known."""
    one = Clip(frames=frames, options={"bf": "3", "crf": "10"}).save(tmp_path / "one.mp4")
    reader, writer = through(twice(one, tmp_path / "in.mkv"), tmp_path / f"out.{ext}")
    assert not reader.losses
    assert writer.warnings == ["video stream 1 (h264) is copied as it is; of several, the first is cleaned"]
    assert clips.packets(tmp_path / f"out.{ext}", 1) == clips.packets(tmp_path / "in.mkv", 1)
    if ext == "mp4":
        with av.open(str(tmp_path / "out.mp4")) as out:
            assert {v.duration * v.time_base for v in out.streams.video} == {Fraction(frames, 25)}


def test_more_than_a_thousand_frames_a_second_are_kept_or_refused(tmp_path: Path) -> None:
    source = Clip(frames=20, rate=2000).save(tmp_path / "in.mp4")
    through(source, tmp_path / "out.ogv")
    assert clips.times(tmp_path / "out.ogv") == clips.times(source)
    with pytest.raises(UsageError, match=r"\.avi holds up to 1000 frames/s, this video has 2000; \.mkv and"):
        through(source, tmp_path / "out.avi")


def test_a_fixed_rate_survives_realmedia(tmp_path: Path) -> None:
    source = Clip(codec="rv20", options={"b": "1M"}, time_base=Fraction(1, 25)).save(tmp_path / "in.rm")
    through(source, tmp_path / "out.rm")
    with open_reader(tmp_path / "out.rm") as out:
        assert [frame.pts * frame.time_base for frame in out if frame.pts is not None][-1] == Fraction(11, 25)


@pytest.mark.parametrize(("times", "said"), [(PHONE, 0), ([Fraction(i * i, 200) for i in range(20)], 1)])
def test_a_variable_rate_that_avi_cannot_hold_is_named(
    tmp_path: Path, times: Sequence[Fraction], said: int
) -> None:
    source = Clip(times=times, rate=30).save(tmp_path / "in.mkv")
    _, writer = through(source, tmp_path / "out.avi")
    assert len(clips.decoded(tmp_path / "out.avi")) == 20
    assert [line for line in writer.warnings if line.startswith(".avi has one frame rate")] == writer.warnings
    assert len(writer.warnings) == said


@pytest.mark.parametrize(("begin", "said"), [(0, False), (0.5, True)])
def test_sound_that_avi_would_move_is_named(tmp_path: Path, begin: float, said: bool) -> None:
    source = Clip(frames=40, audio="mp2", audio_start=begin).save(tmp_path / "in.mkv")
    _, writer = through(source, tmp_path / "out.avi")
    assert any("0.49 s later" in line for line in writer.warnings) == said
    assert bool(writer.warnings) == said


def test_sound_before_the_picture_that_avi_leaves_out_is_named_once(tmp_path: Path) -> None:
    source = Clip(frames=40, start=1, audio="mp2", audio_start=0).save(tmp_path / "in.mkv")
    _, writer = through(source, tmp_path / "out.avi")
    assert len(writer.warnings) == 1
    assert "1.01 s of it before that are left out; .mkv and .mp4 keep it" in writer.warnings[0]


@pytest.mark.parametrize("name", ["in.mkv", "in.mp4", "in.nut"])
def test_a_part_that_begins_before_a_late_picture_has_the_sound_before_it(tmp_path: Path, name: str) -> None:
    source = Clip(frames=40, start=3, flashes=True, audio="mp2", audio_start=0).save(tmp_path / name)
    through(source, tmp_path / "out.mkv", start=0.5)
    assert clips.flash_times(tmp_path / "out.mkv") == pytest.approx([2.5, 3.5], abs=0.03)
    np.testing.assert_allclose(clips.beep_times(tmp_path / "out.mkv"), [0.5, 1.5, 2.5, 3.5], atol=0.03)


def test_sound_that_begins_late_and_ends_early_stays_in_sync_in_mxf_and_costs_no_picture(
    tmp_path: Path,
) -> None:
    """MXF numbers pictures and samples, and FFmpeg ends it with the shortest stream."""
    long, short = (
        Clip(frames=frames, flashes=True, audio="pcm_s16le", audio_start=0.5).save(tmp_path / f"{frames}.mov")
        for frames in (60, 40)
    )
    with (
        av.open(str(long)) as seen,
        av.open(str(short)) as heard,
        av.open(str(tmp_path / "cut.mov"), "w") as made,
    ):
        streams = [seen.streams.video[0], heard.streams.audio[0]]
        for stream, copy in [(stream, made.add_stream_from_template(stream)) for stream in streams]:
            for packet in stream.container.demux(stream):
                packet.stream = copy
                if packet.size:
                    made.mux(packet)
    _, writer = through(tmp_path / "cut.mov", tmp_path / "out.mxf")
    assert writer.warnings == []
    assert [clips.number_of(frame) for frame in clips.decoded(tmp_path / "out.mxf")] == list(range(60))
    assert clips.flash_times(tmp_path / "out.mxf") == [0, 1, 2]
    np.testing.assert_allclose(clips.beep_times(tmp_path / "out.mxf"), [1], atol=0.015)


@pytest.mark.parametrize("ext", ["wmv", "nut", "ts"])
def test_mpeg_2_begins_in_time_where_nothing_is_decoded_before_zero(tmp_path: Path, ext: str) -> None:
    """ASF knows no times but those of decoding, for which others would shift the whole file."""
    source = Clip(
        frames=30, flashes=True, codec="mpeg2video", audio="mp2", options={"qmin": "1", "qmax": "2"}
    )
    through(source.save(tmp_path / "in.mov"), tmp_path / f"out.{ext}")
    with open_reader(tmp_path / f"out.{ext}") as reader:
        shown = [frame.pts * frame.time_base for frame in reader if frame.pts is not None]
    assert [float(time) for time in shown] == pytest.approx([i / 25 for i in range(30)], abs=0.001)
    np.testing.assert_allclose(clips.beep_times(tmp_path / f"out.{ext}"), [0.01, 1.01], atol=0.011)


def test_mpeg_1_stays_what_it_is_where_nothing_is_decoded_before_zero(tmp_path: Path) -> None:
    source = Clip(frames=6, codec="mpeg1video", options={"b": "4M"}).save(tmp_path / "in.mkv")
    _, writer = through(source, tmp_path / "out.nut")
    assert writer.encoder.startswith("mpeg1video")


def test_mxf_takes_h264_of_any_length(tmp_path: Path) -> None:
    """Its index holds no picture that is more than 128 after its keyframe."""
    source = Clip(frames=300, size=(64, 48)).save(tmp_path / "in.mp4")
    through(source, tmp_path / "out.mxf", OutputOptions(encoder_opts={"sc_threshold": "0"}))
    assert clips.times(tmp_path / "out.mxf") == [Fraction(i, 25) for i in range(300)]


@pytest.mark.parametrize("ext", ["mxf", "avi"])
@pytest.mark.parametrize("begin", [0, 0.3])
def test_sound_without_compression_is_cut_and_made_up_to_the_sample(
    tmp_path: Path, ext: str, begin: float
) -> None:
    """In packets of 21 ms it could begin only so near to the picture."""
    source = Clip(frames=60, flashes=True, audio="pcm_s16le", audio_start=begin).save(tmp_path / "in.mov")
    for start, first in ((None, 0), (0.55, 0.56), (0.95, 0.96)):
        target = tmp_path / f"{start}.{ext}"
        _, writer = through(source, target, start=start)
        assert writer.warnings == []
        wanted = [second - first for second in range(3) if second >= max(begin, first)]
        np.testing.assert_allclose(clips.beep_times(target), wanted, atol=0.001)


def test_what_mxf_moves_or_leaves_out_is_named(tmp_path: Path) -> None:
    paused = Clip(times=[Fraction(i + 25 * (i > 6), 25) for i in range(12)]).save(tmp_path / "paused.mkv")
    _, writer = through(paused, tmp_path / "paused.mxf")
    assert any(".mxf has one frame rate" in line for line in writer.warnings)
    late = Clip(frames=40, start=1, audio="pcm_s16le", audio_start=0).save(tmp_path / "late.mov")
    _, writer = through(late, tmp_path / "late.mxf")
    assert [re.sub(r"\d\.\d\d s", "", line) for line in writer.warnings] == [
        ".mxf begins all sound with the picture, so the  of it before that are left out; .mkv and .mp4 keep it"
    ]
    assert clips.times(tmp_path / "late.mxf") == [Fraction(i, 25) for i in range(40)]


def test_a_long_packet_of_sound_that_begins_before_the_picture_is_heard_in_avi(tmp_path: Path) -> None:
    clip = Clip(
        frames=60, start=0.08, flashes=True, audio="pcm_s16le", audio_start=0, options={"crf": "4", "bf": "0"}
    )
    through(clip.save(tmp_path / "in.mkv"), tmp_path / "out.avi")
    flashes, beeps = (found(tmp_path / "out.avi") for found in (clips.flash_times, clips.beep_times))
    np.testing.assert_allclose(beeps[-2:], [float(time) for time in flashes[-2:]], atol=0.1)


@pytest.mark.parametrize("audio", ["ac3", "aac"])
def test_sound_in_frames_keeps_its_speed_from_avi_to_avi(tmp_path: Path, audio: str) -> None:
    """AVI says how large blocks of it are, by which FFmpeg counts it where it is told so."""
    source = Clip(frames=30, audio=audio, options={"bf": "0"}).save(tmp_path / "in.avi")
    through(source, tmp_path / "out.avi")
    before, after = (clips.packets(tmp_path / name, 1) for name in ("in.avi", "out.avi"))
    assert float(before[-1][0]) > 1
    assert after == before


@pytest.mark.parametrize(("audio", "tag"), [("adpcm_ima_wav", 17), ("adpcm_ms", 2)])
@pytest.mark.parametrize("ext", ["avi", "wmv"])
def test_sound_in_blocks_keeps_its_speed_in_avi_whatever_rate_its_file_says(
    tmp_path: Path, ext: str, audio: str, tag: int
) -> None:
    source = Clip(frames=60, audio=audio, codec="mpeg4", options={}).save(tmp_path / f"in.{ext}")
    told, wrong = (struct.pack("<HHII", tag, 1, 48000, rate) for rate in (0, 16000))
    data = source.read_bytes()
    source.write_bytes(data.replace(told, wrong))
    assert data.count(told) == 1
    through(source, tmp_path / "out.avi")
    times = [[float(time) for time, _ in clips.packets(path, 1)] for path in (source, tmp_path / "out.avi")]
    assert times[0][-1] > 2
    np.testing.assert_allclose(times[1], times[0], atol=0.002)


@pytest.mark.parametrize(("ext", "audio"), [("ogv", "libopus"), ("wmv", "aac")])
def test_sound_stays_with_pictures_where_a_container_holds_few_times(
    tmp_path: Path, ext: str, audio: str
) -> None:
    """Ogg numbers pictures of one rate, and WMV has one time for each."""
    clip = Clip(frames=60, flashes=True, audio=audio, time_base=Fraction(1, 1000))
    through(clip.save(tmp_path / "in.mkv"), tmp_path / f"out.{ext}")
    assert clips.flash_times(tmp_path / f"out.{ext}") == [0, 1, 2]
    np.testing.assert_allclose(clips.beep_times(tmp_path / f"out.{ext}")[1:], [1, 2], atol=0.015)


@pytest.mark.parametrize("audio", ["vorbis", "libopus"])
def test_sound_in_ogg_begins_to_the_sample(tmp_path: Path, audio: str) -> None:
    """Its first packet lies before zero and primes the decoder."""

    def samples(path: Path) -> object:
        with av.open(str(path)) as container:
            return np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], axis=1)

    source = tmp_path / "in.ogv"
    with av.open(str(source), "w") as out:
        video = out.add_stream("libvpx", rate=25, width=96, height=64)
        sound = out.add_stream(audio, rate=48000, layout="stereo", options={"strict": "-2"})
        noise = np.random.default_rng(0).normal(0, 0.1, (2, 48000)).astype(np.float32)
        frame = av.AudioFrame.from_ndarray(noise, format="fltp", layout="stereo")
        frame.sample_rate, frame.time_base, frame.pts = 48000, Fraction(1, 48000), 0
        if audio == "libopus":
            sound.format = "flt"
        for stream, given in ((video, Clip().frame(0)), (sound, frame)):
            out.mux([*stream.encode(given), *stream.encode(None)])
    through(source, tmp_path / "out.ogv")
    assert clips.packets(source, 1)[0][0] < 0
    np.testing.assert_array_equal(samples(tmp_path / "out.ogv"), samples(source))


def test_uneven_times_are_named_where_ogg_moves_them(tmp_path: Path) -> None:
    source = Clip(times=[Fraction(i * i, 50) for i in range(12)]).save(tmp_path / "in.mkv")
    _, writer = through(source, tmp_path / "out.ogv")
    assert any(".ogv has one frame rate" in line for line in writer.warnings)


def test_what_primes_slow_sound_is_kept(tmp_path: Path) -> None:
    """A packet of AAC at 8 kHz lasts 0.128 s."""
    with av.open(str(tmp_path / "in.mp4"), "w") as out:
        video = out.add_stream("libx264", rate=25, width=96, height=64)
        audio = out.add_stream("aac", rate=8000, layout="mono")
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.int16), format="s16", layout="mono")
        sound.sample_rate, sound.time_base, sound.pts = 8000, Fraction(1, 8000), 0
        for stream, frame in ((video, Clip().frame(0)), (audio, sound)):
            out.mux([*stream.encode(frame), *stream.encode(None)])
    through(tmp_path / "in.mp4", tmp_path / "out.mp4")
    sounds = []
    for name in ("in.mp4", "out.mp4"):
        with av.open(str(tmp_path / name)) as container:
            sounds.append([(bytes(packet), packet.is_discard) for packet in container.demux(audio=0)])
    assert sounds[0][0][1]
    assert sounds[0] == sounds[1]


def test_the_last_packet_of_sound_is_heard_where_nobody_says_how_long_it_is(tmp_path: Path) -> None:
    """As of ALAC in Matroska."""
    source = Clip(frames=30, audio="alac").save(tmp_path / "in.mkv")
    through(source, tmp_path / "out.mp4")
    assert clips.packets(tmp_path / "out.mp4", 1)[-1][1] == clips.packets(source, 1)[-1][1]
    assert len(clips.sound(tmp_path / "out.mp4")[1]) == len(clips.sound(source)[1])


@pytest.mark.parametrize("ext", ["mkv", "mp4"])
def test_a_text_that_began_before_the_part_is_shown_in_it(tmp_path: Path, ext: str) -> None:
    """Pictures are decoded from a keyframe on, which comes after it."""
    options = {"crf": "4", "preset": "veryfast", "g": "10"}
    text = clips.Extra("subrip", [(0.2, 2.3, b"begun"), (2.6, 0.3, b"later")])
    source = Clip(frames=75, options=options, extras=[text]).save(tmp_path / "in.mkv")
    through(source, tmp_path / f"out.{ext}", start=2, duration=0.8)
    assert clips.number_of(clips.decoded(tmp_path / f"out.{ext}")[0]) == 50
    assert [float(time) for time, data in clips.packets(tmp_path / f"out.{ext}", 1) if len(data) > 2] == [
        0,
        0.6,
    ]


def test_a_text_ends_with_the_part_that_is_cut_out(tmp_path: Path) -> None:
    source = Clip(frames=50, extras=[clips.Extra("subrip", [(0.4, 1.5, b"long")])]).save(tmp_path / "in.mkv")
    through(source, tmp_path / "out.mkv", start=0.2, duration=1)
    with av.open(str(tmp_path / "out.mkv")) as out:
        assert out.duration is not None
        assert out.duration / 1e6 == pytest.approx(1, abs=0.05)


def test_a_start_before_zero_loses_no_frame(tmp_path: Path) -> None:
    """MPEG-TS counts in 33 bits; FFmpeg puts what lies before the overflow before zero."""
    source = Clip(frames=12, start=Fraction(2**33, 90000) - Fraction(1, 5)).save(tmp_path / "in.ts")
    with open_reader(source) as reader:
        assert reader.first < 0
    through(source, tmp_path / "out.mp4")
    gaps = np.diff([float(t) for t in clips.times(tmp_path / "out.mp4")])
    assert len(gaps) == 11
    np.testing.assert_allclose(gaps, 0.04, atol=0.001)


def test_pictures_before_zero_keep_their_places_in_matroska(tmp_path: Path) -> None:
    """FFmpeg's demuxer does not know their times."""
    clip = Clip(frames=12, start=-0.2, container_options={"avoid_negative_ts": "disabled"})
    through(clip.save(tmp_path / "in.mkv"), tmp_path / "out.mkv")
    assert [clips.number_of(frame) for frame in clips.decoded(tmp_path / "out.mkv")] == list(range(12))
    np.testing.assert_allclose(np.diff(np.array(clips.times(tmp_path / "out.mkv"), float)), 0.04, atol=0.001)


@pytest.mark.parametrize("start", [0, 3.52])
@pytest.mark.parametrize(
    ("first", "second", "audio"),
    [
        ("mp4", "mp4", "aac"),
        ("mp4", "mkv", "aac"),
        ("mkv", "mp4", "aac"),
        ("mov", "mov", "pcm_s16le"),
        ("mkv", "mkv", "pcm_s16le"),
        ("mp4", "ts", "aac"),
        ("ts", "mp4", "aac"),
        ("webm", "webm", "libopus"),
    ],
)
def test_the_beep_stays_with_the_flash(
    tmp_path: Path, first: str, second: str, audio: str, start: float
) -> None:
    codec = "libvpx-vp9" if first == "webm" else "libx264"
    options = {"b": "1M"} if first == "webm" else {"crf": "4"}
    clip = Clip(frames=60, flashes=True, audio=audio, codec=codec, options=options, start=start)
    source, target = clip.save(tmp_path / f"in.{first}"), tmp_path / f"out.{second}"
    reader, _ = through(source, target)
    assert not reader.losses
    before, after = ([clips.flash_times(path), clips.beep_times(path)] for path in (source, target))
    assert len(after[0]) == len(after[1]) == len(before[0]) >= 2
    offsets = [
        [float(flash) - beep for flash, beep in zip(flashes, sounds, strict=True)]
        for flashes, sounds in (before, after)
    ]
    # Without its priming packet, which only edit lists can hide, AAC begins with a fade of 10 ms.
    first_beep = 1 if (first, second) in {("mp4", "mkv"), ("mp4", "ts")} and not start else 0
    np.testing.assert_allclose(offsets[1][first_beep:], offsets[0][first_beep:], atol=0.0015)


def cut_with_edit_list(tmp_path: Path, keep_from: float) -> Path:
    """A film whose edit list begins in the middle, as phones and editors write it: trimmed without re-encoding.

    The muxer makes such a list of packets with times before zero.
    """
    whole = Clip(frames=75, flashes=True, audio="aac", options={"g": "15", "crf": "4"}).save(
        tmp_path / "whole.mp4"
    )
    trimmed = tmp_path / "trimmed.mp4"
    with av.open(str(whole)) as old, av.open(str(trimmed), "w") as new:
        copies = {s.index: new.add_stream_from_template(s, opaque=True) for s in old.streams}
        for packet in old.demux():
            if packet.size and packet.pts is not None and packet.dts is not None:
                shift = round(Fraction(keep_from) / packet.time_base)
                packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
                packet.stream = copies[packet.stream_index]
                new.mux(packet)
    return trimmed


@pytest.mark.parametrize("ext", ["mp4", "mov", "mkv"])
def test_what_an_edit_list_cuts_away_stays_away(tmp_path: Path, ext: str) -> None:
    source, target = cut_with_edit_list(tmp_path, 0.52), tmp_path / f"out.{ext}"
    with av.open(str(source)) as old:
        assert any(packet.is_discard for packet in old.demux(audio=0)), "the test clip has nothing cut away"
    reader, _ = through(source, target)
    assert not reader.losses
    check_times(source, target)
    assert clips.number_of(clips.decoded(target)[0]) == 13
    (begin, heard), (begin_out, heard_out) = clips.sound(source), clips.sound(target)
    assert 0 <= begin_out - begin <= Fraction(1024, 48000)
    assert abs(len(heard) - len(heard_out)) <= 1024
    np.testing.assert_allclose(clips.beep_times(target), clips.beep_times(source), atol=0.0015)
    if ext != "mkv":
        np.testing.assert_array_equal(heard_out, heard)
        # Hidden priming is a packet or two; the half second that was cut away is gone from the file.
        with av.open(str(target)) as out:
            assert sum(packet.is_discard for packet in out.demux(audio=0)) <= 5


def edited_twice(path: Path) -> Path:
    """The same file with each edit of its lists a second time: the film is shown from its beginning again."""
    data = bytearray(path.read_bytes())
    place = data.rfind(b"elst")
    while place >= 0:
        entry = data[place + 12 : place + 24]
        data[place + 24 : place + 24] = entry
        data[place + 11] += 1
        for name in (b"elst", b"edts", b"trak", b"moov"):  # which all contain it, each before the next
            size = data.rfind(name, 0, place + 4) - 4
            data[size : size + 4] = struct.pack(">I", struct.unpack(">I", data[size : size + 4])[0] + 12)
        place = data.rfind(b"elst", 0, place)
    path.write_bytes(data)
    return path


def test_a_second_edit_is_no_damage(tmp_path: Path) -> None:
    source = edited_twice(cut_with_edit_list(tmp_path, 2.04))
    reader, _ = through(source, tmp_path / "out.mp4")
    assert not reader.losses
    check_times(source, tmp_path / "out.mp4")


@pytest.mark.parametrize("ext", ["mp4", "mkv"])
def test_a_part_is_cut_out_in_sync(tmp_path: Path, ext: str) -> None:
    clip = Clip(
        frames=150,
        flashes=True,
        audio="aac",
        options={"g": "40", "crf": "4"},
        chapters=[(0, 2, "a"), (2, 4, "b"), (4, 6, "c")],
        extras=[
            clips.Extra("subrip", [(0.5, 0.4, b"early"), (1.3, 0.6, b"over the edge"), (3, 0.5, b"inside")])
        ],
    )
    source = clip.save(tmp_path / "in.mkv")
    target = tmp_path / f"out.{ext}"
    through(source, target, start=1.5, duration=2.0)
    numbers = [clips.number_of(f) for f in clips.decoded(target)]
    assert numbers == list(range(38, 88))
    assert abs(clips.times(target)[0] - Fraction(2, 100)) <= Fraction(1, 1000)
    np.testing.assert_allclose([float(t) for t in clips.flash_times(target)], [0.5, 1.5], atol=0.002)
    np.testing.assert_allclose(clips.beep_times(target), [0.5, 1.5], atol=0.003)
    with av.open(str(target)) as out:
        assert [c["metadata"]["title"] for c in out.chapters()] == ["a", "b"]
    if ext == "mkv":
        assert [(float(t), text) for t, text in clips.packets(target, 2)] == [
            (0.0, b"over the edge"),
            (1.5, b"inside"),
        ]


@pytest.mark.parametrize("begin", [0.02, 0.9, 1.98, 3.5])
@pytest.mark.parametrize(("codec", "ext"), [("libx264", "ts"), ("mpeg2video", "mpg"), ("libx264", "flv")])
def test_a_part_begins_where_it_should_without_an_index(
    tmp_path: Path, codec: str, ext: str, begin: float
) -> None:
    """Keyframes two seconds apart; what the part begins with lies between them."""
    options = {"g": "50", "sc_threshold": "0", "bf": "0" if ext == "mpg" else "2", "qmax": "8"}
    source = Clip(frames=100, codec=codec, options=options, start=7).save(tmp_path / f"in.{ext}")
    with open_reader(source) as whole:
        begin_at = Fraction(whole.container.start_time or 0, 1_000_000) + Fraction(begin)
        expected = [_number(frame) for frame in whole if (frame.pts or 0) * frame.time_base >= begin_at]
    with open_reader(source, start=begin) as reader:
        assert [_number(frame) for frame in reader] == expected
    assert len(expected) > 10


def _number(frame: Frame) -> int:
    assert frame.planes is not None
    return clips.number_of(frame.planes[0].numpy())


def test_a_part_is_cut_out_of_a_list_that_says_no_lengths(tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mp4"):
        Clip(frames=50).save(tmp_path / name)
    (tmp_path / "all.ffconcat").write_text("ffconcat version 1.0\nfile a.mp4\nfile b.mp4\n")
    through(tmp_path / "all.ffconcat", tmp_path / "out.mp4", start=3, duration=0.4)
    assert clips.times(tmp_path / "out.mp4") == [Fraction(i, 25) for i in range(10)]
    first, *_ = (frame.to_ndarray(format="gray").astype(int) for frame in clips.decoded(tmp_path / "out.mp4"))
    apart = [
        abs(frame.to_ndarray(format="gray") - first).mean() for frame in clips.decoded(tmp_path / "b.mp4")
    ]
    assert np.argmin(apart) == 25


@pytest.mark.parametrize("ext", ["mp4", "mkv"])
def test_a_part_begins_with_the_picture_that_is_shown_then(tmp_path: Path, ext: str) -> None:
    """Screen recordings have no picture for seconds."""
    source = Clip(times=[Fraction(0), Fraction(1, 2), Fraction(4), Fraction(9, 2)]).save(
        tmp_path / f"in.{ext}"
    )
    for start, duration, shown in (
        (1, None, [(1, 0), (2, 3), (3, 3.5)]),
        (2, 1, [(1, 0)]),
        (0.45, 0.1, [(1, 0.05)]),
    ):
        target = tmp_path / f"{start}.{ext}"
        through(source, target, start=start, duration=duration)
        numbers = [clips.number_of(frame) for frame in clips.decoded(target)]
        times = [float(time) for time in clips.times(target)]
        assert numbers == [number for number, _ in shown]
        np.testing.assert_allclose(times, [time for _, time in shown], atol=0.002)
    with av.open(str(tmp_path / f"2.{ext}")) as out:
        assert ext == "mp4" or out.duration == 1_000_000


def test_nothing_is_chosen_beyond_the_end(tmp_path: Path) -> None:
    source = Clip(frames=10).save(tmp_path / "in.mp4")
    with pytest.raises(Exception, match="--start"):
        open_reader(source, start=20)


def test_the_number_of_frames_to_come_is_estimated(tmp_path: Path) -> None:
    source = Clip(frames=50).save(tmp_path / "in.mp4")
    with open_reader(source) as whole, open_reader(source, start=0.5, duration=1) as part:
        assert whole.info.frames == 50
        assert part.info.frames == 25
        assert len(list(part)) == 25


@pytest.mark.parametrize("second", [1, 500], ids=["back to the start", "far ahead"])
def test_a_clock_that_jumps_is_joined_on_in_sync(tmp_path: Path, second: int) -> None:
    """Two recordings of a transport stream in one file, each with its own clock."""
    clip = Clip(frames=50, flashes=True, audio="mp2", start=5)
    data = [replace(clip, start=begin).save(tmp_path / f"{begin}.ts").read_bytes() for begin in (5, second)]
    (tmp_path / "in.ts").write_bytes(b"".join(data))
    cuts: list[int] = []

    def note(frame: Frame) -> Frame:
        if frame.cut:
            cuts.append(clips.number_of(frame.planes[0].numpy()) if frame.planes else -1)
        return frame

    reader, _ = through(tmp_path / "in.ts", tmp_path / "out.mp4", change=note)
    assert not reader.losses
    told = re.findall(r"clock jumps at ([\d.]+) s", " ".join(reader.warnings))
    assert [float(time) for time in told] == [pytest.approx(2, abs=0.1)]
    assert [clips.number_of(f) for f in clips.decoded(tmp_path / "out.mp4")] == list(range(50)) * 2
    gaps = np.diff([float(time) for time in clips.times(tmp_path / "out.mp4")])
    assert gaps.max() < 0.2
    assert gaps.min() > 0.03
    assert cuts == [0]
    flashes, sounds = clips.flash_times(tmp_path / "out.mp4"), clips.beep_times(tmp_path / "out.mp4")
    assert len(flashes) == 4
    np.testing.assert_allclose([float(flash) for flash in flashes], sounds, atol=0.03)
