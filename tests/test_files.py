"""Files in and out: everything but the pictures comes out as it went in, and the pictures as they were made."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import clips
import numpy as np
import pytest
import torch
from clips import Clip, Extra

from vidnoise.errors import InputError, OutputError, UsageError, VidnoiseError
from vidnoise.frame import Frame, StreamInfo
from vidnoise.io import OutputOptions, Reader, Writer, open_reader, open_writer

MASTERING = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)"
HDR = {"x265-params": f"master-display={MASTERING}:max-cll=1000,400:log-level=none"}


def through(
    source: Path,
    target: Path,
    options: OutputOptions | None = None,
    change: Callable[[Frame], Frame] | None = None,
    **reading: Any,
) -> tuple[Reader, Writer]:
    """Read a file and write it, with the writer in a thread of its own as in the pipeline."""
    with open_reader(source, threads=1, **reading) as reader:
        writer = open_writer(target, reader, reader.info, options or OutputOptions(threads=1))
        for frame in reader:
            worker = threading.Thread(target=writer.write, args=[change(frame) if change else frame])
            worker.start()
            worker.join()
        writer.finish()
    return reader, writer


def touched(frame: Frame) -> Frame:
    """The same picture as if a filter had made it anew."""
    return frame.with_image(frame.image.clone())


def streams(path: Path) -> list[tuple[str, str | None]]:
    """Type and codec of every stream."""
    with av.open(str(path)) as container:
        return [
            (s.type, s.codec_context.codec.canonical_name if s.codec_context else None) for s in container.streams
        ]


def side_data(path: Path) -> dict[str, bytes]:
    """The side data of the first picture."""
    return {side.type.name: bytes(side) for side in clips.decoded(path)[0].side_data}


@pytest.mark.parametrize("ext", ["mp4", "mkv", "mov"])
def test_audio_and_subtitles_are_copied_bit_for_bit(tmp_path: Path, ext: str) -> None:
    source = Clip(audio="aac", extras=[clips.subtitles(ext)]).save(tmp_path / f"in.{ext}")
    target = tmp_path / f"out.{ext}"
    _, writer = through(source, target)
    assert writer.warnings == []
    assert streams(target) == streams(source)
    assert clips.packets(target, 1) == clips.packets(source, 1)
    # The empty ones in MP4 say where a text ends; the muxer makes them.
    texts = [[p for p in clips.packets(path, 2) if b"line" in p[1]] for path in (source, target)]
    assert texts[0] == texts[1]
    with av.open(str(target)) as out:
        assert [s.metadata.get("language") for s in out.streams.subtitles] == [
            s.metadata.get("language") for s in av.open(str(source)).streams.subtitles
        ]


def test_every_frame_arrives_once_and_in_order(tmp_path: Path) -> None:
    source = Clip(frames=40).save(tmp_path / "in.mp4")
    through(source, tmp_path / "out.mkv")
    assert [clips.number_of(frame) for frame in clips.decoded(tmp_path / "out.mkv")] == list(range(40))


@pytest.mark.parametrize("change", [None, touched], ids=["untouched", "through RGB"])
@pytest.mark.parametrize(
    ("codec", "pix_fmt", "ext"),
    [
        ("ffv1", "yuv420p", "mkv"),
        ("ffv1", "yuv422p10le", "mkv"),
        ("ffv1", "yuv444p12le", "mkv"),
        ("ffv1", "gray", "mkv"),
        ("ffv1", "gray12le", "mkv"),
        ("ffv1", "bgra", "mkv"),
        ("ffv1", "yuva420p", "mkv"),
        ("ffv1", "gbrp10le", "mkv"),
        ("png", "rgb24", "mov"),
        ("utvideo", "gbrap", "avi"),
        ("rawvideo", "nv12", "nut"),
        ("rawvideo", "yuv420p10le", "nut"),
        ("rawvideo", "uyvy422", "mov"),
    ],
)
def test_lossless_formats_come_out_with_the_same_samples(
    tmp_path: Path, codec: str, pix_fmt: str, ext: str, change: Callable[[Frame], Frame] | None
) -> None:
    source = Clip(codec=codec, pix_fmt=pix_fmt, options={}, frames=3, retouch=_see_through).save(
        tmp_path / f"in.{ext}"
    )
    target = tmp_path / f"out.{ext}"
    _, writer = through(source, target, change=change)
    assert writer.warnings == []
    for before, after in zip(clips.decoded(source), clips.decoded(target), strict=True):
        same = after.reformat(format=before.format.name)
        assert [bytes(p) for p in same.planes] == [bytes(p) for p in before.planes]


def _see_through(number: int, frame: av.VideoFrame) -> av.VideoFrame:
    """An alpha channel that differs from pixel to pixel, where the format has one."""
    if not any(part.is_alpha for part in frame.format.components):
        return frame
    rgba = frame.to_ndarray(format="rgba")
    rgba[:, :, 3] = np.arange(rgba.shape[1]) + number
    return av.VideoFrame.from_ndarray(rgba, format="rgba").reformat(format=frame.format.name)


@pytest.mark.parametrize(
    ("codec", "pix_fmt", "ext", "made"),
    [
        ("libx264", "yuv420p", "mp4", ("h264", "yuv420p")),
        ("libx264", "yuv422p10le", "mp4", ("h264", "yuv422p10le")),
        ("libx265", "gray", "mp4", ("hevc", "gray")),
        ("libx264rgb", "bgr24", "mp4", ("h264", "gbrp")),
        ("libx265", "yuv420p12le", "mp4", ("hevc", "yuv420p12le")),
        ("libx265", "yuv444p", "mp4", ("hevc", "yuv444p")),
        ("libsvtav1", "yuv420p10le", "mp4", ("av1", "yuv420p10le")),
        ("libvpx-vp9", "yuv420p", "webm", ("vp9", "yuv420p")),
        ("libvpx-vp9", "yuva420p", "webm", ("vp9", "yuva420p")),
        ("libvpx", "yuv420p", "webm", ("vp8", "yuv420p")),
        ("mpeg4", "yuv420p", "avi", ("mpeg4", "yuv420p")),
        ("mpeg2video", "yuv422p", "ts", ("mpeg2video", "yuv422p")),
        ("mjpeg", "yuvj420p", "avi", ("mjpeg", "yuvj420p")),
        ("prores_ks", "yuva444p10le", "mov", ("prores", "yuva444p12le")),
        ("dnxhd", "yuv422p10le", "mov", ("dnxhd", "yuv422p10le")),
    ],
)
def test_codec_and_depth_of_the_input_are_kept_at_high_quality(
    tmp_path: Path, codec: str, pix_fmt: str, ext: str, made: tuple[str, str]
) -> None:
    options = {"profile": "dnxhr_hqx"} if codec == "dnxhd" else {"b": "9M"}
    size = (256, 128) if codec == "dnxhd" else (96, 64)
    clip = Clip(codec=codec, pix_fmt=pix_fmt, options=options, frames=4, size=size, retouch=_see_through)
    source, target = clip.save(tmp_path / f"in.{ext}"), tmp_path / f"out.{ext}"
    _, writer = through(source, target, change=touched)
    with open_reader(source) as before, open_reader(target) as after:
        assert (after.stream.codec_context.codec.canonical_name, after.info.format.name) == (
            made[0],
            made[1].replace("yuvj", "yuv"),
        )
        assert after.info.colour.resolved(64, "yuv").range == before.info.colour.resolved(64, "yuv").range
        for a, b in zip(before, after, strict=True):
            error = (a.image - b.image).square().mean().item()
            assert error < 10**-3.6, f"{-10 * np.log10(error):.1f} dB"
            if a.alpha is not None:
                assert b.alpha is not None
                assert (a.alpha - b.alpha).abs().max() < 0.05


def test_a_codec_without_encoder_is_replaced_and_named(tmp_path: Path) -> None:
    source = Clip(codec="prores_ks", pix_fmt="yuv422p10le", options={}, frames=3).save(tmp_path / "in.mov")
    _, writer = through(source, tmp_path / "out.mp4")
    with open_reader(tmp_path / "out.mp4") as out:
        assert out.stream.codec_context.codec.canonical_name == "h264"
        assert out.info.format.name == "yuv422p10le"
    assert "prores" in writer.encoder
    assert "libx264" in writer.warnings[0]


@pytest.mark.parametrize(("codec", "ext"), [("ffv1", "ts"), ("png", "ts"), ("rawvideo", "avi")])
def test_no_file_is_written_that_cannot_be_read(tmp_path: Path, codec: str, ext: str) -> None:
    clip = Clip(codec="png" if codec == "png" else "ffv1", pix_fmt="gray", options={}, frames=3)
    source = clip.save(tmp_path / ("in.mov" if codec == "png" else "in.mkv"))
    through(source, tmp_path / f"out.{ext}")
    assert [clips.number_of(f) for f in clips.decoded(tmp_path / f"out.{ext}")] == [0, 1, 2]
    with pytest.raises(UsageError, match=codec):
        pix_fmt = "yuv420p10le" if codec == "rawvideo" else None
        through(source, tmp_path / f"again.{ext}", OutputOptions(codec=codec, pix_fmt=pix_fmt))


def test_a_depth_that_the_codec_cannot_keep_is_reported(tmp_path: Path) -> None:
    source = Clip(codec="libx264", pix_fmt="yuv420p10le", frames=3).save(tmp_path / "in.mkv")
    _, writer = through(source, tmp_path / "out.mkv", OutputOptions(codec="mpeg4"))
    assert "10 bits a sample become 8" in " ".join(writer.warnings)


def test_what_mp4_cannot_hold_is_named_with_a_container_that_can(tmp_path: Path) -> None:
    font = ("font.ttf", "font/ttf", b"not really a font")
    source = Clip(extras=[clips.subtitles("mkv")], attachments=[font]).save(tmp_path / "in.mkv")
    _, writer = through(source, tmp_path / "out.mp4")
    assert streams(tmp_path / "out.mp4") == [("video", "h264")]
    text = "\n".join(writer.warnings)
    assert "subtitle stream 1" in text
    assert "deu" in text
    assert "attachment stream 2" in text
    assert text.count(".mkv can") == 2


def test_fonts_stay_attached(tmp_path: Path) -> None:
    font = ("font.ttf", "font/ttf", b"not really a font")
    source = Clip(attachments=[font]).save(tmp_path / "in.mkv")
    through(source, tmp_path / "out.mkv")
    with av.open(str(tmp_path / "out.mkv")) as out:
        found: Any = [s for s in out.streams if s.type == "attachment"]
        assert [(s.metadata["filename"], s.metadata["mimetype"], bytes(s.data)) for s in found] == [font]


@pytest.mark.parametrize(("first", "second"), [("mp4", "mkv"), ("mkv", "mp4"), ("mp4", "mp4")])
def test_a_cover_stays_a_cover_across_containers(tmp_path: Path, first: str, second: str) -> None:
    picture = clips.cover()
    as_stream = [Extra("mjpeg", [(0, 0, picture)], disposition=1 << 10, size=(32, 32))]
    as_file = [("cover.jpg", "image/jpeg", picture)]
    clip = Clip(attachments=as_file) if first == "mkv" else Clip(extras=as_stream)
    source, target = clip.save(tmp_path / f"in.{first}"), tmp_path / f"out.{second}"
    _, writer = through(source, target)
    assert writer.warnings == []
    with av.open(str(target)) as out:
        covers = [s for s in out.streams.video if s.disposition & 1 << 10]
        assert len(covers) == 1
        assert [bytes(p) for p in out.demux(covers[0]) if p.size] == [picture]


def test_a_second_video_is_copied_and_the_cover_before_the_video_is_not_taken_for_it(tmp_path: Path) -> None:
    still = clips.image_bytes("mjpeg", clips.picture(9), "yuvj420p")
    second = Extra("mjpeg", [(i * 0.04, 0.04, still) for i in range(5)], size=(96, 64))
    source = Clip(extras=[second], attachments=[("cover.jpg", "image/jpeg", still)]).save(tmp_path / "in.mkv")
    through(source, tmp_path / "out.mkv")
    assert [codec for kind, codec in streams(tmp_path / "out.mkv") if kind == "video"] == ["h264", "mjpeg", "mjpeg"]
    assert clips.packets(tmp_path / "out.mkv", 1) == clips.packets(source, 1)


@pytest.mark.parametrize("ext", ["mp4", "mkv", "mov"])
def test_chapters_metadata_and_dispositions_are_kept(tmp_path: Path, ext: str) -> None:
    chapters = [(0.0, 0.2, "Anfang"), (0.2, 0.48, "Schluss")]
    clip = Clip(
        chapters=chapters,
        metadata={"title": "Wasser", "x-camera": "two"},
        video_metadata={"language": "fra"},
        audio="aac",
        prepare=lambda stream: setattr(stream, "disposition", 1 | 1 << 2),
    )
    source, target = clip.save(tmp_path / f"in.{ext}"), tmp_path / f"out.{ext}"
    through(source, target)
    with av.open(str(source)) as before, av.open(str(target)) as after:
        assert [c["metadata"]["title"] for c in after.chapters()] == ["Anfang", "Schluss"]
        times = [[(c["start"] * c["time_base"], c["end"] * c["time_base"]) for c in f.chapters()] for f in (before, after)]
        assert times[0] == times[1]
        assert len(after.streams) == len(before.streams)
        assert after.metadata["title"] == "Wasser"
        assert after.streams.video[0].disposition == before.streams.video[0].disposition
        assert after.streams.video[0].metadata["language"] == "fra"
        assert {k.lower() for k in before.metadata} == {k.lower() for k in after.metadata}


def test_metadata_that_mp4_has_no_place_for_moves_from_matroska(tmp_path: Path) -> None:
    source = Clip(metadata={"title": "Wasser", "lens": "35 mm"}).save(tmp_path / "in.mkv")
    through(source, tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as out:
        found = {key.lower(): value for key, value in out.metadata.items()}
    assert (found["title"], found["lens"]) == ("Wasser", "35 mm")


@pytest.mark.parametrize("ext", ["mov", "mp4", "mkv"])
def test_a_timecode_track_becomes_one_that_can_be_read(tmp_path: Path, ext: str) -> None:
    source = Clip(video_metadata={"timecode": "01:02:03:04"}).save(tmp_path / "in.mov")
    assert ("data", None) in streams(source)
    _, writer = through(source, tmp_path / f"out.{ext}")
    assert writer.warnings == []
    with av.open(str(tmp_path / f"out.{ext}")) as out:
        tags = {key.lower(): value for key, value in out.streams.video[0].metadata.items()}
        assert tags["timecode"] == "01:02:03:04"
        assert len(list(out.decode(video=0))) == 12


@pytest.mark.parametrize(("codec", "name"), [("libx264", "h264"), ("libx265", "hevc")])
def test_closed_captions_in_frames_survive(tmp_path: Path, codec: str, name: str) -> None:
    source = _captioned(tmp_path)
    through(source, tmp_path / "out.mkv", OutputOptions(codec=codec), change=touched)
    assert streams(tmp_path / "out.mkv")[0][1] == name
    before, after = ([_captions(f) for f in clips.decoded(p)] for p in (source, tmp_path / "out.mkv"))
    assert len(set(before)) == 8
    assert after == before


def test_an_encoder_without_captions_says_so(tmp_path: Path) -> None:
    _, writer = through(_captioned(tmp_path), tmp_path / "out.mkv", OutputOptions(codec="ffv1"))
    assert [w for w in writer.warnings if "closed captions" in w and "h264" in w]


def _captions(frame: av.VideoFrame) -> bytes | None:
    return next((bytes(side) for side in frame.side_data if side.type.name == "A53_CC"), None)


def _captioned(folder: Path) -> Path:
    """An H.264 stream with another CEA-708 packet in a SEI message before every picture (ATSC A/53 part 4)."""
    options = {"bf": "0", "crf": "4"}
    plain = Clip(frames=8, format="h264", options=options).save(folder / "plain.h264").read_bytes()
    parser: Any = av.CodecContext.create("h264", "r")
    data = b""
    for index, packet in enumerate(parser.parse(plain) + parser.parse(None)):
        user_data = b"GA94\x03" + bytes([0x42, 0xFF, 0xFC, 0x94, 0x20 + index, 0xFD, 0x80, 0x80, 0xFF])
        payload = b"\xb5\x00\x31" + user_data
        message = b"\x00\x00\x01\x06\x04" + bytes([len(payload)]) + payload + b"\x80"
        unit = bytes(packet)
        slices = [unit.find(b"\x00\x00\x01" + bytes([kind])) for kind in (0x65, 0x41, 0x61)]
        first = min(at for at in slices if at >= 0)
        data += unit[:first] + message + unit[first:]
    marked = folder / "captions.h264"
    marked.write_bytes(data)
    return marked
