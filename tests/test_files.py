"""Files in and out: everything but the pictures comes out as it went in, and the pictures as they were made."""

from __future__ import annotations

import os
import re
import struct
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import clips
import numpy as np
import pytest
import torch
from av.bitstream import BitStreamFilterContext
from clips import Clip, Extra

import vidnoise
from vidnoise.device import Device
from vidnoise.errors import InputError, OutputError, UsageError, VidnoiseError
from vidnoise.frame import Frame, StreamInfo
from vidnoise.io import OutputOptions, Reader, Writer, open_reader, open_writer
from vidnoise.io.gpu import Trial
from vidnoise.io.planes import planes_of
from vidnoise.opencv import VideoCapture

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
    with (
        open_reader(source, threads=1, **reading) as reader,
        open_writer(target, reader, reader.info, options or OutputOptions(threads=1)) as writer,
    ):
        for frame in reader:
            worker = threading.Thread(target=writer.write, args=[change(frame) if change else frame])
            worker.start()
            worker.join()
    return reader, writer


def touched(frame: Frame) -> Frame:
    """The same picture as if a filter had made it anew."""
    return frame.with_image(frame.image.clone())


def streams(path: Path) -> list[tuple[str, str | None]]:
    """Type and codec of every stream."""
    with av.open(str(path)) as container:
        return [
            (s.type, s.codec_context.codec.canonical_name if s.codec_context else None)
            for s in container.streams
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


@pytest.mark.parametrize("ext", ["nut", "mov", "avi"])
@pytest.mark.parametrize("pix_fmt", ["rgb565le", "rgb555le", "bgr565be", "rgb8"])
def test_small_words_and_palettes_are_stored_as_the_colours_that_they_stand_for(
    tmp_path: Path, pix_fmt: str, ext: str
) -> None:
    def coloured(number: int, frame: av.VideoFrame) -> av.VideoFrame:
        generator = np.random.default_rng(number)
        for plane in frame.planes:
            plane.update(generator.integers(0, 256, plane.buffer_size, np.uint8))
        return frame

    clip = Clip(codec="rawvideo", pix_fmt=pix_fmt, options={}, frames=2, retouch=coloured)
    source, target = clip.save(tmp_path / f"in.{ext}"), tmp_path / f"out.{ext}"
    through(source, target)
    for before, after in zip(clips.decoded(source), clips.decoded(target), strict=True):
        colours = [planes_of(frame)[0] for frame in (before, after)]
        assert all(torch.equal(a, b) for a, b in zip(*colours, strict=False))


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
        ("flv", "yuv420p", "flv", ("flv1", "yuv420p")),
        ("msmpeg4", "yuv420p", "avi", ("msmpeg4v3", "yuv420p")),
        ("snow", "yuv420p", "avi", ("snow", "yuv420p")),
        ("speedhq", "yuv422p", "nut", ("speedhq", "yuv422p")),
        ("prores_ks", "yuva444p10le", "mov", ("prores", "yuva444p12le")),
        ("dnxhd", "yuv422p", "mov", ("dnxhd", "yuv422p")),
        ("dnxhd", "yuv422p10le", "mov", ("dnxhd", "yuv422p10le")),
        ("dnxhd", "yuv444p10le", "mov", ("dnxhd", "yuv444p10le")),
    ],
)
def test_codec_and_depth_of_the_input_are_kept_at_high_quality(
    tmp_path: Path, codec: str, pix_fmt: str, ext: str, made: tuple[str, str]
) -> None:
    dnxhr = {"yuv422p": "hq", "yuv422p10le": "hqx", "yuv444p10le": "444"}
    options = {"profile": f"dnxhr_{dnxhr[pix_fmt]}"} if codec == "dnxhd" else {"b": "9M"}
    size = (256, 128) if codec == "dnxhd" else (96, 64)
    clip = Clip(codec=codec, pix_fmt=pix_fmt, options=options, frames=4, size=size, retouch=_see_through)
    source, target = clip.save(tmp_path / f"in.{ext}"), tmp_path / f"out.{ext}"
    through(source, target, change=touched)
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
    clip = Clip(codec="png" if codec == "png" else "ffv1", pix_fmt="gray", options={}, frames=30)
    source = clip.save(tmp_path / ("in.mov" if codec == "png" else "in.mkv"))
    through(source, tmp_path / f"out.{ext}")
    assert [clips.number_of(f) for f in clips.decoded(tmp_path / f"out.{ext}")] == list(range(30))
    pix_fmt = "yuv420p10le" if codec == "rawvideo" else None
    with pytest.raises(UsageError, match=codec):
        through(source, tmp_path / f"again.{ext}", OutputOptions(codec=codec, pix_fmt=pix_fmt))


@pytest.mark.parametrize(("ext", "words"), [("yuv", "out.y4m"), ("swf", ".mkv")])
def test_a_container_that_cannot_hold_the_video_is_refused_in_words(
    tmp_path: Path, ext: str, words: str
) -> None:
    source = Clip(frames=3).save(tmp_path / "in.mkv")
    with pytest.raises(VidnoiseError, match=re.escape(words)):
        through(source, tmp_path / f"out.{ext}")
    assert [path.name for path in tmp_path.iterdir()] == ["in.mkv"]


def test_y4m_is_a_file_too(tmp_path: Path) -> None:
    source = Clip(frames=3, times=[Fraction(i * i, 25) for i in range(3)]).save(tmp_path / "in.mkv")
    _, writer = through(source, tmp_path / "out.y4m")
    assert [clips.number_of(frame) for frame in clips.decoded(tmp_path / "out.y4m")] == [0, 1, 2]
    assert any("y4m has one frame rate" in line for line in writer.warnings)


@pytest.mark.parametrize(
    ("codec", "pix_fmt", "held"),
    [("prores_ks", "yuv422p10le", "yuv422p10le"), ("rawvideo", "yuyv422", "yuv422p")],
)
def test_y4m_holds_deep_and_packed_samples(tmp_path: Path, codec: str, pix_fmt: str, held: str) -> None:
    clip = Clip(frames=2, size=(128, 64), codec=codec, pix_fmt=pix_fmt, options={})
    source = clip.save(tmp_path / "in.mov")
    through(source, tmp_path / "out.y4m")
    samples = [
        [[bytes(plane) for plane in frame.reformat(format=held).planes] for frame in clips.decoded(path)]
        for path in (source, tmp_path / "out.y4m")
    ]
    assert clips.decoded(tmp_path / "out.y4m")[0].format.name == held
    assert samples[0] == samples[1]


def test_y4m_names_pixels_that_it_holds_in_place_of_others(tmp_path: Path) -> None:
    source = Clip(frames=2, codec="ffv1", pix_fmt="yuva420p", options={}).save(tmp_path / "in.mkv")
    with pytest.raises(UsageError, match=r"y4m cannot hold yuva420p; type --pix-fmt yuv420p\n"):
        through(source, tmp_path / "out.y4m")
    assert [path.name for path in tmp_path.iterdir()] == ["in.mkv"]


def test_raw_dv_has_the_rate_of_its_pictures(tmp_path: Path) -> None:
    clip = Clip(
        codec="dvvideo", pix_fmt="yuv411p", size=(720, 480), rate=Fraction(30000, 1001), options={}, frames=5
    )
    source = clip.save(tmp_path / "in.dv")
    with open_reader(source, assume_progressive=True) as reader:
        assert (reader.info.rate, reader.info.frames) == (Fraction(30000, 1001), 5)


def test_pictures_that_a_decoder_gives_upside_down_stay_upright(tmp_path: Path) -> None:
    clip = Clip(codec="amv", pix_fmt="yuvj420p", options={"strict": "-1"}, size=(96, 64), frames=3)
    through(clip.save(tmp_path / "in.avi"), tmp_path / "out.mkv")
    assert [clips.number_of(frame) for frame in clips.decoded(tmp_path / "out.mkv")] == [0, 1, 2]


@pytest.mark.parametrize(
    ("codec", "pix_fmt", "ext"),
    [("gif", "bgr8", "gif"), ("rawvideo", "bgra", "nut"), ("libvpx-vp9", "yuva420p", "webm")],
)
def test_video_with_alpha_becomes_an_mp4_that_players_show(
    tmp_path: Path, codec: str, pix_fmt: str, ext: str
) -> None:
    source = Clip(codec=codec, pix_fmt=pix_fmt, options={}, frames=3, retouch=_see_through)
    _, writer = through(source.save(tmp_path / f"in.{ext}"), tmp_path / "out.mp4")
    assert streams(tmp_path / "out.mp4") == [("video", "h264")]
    assert clips.decoded(tmp_path / "out.mp4")[0].format.name == "yuv420p"
    assert any("any transparency is lost (--codec ffv1 in .mkv keeps it)" in line for line in writer.warnings)


def test_alpha_that_nvdec_would_drop_is_decoded_on_the_cpu(tmp_path: Path) -> None:
    source = Clip(codec="libvpx-vp9", pix_fmt="yuva420p", options={}, frames=3).save(tmp_path / "in.webm")
    with open_reader(source, device=Device(torch.device("cuda"), torch.float16, "")) as reader:
        assert reader.decoder == "libvpx-vp9 on the CPU, because NVDEC would drop its alpha"
        assert next(iter(reader)).alpha is not None


@pytest.mark.parametrize(("size", "works"), [((320, 180), True), ((321, 180), False), ((320, 181), False)])
def test_nvdec_is_used_where_pyav_hands_on_all_colours(
    monkeypatch: pytest.MonkeyPatch, size: tuple[int, int], works: bool
) -> None:
    """Of planes with an odd side PyAV gives one line or column of colours too few."""
    cuda, nv12 = (SimpleNamespace(name=name) for name in ("cuda", "nv12"))
    frame = SimpleNamespace(format=cuda, sw_format=nv12, width=size[0], height=size[1])
    decoder = SimpleNamespace(is_hwaccel=True, decode=lambda packet: [frame], flush_buffers=lambda: None)
    monkeypatch.setattr("vidnoise.io.gpu._open", lambda stream, device: decoder)
    trial = Trial(None, Device(torch.device("cuda"), torch.float16, ""), iter([None]))
    assert (trial.context is decoder) is works
    assert works or f"{size[0]}x{size[1]}" in trial.why


@pytest.mark.parametrize(("ext", "pix_fmt"), [("mkv", "bgra"), ("mov", "bgra"), ("webm", "yuva420p")])
def test_alpha_goes_where_the_container_holds_it(tmp_path: Path, ext: str, pix_fmt: str) -> None:
    source = Clip(codec="rawvideo", pix_fmt="bgra", options={}, frames=3, retouch=_see_through)
    through(source.save(tmp_path / "in.nut"), tmp_path / f"out.{ext}")
    with open_reader(tmp_path / f"out.{ext}") as reader:
        assert reader.pix_fmt == pix_fmt
        alpha = next(iter(reader)).alpha
    assert alpha is not None
    np.testing.assert_allclose(alpha[0, 32].numpy() * 255, np.arange(96), atol=4)


def test_a_depth_that_the_codec_cannot_keep_is_reported(tmp_path: Path) -> None:
    source = Clip(codec="libx264", pix_fmt="yuv420p10le", frames=3).save(tmp_path / "in.mkv")
    _, writer = through(source, tmp_path / "out.mkv", OutputOptions(codec="mpeg4"))
    assert "10 bits a sample become 8" in " ".join(writer.warnings)


def test_what_mp4_cannot_hold_is_named_with_a_container_that_can(tmp_path: Path) -> None:
    font = ("font.ttf", "font/ttf", b"not really a font")
    clip = Clip(audio="pcm_u8", frames=30, attachments=[font])
    _, writer = through(clip.save(tmp_path / "in.mkv"), tmp_path / "out.mp4")
    assert streams(tmp_path / "out.mp4") == [("video", "h264")]
    text = "\n".join(writer.warnings)
    assert "audio stream 1 (pcm_u8)" in text
    assert "attachment stream 2" in text
    assert text.count(".mkv can") == 2


@pytest.mark.parametrize(
    ("first", "second", "codec"),
    [
        ("mkv", "mp4", "mov_text"),
        ("mkv", "mov", "mov_text"),
        ("mp4", "mkv", "subrip"),
        ("mkv", "webm", "webvtt"),
    ],
)
def test_text_subtitles_take_the_form_that_the_container_has(
    tmp_path: Path, first: str, second: str, codec: str
) -> None:
    clip = Clip(extras=[clips.subtitles(first)], options={"crf": "40"}, start=1)
    source, target = clip.save(tmp_path / f"in.{first}"), tmp_path / f"out.{second}"
    reader, writer = through(source, target)
    assert not reader.losses
    assert any(f"deu) becomes {codec} in .{second}" in line for line in writer.warnings)
    assert _texts(target) == [(0.15 * i, 0.1, f"line {i}") for i in range(3)]
    with av.open(str(target)) as out:
        assert out.streams[1].codec_context.codec.canonical_name == codec
        assert out.streams[1].metadata["language"] in ("deu", "ger")


def test_subtitles_of_camcorders_and_discs_stay_what_they_are(tmp_path: Path) -> None:
    """These have several packets at one time, and numbers of their own in transport streams."""
    parts = [(time, 0.1, b"\x16\0\1%c\x80\0\0" % number) for number, time in enumerate((0.1, 0.1, 0.2))]
    source = Clip(extras=[Extra("hdmv_pgs_subtitle", parts)]).save(tmp_path / "in.m2ts")
    reader, writer = through(source, tmp_path / "out.MTS")
    assert not reader.losses
    assert writer.warnings == []
    assert streams(tmp_path / "out.MTS")[1] == ("subtitle", "hdmv_pgs_subtitle")
    assert [data for _, data in clips.packets(tmp_path / "out.MTS", 1)] == [data for _, _, data in parts]
    _, writer = through(source, tmp_path / "out.ts")
    assert any("(pgssub), so it is left out; .mkv can" in line for line in writer.warnings)


@pytest.mark.parametrize("ext", ["mp4", "ts"])
def test_sound_of_discs_that_only_their_own_files_hold_is_named_with_these(tmp_path: Path, ext: str) -> None:
    source = Clip(audio="pcm_bluray", frames=5).save(tmp_path / "in.m2ts")
    _, writer = through(source, tmp_path / f"out.{ext}")
    assert any("(pcm_bluray), so it is left out; .m2ts can" in line for line in writer.warnings)


@pytest.mark.parametrize("ext", ["mp4", "mov"])
def test_texts_that_overlap_are_shown_together_where_only_one_can_be(tmp_path: Path, ext: str) -> None:
    texts = [(0, 0.3, b"Anna"), (0, 0.3, b"Bert"), (0.2, 0.2, b"Cleo"), (0.6, 0.1, b"Dora")]
    source = Clip(frames=20, audio="aac", extras=[Extra("subrip", texts)]).save(tmp_path / "in.mkv")
    reader, _ = through(source, tmp_path / f"out.{ext}")
    assert not reader.losses
    assert _texts(tmp_path / f"out.{ext}") == [
        (0, 0.2, "Anna\nBert"),
        (0.2, 0.1, "Anna\nBert\nCleo"),
        (0.3, 0.1, "Cleo"),
        (0.6, 0.1, "Dora"),
    ]


def test_a_text_of_unknown_length_stays_so_in_webm(tmp_path: Path) -> None:
    source = Clip(extras=[Extra("subrip", [(0.1, 0, b"Anna"), (0.2, 0.1, b"Bert")])]).save(
        tmp_path / "in.mkv"
    )
    through(source, tmp_path / "out.webm", OutputOptions(codec="vp9"))
    assert _texts(tmp_path / "out.webm") == [(0.1, 0, "Anna"), (0.2, 0.1, "Bert")]


def test_a_long_text_beside_sound_is_one_page(tmp_path: Path) -> None:
    texts = [(0, 1, b"Anna"), (2, 15, b"Bert")]
    source = Clip(frames=20, rate=1, audio="aac", extras=[Extra("subrip", texts)]).save(tmp_path / "in.mkv")
    through(source, tmp_path / "out.mp4")
    assert _texts(tmp_path / "out.mp4") == [(0, 1, "Anna"), (2, 15, "Bert")]


@pytest.mark.parametrize("ext", ["mp4", "mov"])
def test_a_text_after_a_long_pause_is_shown_in_its_place(tmp_path: Path, ext: str) -> None:
    """FFmpeg's muxer puts one that is 2^31 ticks behind the last directly after it."""
    texts = [(0, 1, b"Anna"), (20_000, 1, b"Bert"), (20_010, 1, b"Cleo")]
    source = Clip(frames=21, rate=Fraction(1, 1000), extras=[Extra("subrip", texts)]).save(
        tmp_path / "in.mkv"
    )
    through(source, tmp_path / f"out.{ext}")
    assert _texts(tmp_path / f"out.{ext}") == [(0, 1, "Anna"), (20_000, 1, "Bert"), (20_010, 1, "Cleo")]


def _texts(path: Path) -> list[tuple[float, float, str]]:
    """When each text subtitle begins, how long it lasts, and what it says."""
    found = []
    with av.open(str(path)) as container:
        stream: Any = container.streams.subtitles[0]
        for packet in container.demux(stream):
            if packet.size and (text := stream.codec_context.decode2(packet)) and text.rects:
                times = [float(time * packet.time_base) for time in (packet.pts, packet.duration)]
                found.append((*(round(time, 3) for time in times), text.rects[0].dialogue.decode()))
    return found


def test_a_subtitle_that_cannot_be_read_as_text_is_counted(tmp_path: Path) -> None:
    text = Extra("subrip", [(0, 0.1, b"whole"), (0.2, 0.1, b"M\xfcll"), (0.3, 0.1, b"whole again")])
    source = Clip(extras=[text]).save(tmp_path / "in.mkv")
    reader, _ = through(source, tmp_path / "out.mp4")
    assert [line for _, _, line in _texts(tmp_path / "out.mp4")] == ["whole", "whole again"]
    assert str(reader.losses) == "1 broken packet of copied streams left out"


@pytest.mark.parametrize("ext", ["mp4", "mov"])
def test_telemetry_of_action_cameras_is_kept(tmp_path: Path, ext: str) -> None:
    met = Extra("bin_data", [(0, 0.2, b"DEVC\0"), (0.2, 0.2, b"DEVC\1")], {"handler_name": "GoPro MET"})
    source, target = Clip(extras=[met]).save(tmp_path / "in.mp4"), tmp_path / f"out.{ext}"
    _, writer = through(source, target)
    assert writer.warnings == []
    assert clips.packets(target, 1) == clips.packets(source, 1) != []
    with av.open(str(target)) as out:
        assert out.streams[1].metadata["handler_name"] == "GoPro MET"
    _, writer = through(source, tmp_path / "out.mkv")
    assert "data stream 1" in writer.warnings[0]


def test_tracks_of_phones_that_nobody_knows_are_left_out_by_name(tmp_path: Path) -> None:
    """Without boxes of their own, which FFmpeg does not write, they would be unreadable."""
    met = Extra("bin_data", [(0, 0.2, b"DEVC\0")])
    data = Clip(extras=[met], audio="aac").save(tmp_path / "in.mp4").read_bytes()
    for known, other in ((b"gpmd", b"mebx"), (b"mp4a", b"apac"), (b"esds", b"dapa")):
        data = data.replace(known, other)
    (tmp_path / "in.mov").write_bytes(data)
    _, writer = through(tmp_path / "in.mov", tmp_path / "out.mov")
    assert streams(tmp_path / "out.mov") == [("video", "h264")]
    assert [("apac" in line, "mebx" in line) for line in writer.warnings] == [(True, False), (False, True)]


@pytest.mark.parametrize("ext", ["wmv", "nut"])
def test_telemetry_that_nobody_would_know_again_is_named(tmp_path: Path, ext: str) -> None:
    source = Clip(extras=[Extra("bin_data", [(0, 0.2, b"DEVC\0")])]).save(tmp_path / "in.mp4")
    _, writer = through(source, tmp_path / f"out.{ext}")
    assert [kind for kind, _ in streams(tmp_path / f"out.{ext}")] == ["video"]
    assert any("data stream 1" in line for line in writer.warnings)


def test_text_that_a_transport_stream_would_bury_is_left_out_and_named(tmp_path: Path) -> None:
    source = Clip(extras=[clips.subtitles("mkv")], audio="pcm_s16le", frames=30).save(tmp_path / "in.mkv")
    _, writer = through(source, tmp_path / "out.ts")
    assert streams(tmp_path / "out.ts") == [("video", "h264")]
    text = "\n".join(writer.warnings)
    assert "audio stream 1 (pcm_s16le)" in text
    assert "subtitle stream 2" in text


def test_text_that_a_program_stream_would_bury_is_left_out_and_named(tmp_path: Path) -> None:
    source = Clip(extras=[clips.subtitles("mkv")]).save(tmp_path / "in.mkv")
    _, writer = through(source, tmp_path / "out.mpg")
    assert [kind for kind, _ in streams(tmp_path / "out.mpg")] == ["video"]
    assert any("subtitle stream 1" in line for line in writer.warnings)


@pytest.mark.parametrize(
    ("audio", "first", "second"),
    [("eac3", "mkv", "avi"), ("flac", "mkv", "avi"), ("flac", "mkv", "wmv"), ("adpcm_ima_wav", "avi", "nut")],
)
def test_sound_that_would_be_written_wrongly_is_left_out_and_named(
    tmp_path: Path, audio: str, first: str, second: str
) -> None:
    _, writer = through(Clip(audio=audio).save(tmp_path / f"in.{first}"), tmp_path / f"out.{second}")
    assert [kind for kind, _ in streams(tmp_path / f"out.{second}")] == ["video"]
    assert any("audio stream 1" in line for line in writer.warnings)


@pytest.mark.parametrize(
    ("audio", "ext"),
    [("adpcm_ima_wav", "wmv"), ("adpcm_ms", "avi"), ("pcm_alaw", "mov"), ("pcm_mulaw", "avi")],
)
def test_sound_without_a_name_in_matroska_is_kept_as_avi_has_it(tmp_path: Path, audio: str, ext: str) -> None:
    source = Clip(audio=audio, codec="mpeg4", options={}).save(tmp_path / f"in.{ext}")
    _, writer = through(source, tmp_path / "out.mkv")
    assert writer.warnings == []
    assert streams(tmp_path / "out.mkv")[1] == ("audio", audio)
    sounds = [[data for _, data in clips.packets(path, 1)] for path in (source, tmp_path / "out.mkv")]
    assert sounds[0] == sounds[1] != []


@pytest.mark.parametrize(("language", "found"), [("deu", {"deu", "ger"}), ("fra", {"fra", "fre"})])
@pytest.mark.parametrize("ext", ["mp4", "mov", "mkv"])
def test_languages_are_kept(tmp_path: Path, ext: str, language: str, found: set[str]) -> None:
    source = Clip(video_metadata={"language": language}, frames=2).save(tmp_path / "in.mkv")
    through(source, tmp_path / f"out.{ext}")
    with av.open(str(tmp_path / f"out.{ext}")) as out:
        assert out.streams.video[0].metadata["language"] in found


def test_a_language_that_mov_has_no_number_for_is_named(tmp_path: Path) -> None:
    source = Clip(video_metadata={"language": "haw"}, frames=2).save(tmp_path / "in.mkv")
    _, writer = through(source, tmp_path / "out.mov")
    assert any("language" in line and "haw" in line for line in writer.warnings)


@pytest.mark.parametrize(
    ("first", "second", "word"),
    [
        ("mp4", "mp4", "name"),
        ("mp4", "mkv", "title"),
        ("mkv", "mp4", "name"),
        ("mkv", "mov", "name"),
        ("mkv", "m4v", "handler_name"),
    ],
)
def test_titles_of_streams_are_kept(tmp_path: Path, first: str, second: str, word: str) -> None:
    still = clips.image_bytes("mpeg4", clips.picture(9), "yuv420p")
    other = Extra("mpeg4", [(0, 0.04, still)], {"title": "Kamera 2"}, size=(96, 64))
    clip = Clip(video_metadata={"title": "Kamera 1"}, frames=2, extras=[other])
    through(clip.save(tmp_path / f"in.{first}"), tmp_path / f"out.{second}")
    with av.open(str(tmp_path / f"out.{second}")) as out:
        assert [stream.metadata[word] for stream in out.streams] == ["Kamera 1", "Kamera 2"]
        assert "NAME" not in out.streams[0].metadata


def test_fonts_stay_attached(tmp_path: Path) -> None:
    font = ("font.ttf", "font/ttf", b"not really a font")
    source = Clip(attachments=[font]).save(tmp_path / "in.mkv")
    through(source, tmp_path / "out.mkv")
    with av.open(str(tmp_path / "out.mkv")) as out:
        found: Any = [s for s in out.streams if s.type == "attachment"]
        assert [(s.metadata["filename"], s.metadata["mimetype"], bytes(s.data)) for s in found] == [font]


@pytest.mark.parametrize(
    ("first", "second"), [("mp4", "mkv"), ("mkv", "mp4"), ("mp4", "mp4"), ("mkv", "m4v"), ("mp4", "m4v")]
)
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


def test_beside_a_cover_mp4_names_the_metadata_that_it_cannot_hold(tmp_path: Path) -> None:
    attached = Clip(
        attachments=[("cover.jpg", "image/jpeg", clips.cover())], metadata={"MOOD": "calm"}, frames=2
    )
    _, writer = through(attached.save(tmp_path / "in.mkv"), tmp_path / "out.mp4")
    assert writer.warnings == ["beside a cover, .mp4 cannot hold the metadata MOOD; .mkv can"]
    assert [kind for kind, _ in streams(tmp_path / "out.mp4")] == ["video", "video"]


def test_frames_made_by_hand_need_no_times_and_no_rate_and_are_opaque(tmp_path: Path) -> None:
    options = OutputOptions(codec="ffv1", pix_fmt="yuva444p")
    writer = open_writer(tmp_path / "out.mkv", None, StreamInfo(64, 48), options)
    for _ in range(3):
        writer.write(Frame(image=torch.rand(3, 48, 64)))
    with pytest.raises(OutputError, match="a frame of 62x48 cannot go into a video of 64x48"):
        writer.write(Frame(image=torch.rand(3, 48, 62)))
    writer.finish()
    made = clips.decoded(tmp_path / "out.mkv")
    assert [frame.pts * frame.time_base for frame in made] == [Fraction(n, 25) for n in range(3)]
    assert {int(planes_of(frame)[0][-1].min()) for frame in made} == {255}


@pytest.mark.parametrize(
    ("appear", "overwrite", "told"),
    [
        (lambda path: path.write_text("another program's"), False, "has appeared while this ran"),
        (lambda path: path.mkdir(exist_ok=True), True, "cannot rename the output to .*: Is a directory"),
    ],
    ids=["file", "folder"],
)
def test_what_appears_meanwhile_under_the_name_is_kept_and_so_is_the_result(
    tmp_path: Path, appear: Callable[[Path], object], overwrite: bool, told: str
) -> None:
    source, target = Clip(frames=3).save(tmp_path / "in.mp4"), tmp_path / "out.mkv"
    with pytest.raises(OutputError, match=rf"{told}; the result is kept as ") as raised:
        vidnoise.run(source, "none", target, overwrite=overwrite, progress=lambda _: appear(target))
    assert target.is_dir() or target.read_text() == "another program's"
    assert len(clips.decoded(Path(str(raised.value).split("kept as ")[1]))) == 3


def test_a_cover_that_no_decoder_knows_is_left_out_of_mp4_and_named(tmp_path: Path) -> None:
    broken = ("cover.jpg", "image/jpeg", b"\xff\xd8\xffnothing")
    source = Clip(attachments=[broken], frames=2).save(tmp_path / "in.mkv")
    _, writer = through(source, tmp_path / "out.mp4")
    assert streams(tmp_path / "out.mp4") == [("video", "h264")]
    assert writer.warnings == [".mp4 cannot hold cover picture 1 (mjpeg), so it is left out; .mkv can"]


def test_a_second_video_is_copied_and_the_cover_before_the_video_is_not_taken_for_it(tmp_path: Path) -> None:
    still = clips.image_bytes("mjpeg", clips.picture(9), "yuvj420p")
    second = Extra("mjpeg", [(i * 0.04, 0.04, still) for i in range(5)], size=(96, 64))
    source = Clip(extras=[second], attachments=[("cover.jpg", "image/jpeg", still)]).save(tmp_path / "in.mkv")
    through(source, tmp_path / "out.mkv")
    assert [codec for kind, codec in streams(tmp_path / "out.mkv") if kind == "video"] == [
        "h264",
        "mjpeg",
        "mjpeg",
    ]
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
        times = [
            [(c["start"] * c["time_base"], c["end"] * c["time_base"]) for c in f.chapters()]
            for f in (before, after)
        ]
        assert times[0] == times[1]
        assert len(after.streams) == len(before.streams)
        assert after.metadata["title"] == "Wasser"
        assert after.streams.video[0].disposition == before.streams.video[0].disposition
        assert after.streams.video[0].metadata["language"] == "fra"
        assert {k.lower() for k in before.metadata} == {k.lower() for k in after.metadata}


@pytest.mark.parametrize(
    ("ext", "lost"),
    [("mkv", ()), ("mp4", ()), ("mov", (0, 1)), ("m4v", (0, 1)), ("ts", (1,)), ("nut", (0, 1))],
)
def test_whom_a_stream_is_for_is_kept_or_named(tmp_path: Path, ext: str, lost: tuple[int, ...]) -> None:
    sound = Clip(audio="aac").save(tmp_path / "sound.mkv")
    with av.open(str(sound)) as clip, av.open(str(tmp_path / "in.mkv"), "w") as out:
        copies = {}
        for stream, role in ((clip.streams[0], 1), (clip.streams[1], 1 << 7), (clip.streams[1], 1 << 6)):
            copy = out.add_stream_from_template(stream)
            copy.disposition = role
            copies.setdefault(stream.index, []).append(copy)
        for packet in clip.demux():
            data, pts, dts = bytes(packet), packet.pts, packet.dts
            for copy in copies[packet.stream_index] if data else ():
                made = av.Packet(data)
                made.stream, made.pts, made.dts, made.time_base = copy, pts, dts, packet.time_base
                out.mux(made)
    _, writer = through(tmp_path / "in.mkv", tmp_path / f"out.{ext}")
    words = ["is for the hearing impaired; .mkv and .mp4 can", "is forced; .mkv and .mp4 can"]
    assert [n for n, word in enumerate(words) if word in " ".join(writer.warnings)] == list(lost)
    with av.open(str(tmp_path / f"out.{ext}")) as out:
        kept = [int(s.disposition) for s in out.streams.audio]
        assert [n for n, role in enumerate((1 << 7, 1 << 6)) if not kept[n] & role] == list(lost)


def test_metadata_that_mp4_has_no_place_for_moves_from_matroska(tmp_path: Path) -> None:
    source = Clip(metadata={"title": "Wasser", "lens": "35 mm"}).save(tmp_path / "in.mkv")
    through(source, tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as out:
        found = {key.lower(): value for key, value in out.metadata.items()}
    assert (found["title"], found["lens"]) == ("Wasser", "35 mm")


def test_metadata_that_quicktime_has_no_place_for_moves_from_mp4(tmp_path: Path) -> None:
    entries = {"title": "Wasser", "description": "Am Fluss", "show": "Reise", "album_artist": "Ada"}
    source = Clip(metadata=entries).save(tmp_path / "in.mp4")
    through(source, tmp_path / "out.mov")
    with av.open(str(tmp_path / "out.mov")) as out:
        assert {key: out.metadata.get(key) for key in entries} == entries


@pytest.mark.parametrize("ext", ["ts", "avi", "mpg", "flv", "mxf"])
def test_chapters_that_cannot_be_held_are_named(tmp_path: Path, ext: str) -> None:
    source = Clip(chapters=[(0.0, 0.2, "Anfang"), (0.2, 0.48, "Schluss")]).save(tmp_path / "in.mkv")
    _, writer = through(source, tmp_path / f"out.{ext}")
    assert f".{ext} cannot hold the chapters; .mkv and .mp4 can" in writer.warnings


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


@pytest.mark.parametrize(
    ("rate", "code", "found"),
    [
        (25, "01:02:03:24", "01:02:05:00"),
        (Fraction(30000, 1001), "00:00:58;29", "00:01:00;03"),
        (Fraction(30000, 1001), "00:09:58;29", "00:10:00;01"),
        (Fraction(30000, 1001), "23:59:59:00", "00:00:00:02"),
    ],
)
def test_a_timecode_begins_with_the_part(tmp_path: Path, rate: Fraction, code: str, found: str) -> None:
    """Behind a semicolon 0 and 1 are left out at every minute but the tenth."""
    clip = Clip(frames=40, rate=rate, video_metadata={"timecode": code})
    step = 26 if rate == 25 else 32
    through(clip.save(tmp_path / "in.mov"), tmp_path / "out.mov", start=step / rate)
    with av.open(str(tmp_path / "out.mov")) as out:
        assert out.streams.video[0].metadata["timecode"] == found


@pytest.mark.parametrize(("ext", "holds"), [("mkv", True), ("avi", False), ("ts", False), ("m4v", False)])
def test_a_timecode_that_the_container_cannot_hold_is_named(tmp_path: Path, ext: str, holds: bool) -> None:
    source = Clip(frames=3, video_metadata={"timecode": "01:02:03:04"}).save(tmp_path / "in.mov")
    _, writer = through(source, tmp_path / f"out.{ext}")
    lost = f".{ext} cannot hold the time code of video stream 0 (h264); .mp4 and .mkv can"
    assert writer.warnings == ([] if holds else [lost])


def test_sound_and_timecode_of_mxf_are_kept(tmp_path: Path) -> None:
    clip = Clip(codec="mpeg2video", time_base=Fraction(1, 25), audio="pcm_s16le", options={"qmax": "2"})
    source = replace(clip, metadata={"timecode": "10:00:00:05"}).save(tmp_path / "in.mxf")
    _, writer = through(source, tmp_path / "out.mxf")
    assert writer.warnings == []
    assert streams(tmp_path / "out.mxf") == [("video", "mpeg2video"), ("audio", "pcm_s16le")]
    assert clips.packets(tmp_path / "out.mxf", 1) == clips.packets(source, 1)
    through(source, tmp_path / "out.mov")
    for ext in ("mxf", "mov"):
        with av.open(str(tmp_path / f"out.{ext}")) as out:
            assert out.metadata["timecode"] == "10:00:00:05"


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


def hdr_clip(folder: Path, ext: str = "mp4", **changes: Any) -> Path:
    """A short HDR10 clip: BT.2020, PQ, mastering display and content light, chroma sited top left."""

    def tag(stream: Any) -> None:
        context = stream.codec_context
        context.colorspace, context.color_primaries, context.color_trc, context.color_range = 9, 9, 16, 1
        context.options = {**context.options, "chroma_sample_location": "topleft"}

    clip = Clip(codec="libx265", options={"crf": "8", **HDR}, pix_fmt="yuv420p10le", prepare=tag, frames=4)
    return replace(clip, **changes).save(folder / f"hdr.{ext}")


@pytest.mark.parametrize("codec", ["h264", "hevc", "av1"])
@pytest.mark.parametrize("ext", ["mp4", "mkv"])
def test_hdr_metadata_and_colour_tags_reach_the_encoder(tmp_path: Path, codec: str, ext: str) -> None:
    source = hdr_clip(tmp_path)
    _, writer = through(
        source, tmp_path / f"out.{ext}", OutputOptions(codec=codec, threads=1), change=touched
    )
    assert writer.warnings == []
    before, after = side_data(source), side_data(tmp_path / f"out.{ext}")
    assert after["CONTENT_LIGHT_LEVEL"] == before["CONTENT_LIGHT_LEVEL"]
    a, b = (_ratios(data["MASTERING_DISPLAY_METADATA"]) for data in (before, after))
    np.testing.assert_allclose(a, b, rtol=0.02, atol=1e-4)
    with open_reader(source) as first, open_reader(tmp_path / f"out.{ext}") as second:
        assert second.info.colour == first.info.colour
        assert (second.info.colour.chroma_location, second.info.colour.transfer) == (3, 16)
        assert second.info.format == first.info.format


def _ratios(mastering: bytes) -> list[float]:
    numbers = struct.unpack("20i", mastering[:80])
    return [a / b for a, b in zip(numbers[::2], numbers[1::2], strict=True)]


def dolby_vision(source: Path, profile: int, compatible: int) -> Path:
    """The file with a Dolby Vision record (dvcC) in its only track; the index must stand behind the pictures."""
    data = bytearray(source.read_bytes())
    record = (
        bytes([1, 0]) + (profile << 9 | 6 << 3 | 5).to_bytes(2, "big") + bytes([compatible << 4, *[0] * 19])
    )
    box = (8 + len(record)).to_bytes(4, "big") + b"dvcC" + record
    at = 0
    for kind in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"hev1"):
        at = data.index(kind, at) - 4
        size = int.from_bytes(data[at : at + 4], "big")
        data[at : at + 4] = (size + len(box)).to_bytes(4, "big")
        end, at = at + size, at + 8
    data[end:end] = box
    source.write_bytes(data)
    return source


@pytest.mark.parametrize(
    ("profile", "compatible", "words"), [(8, 1, ""), (5, 0, " (its colours are wrong without it)")]
)
def test_dolby_vision_is_named_and_what_its_colours_are_without_it(
    tmp_path: Path, profile: int, compatible: int, words: str
) -> None:
    _, writer = through(dolby_vision(hdr_clip(tmp_path), profile, compatible), tmp_path / "out.mp4")
    assert writer.warnings == [f"Dolby Vision metadata{words} cannot be written here and is left out"]


def test_an_encoder_that_cannot_write_hdr_metadata_says_so(tmp_path: Path) -> None:
    _, writer = through(hdr_clip(tmp_path), tmp_path / "out.mkv", OutputOptions(codec="ffv1"))
    assert [w for w in writer.warnings if "mastering-display" in w and "hevc" in w]


def test_side_data_that_no_encoder_here_writes_is_named(tmp_path: Path) -> None:
    options = {"crf": "10", "x264-params": "frame-packing=3"}
    source = Clip(options=options, frames=3).save(tmp_path / "in.mkv")
    assert "STEREO3D" in side_data(source)
    _, writer = through(source, tmp_path / "out.mkv")
    assert [w for w in writer.warnings if "3D views" in w]


def test_3d_views_are_arranged_in_matroska_as_they_were_and_named_elsewhere(tmp_path: Path) -> None:
    source = Clip(video_metadata={"stereo_mode": "top_bottom"}, frames=3).save(tmp_path / "in.mkv")
    for ext, warned in (("mkv", False), ("mp4", True)):
        _, writer = through(source, tmp_path / f"out.{ext}", change=touched)
        assert any("3D views" in line for line in writer.warnings) == warned
        assert ("STEREO3D" in side_data(tmp_path / f"out.{ext}")) != warned


@pytest.mark.parametrize("full", [1, 2])
@pytest.mark.parametrize("codec", ["libx264", "libx265", "libsvtav1", "libvpx-vp9"])
def test_range_matrix_and_transfer_tags_are_kept(tmp_path: Path, codec: str, full: int) -> None:
    def tag(stream: Any) -> None:
        context = stream.codec_context
        context.colorspace, context.color_primaries, context.color_trc, context.color_range = 1, 1, 1, full

    source = Clip(codec=codec, options={}, prepare=tag, frames=2).save(tmp_path / "in.mkv")
    through(source, tmp_path / "out.mp4")
    with open_reader(source) as first, open_reader(tmp_path / "out.mp4") as second:
        assert second.info.colour == first.info.colour
        assert second.info.colour.range == full


@pytest.mark.parametrize(
    ("codec", "ext"),
    [
        ("prores", "mov"),
        ("mpeg4", "mp4"),
        ("mpeg2video", "ts"),
        ("ffv1", "avi"),
        ("mjpeg", "avi"),
        ("wmv2", "wmv"),
    ],
)
@pytest.mark.parametrize("full", [1, 2])
def test_colours_are_converted_where_range_or_matrix_cannot_be_told(
    tmp_path: Path, codec: str, ext: str, full: int
) -> None:
    """A small BT.709 picture, which without tags is taken for BT.601."""

    def tag(stream: Any) -> None:
        stream.codec_context.colorspace, stream.codec_context.color_range = 1, full

    source = Clip(pix_fmt="yuv444p", prepare=tag, frames=12, draw=_bars).save(tmp_path / "in.mp4")
    through(source, tmp_path / f"out.{ext}", OutputOptions(codec=codec, threads=1))
    with open_reader(source) as first, open_reader(tmp_path / f"out.{ext}") as second:
        a, b = next(iter(first)).image, next(iter(second)).image
    middles = [8, 24, 40, 56, 72, 88]  # of the bars, where chroma of half the size is the same
    assert (a - b)[:, 8:-8, middles].abs().max() * 255 < 7


def _bars(number: int) -> np.ndarray[Any, Any]:
    colours = [(0, 0, 0), (255, 255, 255), (200, 40, 40), (40, 180, 60), (50, 60, 200), (120, 120, 120)]
    return np.repeat(np.array([colours], np.uint8), 16, 1).repeat(64, 0)


def test_prores_holds_its_colour_tags_in_every_picture(tmp_path: Path) -> None:
    through(hdr_clip(tmp_path), tmp_path / "out.mov", OutputOptions(codec="prores"), change=touched)
    frame = clips.decoded(tmp_path / "out.mov")[0]
    assert (frame.colorspace, frame.color_primaries, frame.color_trc, frame.color_range) == (9, 9, 16, 1)


def test_video_without_tags_stays_without(tmp_path: Path) -> None:
    source = Clip(frames=2).save(tmp_path / "in.mp4")
    through(source, tmp_path / "out.mp4", change=touched)
    frame = clips.decoded(tmp_path / "out.mp4")[0]
    assert (frame.colorspace, frame.color_primaries, frame.color_trc, frame.color_range) == (2, 2, 2, 0)


@pytest.mark.parametrize("codec", ["libx264", "libsvtav1", "mpeg4", "prores_ks"])
def test_rotation_and_sample_shape_are_kept(tmp_path: Path, codec: str) -> None:
    def turn(stream: Any) -> None:
        stream.set_display_rotation(90, hflip=True)
        stream.codec_context.sample_aspect_ratio = Fraction(4, 3)

    pix_fmt = "yuv422p10le" if codec == "prores_ks" else "yuv420p"
    ext = "mp4" if codec == "libsvtav1" else "mov"
    clip = Clip(codec=codec, pix_fmt=pix_fmt, options={}, prepare=turn, frames=2)
    source, target = clip.save(tmp_path / f"in.{ext}"), tmp_path / f"out.{ext}"
    through(source, target)
    assert side_data(target)["DISPLAYMATRIX"] == side_data(source)["DISPLAYMATRIX"]
    with av.open(str(target)) as out:
        assert out.streams.video[0].sample_aspect_ratio == Fraction(4, 3)


def test_rotation_that_the_container_cannot_hold_is_reported(tmp_path: Path) -> None:
    source = Clip(prepare=lambda s: s.set_display_rotation(90), frames=2).save(tmp_path / "in.mp4")
    _, writer = through(source, tmp_path / "out.ts")
    assert [w for w in writer.warnings if "rotation" in w and ".mp4" in w]


@pytest.mark.parametrize(
    ("codec", "ext"),
    [
        ("libsvtav1", "mkv"),
        ("libx264", "mkv"),
        ("huffyuv", "avi"),
        ("ffv1", "nut"),
        ("rawvideo", "y4m"),
        ("libvpx", "ogv"),
    ],
)
def test_sample_shape_is_kept_or_reported(tmp_path: Path, codec: str, ext: str) -> None:
    def wide(stream: Any) -> None:
        stream.codec_context.sample_aspect_ratio = Fraction(4, 3)

    source = Clip(prepare=wide, frames=2).save(tmp_path / "in.mp4")
    _, writer = through(source, tmp_path / f"out.{ext}", OutputOptions(codec=codec))
    with av.open(str(tmp_path / f"out.{ext}")) as out:
        kept = out.streams.video[0].sample_aspect_ratio == Fraction(4, 3)
    assert kept != bool([w for w in writer.warnings if "4:3" in w and ".mp4" in w])


# What the user chooses


def test_options_reach_the_encoder(tmp_path: Path) -> None:
    source = Clip(frames=10, draw=_noise).save(tmp_path / "in.mp4")
    sizes = {}
    for crf in (20, 40):
        options = OutputOptions(
            codec="libx264", crf=crf, preset="ultrafast", encoder_opts={"g": "2"}, threads=1
        )
        through(source, tmp_path / f"{crf}.mp4", options)
        sizes[crf] = (tmp_path / f"{crf}.mp4").stat().st_size
        with av.open(str(tmp_path / f"{crf}.mp4")) as out:
            assert [p.is_keyframe for p in out.demux(video=0) if p.size].count(True) == 5
    assert sizes[40] < sizes[20] / 2


def _noise(number: int) -> Any:
    return np.random.default_rng(number).integers(0, 256, (64, 96, 3)).astype(np.uint8)


def test_audio_can_be_left_out(tmp_path: Path) -> None:
    source = Clip(audio="aac").save(tmp_path / "in.mp4")
    _, writer = through(source, tmp_path / "out.mp4", OutputOptions(audio="none"))
    assert streams(tmp_path / "out.mp4") == [("video", "h264")]
    assert writer.warnings == []


def test_a_pixel_format_can_be_chosen(tmp_path: Path) -> None:
    source = Clip(frames=3).save(tmp_path / "in.mp4")
    through(source, tmp_path / "out.mp4", OutputOptions(pix_fmt="yuv420p10le"))
    frames = clips.decoded(tmp_path / "out.mp4")
    assert [f.format.name for f in frames] == ["yuv420p10le"] * 3
    error = frames[1].to_ndarray(format="gray").astype(float) - clips.decoded(source)[1].to_ndarray(
        format="gray"
    )
    assert np.abs(error).mean() < 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (OutputOptions(codec="h265x"), "h265x"),
        (OutputOptions(codec="libx246"), "did you mean 'libx26"),
        (OutputOptions(codec="H.265"), "did you mean 'hevc'"),
        (OutputOptions(pix_fmt="yuv421p"), "yuv421p"),
        (OutputOptions(codec="ffv1", crf=20), "--crf"),
        (OutputOptions(codec="mjpeg", preset="slow"), "--preset"),
        (OutputOptions(codec="libx264", encoder_opts={"tuen": "film"}), "tune"),
        (OutputOptions(codec="libx264", preset="quick"), "--preset quick: .*veryfast"),
        (OutputOptions(codec="libx264", crf=1000), "--crf 1000 .* 0, the best, to 51"),
        (OutputOptions(codec="libsvtav1", crf=64), "--crf 64 .* to 63"),
        (OutputOptions(codec="libsvtav1", crf=20.5), "--crf 20.5 is no whole number"),
        (OutputOptions(codec="mpeg4", crf=0), "--crf 0 .* 1, the best, to 31"),
        (
            OutputOptions(codec="libx264", encoder_opts={"crf": "52"}),
            "crf=52: libx264 takes numbers from -1 to 51",
        ),
        (
            OutputOptions(codec="libsvtav1", preset="3.5"),
            "--preset 3.5: libsvtav1 takes whole numbers from -2 to 13",
        ),
        (OutputOptions(codec="prores", encoder_opts={"profile": "foo"}), "profile=foo: .*4444xq"),
        (
            OutputOptions(codec="libx264", pix_fmt="yuv420p12le"),
            "no yuv420p12le; type --pix-fmt .* nv12, .* rgb24",
        ),
        (OutputOptions(codec="libvpx-vp9"), ".mkv"),
        (OutputOptions(codec="libvpx", crf=3), "--crf 3 .* 4, the best, to 63"),
        (
            OutputOptions(encoder_opts={"x264-params": "me=umh:reff=3"}),
            "x264-params=me=umh:reff=3: .*'reff = 3'",
        ),
        (OutputOptions(codec="hevc", encoder_opts={"x265-params": "keyint=long"}), "libx265 .* keyint: long"),
        (OutputOptions(codec="av1", encoder_opts={"svtav1-params": "grain=8"}), "libsvtav1 .* grain: 8"),
        (OutputOptions(encoder_opts={"pixel_format": "yuv444p"}), "--pix-fmt"),
        (OutputOptions(encoder_opts={"time_base": "1/10"}), "settled by the frames"),
    ],
)
def test_a_wrong_option_is_explained_in_our_words_alone_and_leaves_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], options: OutputOptions, words: str
) -> None:
    ext = {"libvpx-vp9": "ts", "libvpx": "webm", "prores": "mov"}.get(options.codec or "", "mp4")
    source = Clip(frames=2).save(tmp_path / "in.mp4")
    with pytest.raises(VidnoiseError, match=words):
        through(source, tmp_path / f"out.{ext}", options)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.mp4"]
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("codec", "options"), [("libx264", {"qp": "45"}), ("libx264", {"b": "20k"}), ("mpeg4", {"b": "50k"})]
)
def test_a_rate_that_is_asked_for_takes_the_place_of_the_quality(
    tmp_path: Path, codec: str, options: dict[str, str]
) -> None:
    source = Clip(frames=30).save(tmp_path / "in.mp4")
    sizes = []
    for name, chosen in (("as it is", {}), ("as asked", options)):
        through(source, tmp_path / f"{name}.mp4", OutputOptions(codec=codec, encoder_opts=chosen))
        sizes.append((tmp_path / f"{name}.mp4").stat().st_size)
    assert sizes[1] < sizes[0]


@pytest.mark.parametrize(("codec", "options"), [("libx264", {"qmax": "50"}), ("libvpx-vp9", {"qmin": "0"})])
def test_bounds_leave_the_quality_as_it_is(tmp_path: Path, codec: str, options: dict[str, str]) -> None:
    source = Clip(frames=10).save(tmp_path / "in.mp4")
    sizes = []
    for name, chosen in (("as it is", {}), ("bounded", options)):
        through(source, tmp_path / f"{name}.mkv", OutputOptions(codec=codec, encoder_opts=chosen))
        sizes.append(sum(len(data) for _, data in clips.packets(tmp_path / f"{name}.mkv", 0)))
    assert sizes[1] == pytest.approx(sizes[0], rel=0.02)


@pytest.mark.parametrize("codec", ["hevc", "h264", "av1", "vp9", "ffv1"])
def test_every_encoder_takes_more_threads_than_it_needs(tmp_path: Path, codec: str) -> None:
    source = Clip(frames=2).save(tmp_path / "in.mp4")
    through(source, tmp_path / "out.mkv", OutputOptions(codec=codec, threads=64))
    assert len(clips.decoded(tmp_path / "out.mkv")) == 2


def test_what_the_encoder_calls_a_quality_may_go_beyond_the_scale_of_crf(tmp_path: Path) -> None:
    """In FFmpeg's own option 118 are a step."""
    source = Clip(frames=2).save(tmp_path / "in.mp4")
    options = OutputOptions(codec="mpeg4", encoder_opts={"flags": "+qscale", "global_quality": "354"})
    through(source, tmp_path / "out.mp4", options)
    assert len(clips.decoded(tmp_path / "out.mp4")) == 2


def test_a_strip_that_av1_cannot_encode_is_refused_or_written_as_another_codec(tmp_path: Path) -> None:
    """SVT-AV1 waits without end at such sizes."""
    source = Clip(frames=3, size=(16, 80), codec="ffv1", options={}).save(tmp_path / "in.mkv")
    with pytest.raises(OutputError, match=r"16x80 pixels.* --codec h264 can"):
        through(source, tmp_path / "out.mkv", OutputOptions(codec="av1"))
    av1 = Clip(frames=3, codec="libsvtav1", options={"preset": "12"}).save(tmp_path / "av1.mkv")
    with open_reader(av1) as reader:
        writer = open_writer(tmp_path / "out.mkv", reader, replace(reader.info, width=16, height=80))
        writer.abort()
    assert "libx264 is used, because libsvtav1 cannot encode 16x80" in writer.warnings[0]


@pytest.mark.parametrize(
    ("option", "value", "takes"),
    [
        ("crf", "18", "a number or None"),
        ("crf", float("nan"), "numbers"),
        ("preset", 3, "text or None"),
        ("threads", -1, r"0\.\.1024"),
        ("audio", "loud", "copy, none"),
        ("encoder_opts", {"bf": 0}, "text to text"),
        ("encoder_opts", "tune=grain", "text to text"),
    ],
)
def test_an_option_of_a_wrong_kind_is_named_with_what_it_takes(option: str, value: Any, takes: str) -> None:
    with pytest.raises(UsageError, match=rf"output: {option}=.*{takes}"):
        OutputOptions(**{option: value})


@pytest.mark.parametrize(
    ("option", "value", "takes"),
    [
        ("output", {"crf": 18}, "OutputOptions"),
        ("tile", "512", "a whole number"),
        ("tile", -1, "at least 0"),
        ("max_latency", 1.5, "a whole number or None"),
        ("overwrite", "no", "true or false"),
        ("progress", 3, "a function"),
        ("opened", "done", "a function"),
        ("threads", "2", "a whole number"),
        ("threads", 10**6, r"0\.\.1024"),
        ("deinterlace", "no", "true or false"),
    ],
)
def test_an_argument_of_a_wrong_kind_is_named_with_what_it_takes(
    tmp_path: Path, option: str, value: Any, takes: str
) -> None:
    source = Clip(frames=2).save(tmp_path / "in.mp4")
    with pytest.raises(UsageError, match=rf"{option}=.*{takes}"):
        vidnoise.run(source, "none", tmp_path / "out.mp4", **{option: value})
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.mp4"]


@pytest.mark.parametrize(
    ("option", "value", "choices"),
    [
        ("compare", "top", "split, side"),
        ("device", "gpu", "auto, cpu, cuda"),
        ("precision", "fp8", "auto, fp32, bf16, fp16, int8"),
    ],
)
def test_a_word_that_is_no_choice_is_answered_with_the_choices(
    tmp_path: Path, option: str, value: str, choices: str
) -> None:
    source = Clip(frames=2).save(tmp_path / "in.mp4")
    with pytest.raises(UsageError, match=f"'{value}' is not known; it is one of {choices}$"):
        vidnoise.run(source, "median", tmp_path / "out.mp4", **{option: value})
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.mp4"]


@pytest.mark.parametrize(
    ("option", "hint"),
    [
        ("crf", r"write output=vidnoise\.io\.OutputOptions\(crf=18\)"),
        ("overwite", "did you mean 'overwrite'"),
        ("strat", "did you mean 'start'"),
        ("fps", "it takes .*rate"),
    ],
)
def test_an_argument_that_nobody_takes_is_answered_with_what_was_meant(
    tmp_path: Path, option: str, hint: str
) -> None:
    with pytest.raises(UsageError, match=f"vidnoise.run takes no '{option}'; {hint}"):
        vidnoise.run(tmp_path / "in.mp4", "none", tmp_path / "out.mp4", **{option: 18})
    with (
        pytest.raises(UsageError, match=f"vidnoise.open takes no '{option}'"),
        vidnoise.open(tmp_path / "in.mp4", "none", **{option: 18}),
    ):
        pass
    with pytest.raises(UsageError, match=f"vidnoise.opencv.VideoCapture takes no '{option}'"):
        VideoCapture(chain="none", **{option: 18})


@pytest.mark.parametrize("name", [None, 3, b"in.mp4", ["in.mp4"]])
def test_what_is_no_name_of_a_file_is_refused_with_what_is(tmp_path: Path, name: Any) -> None:
    source = Clip(frames=2).save(tmp_path / "in.mp4")
    kind = type(name).__name__
    with pytest.raises(UsageError, match=f"source is of type {kind}; it takes the name of a file"):
        vidnoise.run(name, "none", tmp_path / "out.mp4")
    with pytest.raises(UsageError, match=f"target is of type {kind}; it takes the name of a file"):
        vidnoise.run(source, "none", name)
    with pytest.raises(UsageError, match=f"source is of type {kind}"), vidnoise.open(name, "none"):
        pass


def test_the_format_of_the_standard_output_is_refused_for_a_file(tmp_path: Path) -> None:
    source = Clip(frames=2).save(tmp_path / "in.mp4")
    for name in ("out.mkv", "%05d.png"):
        with pytest.raises(UsageError, match="--format y4m is for the standard output"):
            vidnoise.run(source, "none", tmp_path / name, output=OutputOptions(format="y4m"))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.mp4"]


def test_a_fraction_is_a_quality(tmp_path: Path) -> None:
    source = Clip(frames=2).save(tmp_path / "in.mp4")
    through(source, tmp_path / "out.mp4", OutputOptions(codec="libx264", crf=Fraction(37, 2)))
    assert len(clips.decoded(tmp_path / "out.mp4")) == 2


def test_an_error_that_tells_what_to_type_notes_what_that_is_in_python(tmp_path: Path) -> None:
    source = Clip(frames=2).save(tmp_path / "in.mp4")
    with pytest.raises(UsageError) as raised:
        vidnoise.run(source, "none", source.with_suffix(".mkv"), output=OutputOptions(codec="ffv1", crf=18))
    assert raised.value.__notes__ == [
        "(in Python --crf is output=OutputOptions(crf=...), --encoder-opt is output=OutputOptions(encoder_opts={...}))"
    ]


@pytest.mark.parametrize(
    ("asked", "source", "shown"),
    [
        ("libx264rgb", "yuv420p", "gbrp"),
        ("libx264", "gbrp", "yuv444p"),
        ("h264", "yuv420p", "yuv420p"),
        ("h264", "gbrp", "gbrp"),
    ],
)
def test_an_encoder_that_is_asked_for_is_used_and_a_codec_has_the_one_that_fits(
    tmp_path: Path, asked: str, source: str, shown: str
) -> None:
    clip = Clip(frames=2, codec="ffv1", pix_fmt="bgr0" if source == "gbrp" else source, options={})
    _, writer = through(clip.save(tmp_path / "in.mkv"), tmp_path / "out.mkv", OutputOptions(codec=asked))
    assert {f.format.name for f in clips.decoded(tmp_path / "out.mkv")} == {shown}
    lost = "RGB is stored as YUV" if shown == "yuv444p" else "YUV is stored as RGB"
    assert (lost in " ".join(writer.warnings)) == (asked.startswith("lib"))


def test_a_hardware_encoder_that_is_not_there_is_replaced(tmp_path: Path) -> None:
    source = Clip(frames=3, size=(256, 128)).save(tmp_path / "in.mp4")
    _, writer = through(source, tmp_path / "out.mp4", OutputOptions(codec="h264_nvenc"))
    assert len(clips.decoded(tmp_path / "out.mp4")) == 3
    assert "h264_nvenc" in writer.encoder
    if "libx264" in writer.encoder:
        assert "h264_nvenc cannot be used here" in writer.warnings[0]


def test_frames_without_a_reader_make_a_file(tmp_path: Path) -> None:
    info = StreamInfo(width=64, height=48, rate=Fraction(10))
    writer = open_writer(tmp_path / "out.mp4", None, info)
    for index in range(5):
        writer.write(Frame(pts=index * 100, image=torch.full((3, 48, 64), index / 5)))
    writer.finish()
    assert clips.times(tmp_path / "out.mp4") == [Fraction(i, 10) for i in range(5)]
    means = [f.to_ndarray(format="rgb24").mean() for f in clips.decoded(tmp_path / "out.mp4")]
    np.testing.assert_allclose(means, [i * 51 for i in range(5)], atol=3)


@pytest.mark.parametrize("name", ["out.mp4", "out%d.png", "out.png"])
def test_writing_what_is_no_frame_is_refused_with_how_to_make_one(tmp_path: Path, name: str) -> None:
    writer: Any = open_writer(tmp_path / name, None, StreamInfo(width=64, height=48))
    with pytest.raises(UsageError, match=r"ndarray is no frame; write vidnoise\.Frame\(image="), writer:
        writer.write(np.zeros((48, 64, 3), np.uint8))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (
            ("in.mp4", StreamInfo(64, 48)),
            r"reader is of type str; write reader=vidnoise\.io\.open_reader\('in\.mp4'\), or None",
        ),
        ((None, (64, 48)), r"info is of type tuple; write info=reader\.info"),
        (
            (None, StreamInfo(64, 48), {"crf": 18}),
            r"options is of type dict; write options=vidnoise\.io\.OutputOptions\(crf=18\)",
        ),
    ],
)
def test_a_writer_is_told_of_an_argument_of_the_wrong_kind(
    tmp_path: Path, given: tuple[Any, ...], told: str
) -> None:
    with pytest.raises(UsageError, match=told):
        open_writer(tmp_path / "out.mp4", *given)
    assert not list(tmp_path.iterdir())


# The place on disk


def test_an_existing_file_needs_overwrite(tmp_path: Path) -> None:
    source = Clip(frames=3).save(tmp_path / "in.mp4")
    target = tmp_path / "out.mp4"
    target.write_bytes(b"precious")
    with pytest.raises(UsageError, match="--overwrite"):
        through(source, target)
    assert target.read_bytes() == b"precious"
    target.chmod(0o600)
    through(source, target, OutputOptions(overwrite=True))
    assert len(clips.decoded(target)) == 3
    assert target.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("link", ["same", "hard", "symbolic", "dotted"])
def test_the_input_is_never_the_output(tmp_path: Path, link: str) -> None:
    source = Clip(frames=3).save(tmp_path / "in.mp4")
    before = source.read_bytes()
    target = tmp_path / "out.mp4"
    if link == "hard":
        target.hardlink_to(source)
    elif link == "symbolic":
        target.symlink_to(source)
    else:
        (tmp_path / "sub").mkdir()
        target = source if link == "same" else tmp_path / "sub" / ".." / "in.mp4"
    with pytest.raises(UsageError, match="input itself"):
        through(source, target, OutputOptions(overwrite=True))
    assert source.read_bytes() == before


def test_subtitles_of_one_moment_are_all_kept(tmp_path: Path) -> None:
    lines = Extra("subrip", [(0.1, 0.2, b"one"), (0.1, 0.3, b"two"), (0.1, 0.1, b"three")])
    source = Clip(extras=[lines]).save(tmp_path / "in.mkv")
    reader, _ = through(source, tmp_path / "out.mkv")
    assert not reader.losses
    assert [data for _, data in clips.packets(tmp_path / "out.mkv", 1)] == [b"one", b"two", b"three"]


def test_pcm_of_no_known_loudspeakers_goes_into_mp4(tmp_path: Path) -> None:
    """Matroska does not say which they are, and MP4 wants to know."""
    source = Clip(audio="pcm_s16le").save(tmp_path / "in.mkv")
    _, writer = through(source, tmp_path / "out.mp4")
    assert writer.warnings == []
    (before, heard), (after, heard_out) = clips.sound(source), clips.sound(tmp_path / "out.mp4")
    assert before == after
    assert np.array_equal(heard, heard_out)


def test_sound_of_several_packets_in_one_tick_of_the_output_is_kept_whole(tmp_path: Path) -> None:
    """AVI takes a packet of this for 2048 samples; it has 2036."""
    source = Clip(frames=200, audio="adpcm_ms").save(tmp_path / "in.asf")
    reader, _ = through(source, tmp_path / "out.avi")
    assert not reader.losses
    sounds = [[data for _, data in clips.packets(tmp_path / name, 1)] for name in ("in.asf", "out.avi")]
    assert sounds[0] == sounds[1]


def test_pcm_of_more_channels_than_have_names_is_left_out_of_mp4_by_name(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "in.mov"), "w") as out:
        video = out.add_stream("libx264", rate=25, width=96, height=64)
        audio = out.add_stream("pcm_s16le", rate=48000, layout="12 channels")
        sound = av.AudioFrame.from_ndarray(
            np.zeros((1, 12 * 480), np.int16), format="s16", layout="12 channels"
        )
        sound.sample_rate = 48000
        for stream, frame in ((video, Clip().frame(0)), (audio, sound)):
            out.mux([*stream.encode(frame), *stream.encode(None)])
    _, writer = through(tmp_path / "in.mov", tmp_path / "out.mp4")
    assert [warning for warning in writer.warnings if "pcm_s16le" in warning and ".mkv can" in warning]


@pytest.mark.parametrize(("name", "frames"), [("in.mkv", 12), ("in.png", 1)])
def test_a_named_pipe_is_read_from_its_first_byte(tmp_path: Path, name: str, frames: int) -> None:
    """As a shell makes one of `vidnoise <(...)`."""
    source, pipe = tmp_path / name, tmp_path / "pipe"
    if frames > 1:
        Clip(frames=frames).save(source)
    else:
        source.write_bytes(clips.image_bytes("png", clips.picture(0), "rgb24"))
    os.mkfifo(pipe)
    with subprocess.Popen(["cp", source, pipe]), open_reader(pipe) as reader:
        assert len(list(reader)) == frames


def test_a_container_that_crops_is_told_of(tmp_path: Path) -> None:
    """An element of Matroska that says nothing here (DisplayUnit) becomes another of its length (PixelCropTop)."""
    source = Clip(frames=3).save(tmp_path / "in.mkv")
    source.write_bytes(source.read_bytes().replace(b"\x54\xb2\x81\x04", b"\x54\xbb\x81\x14", 1))
    _, writer = through(source, tmp_path / "out.mkv")
    assert writer.warnings == [
        "the container's cropping of 0/0/20/0 pixels (left/right/top/bottom) cannot be written here and is left out"
    ]


@pytest.mark.parametrize(("encoder", "codec"), [("libx264", "h264"), ("libx265", "hevc")])
def test_what_a_stream_crops_at_its_left_stays_away(tmp_path: Path, encoder: str, codec: str) -> None:
    whole = Clip(frames=2, codec=encoder, options={"x265-params": "log-level=none"}).save(
        tmp_path / "whole.mp4"
    )
    with av.open(str(whole)) as given, av.open(str(tmp_path / "in.mp4"), "w") as made:
        video = given.streams.video[0]
        stream = made.add_stream_from_template(video)
        crop = BitStreamFilterContext(f"{codec}_metadata=crop_left=6:crop_right=10", video, stream)
        for packet in [*given.demux(video), None]:
            made.mux(crop.filter(packet))
    through(tmp_path / "in.mp4", tmp_path / "out.mkv", OutputOptions(codec="ffv1"))
    for before, after in zip(clips.decoded(whole), clips.decoded(tmp_path / "out.mkv"), strict=True):
        np.testing.assert_array_equal(planes_of(before)[0][0][:, 6:-10], planes_of(after)[0][0])


@pytest.mark.parametrize(("name", "words"), [("a" * 300, "File name too long"), ("a\0b", "null byte")])
def test_a_name_that_no_file_can_have_is_refused_in_words(tmp_path: Path, name: str, words: str) -> None:
    source = Clip(frames=1).save(tmp_path / "in.mp4")
    with pytest.raises(InputError, match=f"cannot be opened: .*{words}"):
        open_reader(tmp_path / f"{name}.mp4")
    with pytest.raises(OutputError, match=f"cannot be written: .*{words}"):
        vidnoise.run(source, "none", tmp_path / f"{name}.mp4")


def test_a_name_as_long_as_names_may_be_is_written(tmp_path: Path) -> None:
    source = Clip(frames=3).save(tmp_path / "in.mp4")
    longest = tmp_path / f"{'画' * 83}.mp4"
    through(source, longest)
    assert len(clips.decoded(longest)) == 3


def test_a_link_is_written_through_and_stays_one(tmp_path: Path) -> None:
    source = Clip(frames=3).save(tmp_path / "in.mp4")
    (tmp_path / "disk").mkdir()
    link = tmp_path / "out.mp4"
    link.symlink_to(tmp_path / "disk" / "real.mp4")
    through(source, link)
    assert link.is_symlink()
    assert len(clips.decoded(tmp_path / "disk" / "real.mp4")) == 3
    with pytest.raises(UsageError, match="--overwrite"):
        through(source, link)
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["disk", "in.mp4", "out.mp4", "real.mp4"]


def test_the_final_name_appears_only_when_the_file_is_whole(tmp_path: Path) -> None:
    source = Clip(frames=6).save(tmp_path / "in.mp4")
    target = tmp_path / "out.mp4"
    with open_reader(source) as reader:
        writer = open_writer(target, reader, reader.info)
        for frame in reader:
            writer.write(frame)
            assert not target.exists()
        writer.finish()
    assert target.exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.mp4", "out.mp4"]


@pytest.mark.parametrize("name", ["12:30.mp4", "x:y.mkv", "http:a.mp4"])
def test_a_name_with_a_colon_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    source = Path(Clip(frames=2).save(tmp_path / "in.mp4").name).rename(f"in{name}")
    with open_reader(str(source)) as reader:
        writer = open_writer(name, reader, reader.info)
        for frame in reader:
            writer.write(frame)
        writer.finish()
    assert len(clips.decoded(tmp_path / name)) == 2
    assert sorted(os.listdir()) == sorted([name, f"in{name}"])


def test_aborting_leaves_nothing_and_keeps_what_was_there(tmp_path: Path) -> None:
    source = Clip(frames=6).save(tmp_path / "in.mp4")
    target = tmp_path / "out.mp4"
    target.write_bytes(b"old")
    with open_reader(source) as reader:
        writer = open_writer(target, reader, reader.info, OutputOptions(overwrite=True))
        writer.write(next(iter(reader)))
        writer.abort()
        writer.abort()
    assert target.read_bytes() == b"old"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.mp4", "out.mp4"]


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("missing/out.mp4", OutputError, r"make it with: mkdir -p .*/missing$"),
        ("Ann's/out.mp4", OutputError, r"""mkdir -p '.*/Ann'"'"'s'$"""),
        ("in.mp4/out.mp4", OutputError, "in.mp4 is a file, not a folder"),
        ("folder", OutputError, "folder"),
        ("out.xyz", UsageError, ".mp4"),
        ("out", UsageError, r"out: its name has no ending; use \.mp4"),
        ("out.gif", UsageError, r"256 colours.*-o .*out\.mp4, or -o - \| ffmpeg -i - .*out\.gif"),
        ("out.srt", UsageError, r"\.srt is no kind of video; type -o .*out\.mkv"),
        ("out.mka", UsageError, r"\.mka is no kind of video; type -o .*out\.mkv"),
        (
            "out.m3u8",
            UsageError,
            r"many files; type -o .*out\.mp4, .*ffmpeg -i .*out\.mp4 -c copy -hls.* .*out\.m3u8",
        ),
        (
            "out.mpd",
            UsageError,
            r"many files; type -o .*out\.mp4, .*ffmpeg -i .*out\.mp4 -c copy /.*out\.mpd",
        ),
        ("/dev/full", OutputError, "regular"),
    ],
)
def test_a_target_that_cannot_be_written_is_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, error: type[VidnoiseError], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    source = Clip(frames=2).save(tmp_path / "in.mp4")
    with pytest.raises(error, match=words):
        through(source, tmp_path / name, OutputOptions(overwrite=True))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["folder", "in.mp4"]


def test_a_name_that_ends_as_those_of_folders_is_answered_with_a_file_in_it(tmp_path: Path) -> None:
    source = Clip(frames=2).save(tmp_path / "in.mp4")
    with pytest.raises(OutputError, match=r"clean is a folder; .* such as .*clean/out\.mp4"):
        vidnoise.run(source, "none", f"{tmp_path}/clean/")


def test_an_empty_name_of_an_output_is_told_as_such(tmp_path: Path) -> None:
    """As of a variable of the shell that is not set."""
    source = Clip(frames=2).save(tmp_path / "in.mp4")
    with pytest.raises(UsageError, match="the name of the output is empty; give a file"):
        vidnoise.run(source, "none", "", overwrite=True)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission_is_explained(tmp_path: Path) -> None:
    source = Clip(frames=2).save(tmp_path / "in.mp4")
    (tmp_path / "locked").mkdir(mode=0o500)
    with pytest.raises(OutputError, match="cannot write in"):
        through(source, tmp_path / "locked" / "out.mp4")


def test_a_full_disk_is_reported_and_leaves_nothing(tmp_path: Path) -> None:
    """A limit on file sizes stands in for the full disk: the same call fails, in a process of its own."""
    source = Clip(frames=30, draw=_noise, size=(96, 64)).save(tmp_path / "in.mkv")
    script = textwrap.dedent(
        """
        import resource, signal, sys
        from vidnoise.errors import OutputError
        from vidnoise.io import OutputOptions, open_reader, open_writer
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))
        with open_reader(sys.argv[1]) as reader:
            try:
                with open_writer(sys.argv[2], reader, reader.info, OutputOptions(codec="ffv1")) as writer:
                    for frame in reader:
                        writer.write(frame)
            except OutputError as error:
                print(error)
                sys.exit(7)
        """
    )
    command = [sys.executable, "-c", script, str(source), str(tmp_path / "out.mkv")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 7, done.stderr
    assert "out.mkv" in done.stdout
    assert [p.name for p in tmp_path.iterdir()] == ["in.mkv"]


# Streams that change


@pytest.mark.parametrize(
    ("second", "words"),
    [
        ({"size": (128, 96)}, "from 96x64 yuv420p to 128x96 yuv420p"),
        ({"pix_fmt": "yuv444p"}, "from 96x64 yuv420p to 96x64 yuv444p"),
        ({"prepare": lambda stream: _tag(stream, 6, 2)}, "matrix or range"),
    ],
    ids=["size", "format", "colour"],
)
def test_a_stream_that_changes_is_brought_to_its_beginning(
    tmp_path: Path, second: dict[str, Any], words: str
) -> None:
    options = {"bf": "0", "crf": "4"}
    clip = Clip(
        frames=6, format="mpegts", options=options, start=1, prepare=lambda stream: _tag(stream, 1, 1)
    )
    clip.save(tmp_path / "a.ts")
    replace(clip, start=1 + Fraction(6, 25), **second).save(tmp_path / "b.ts")
    joined = tmp_path / "in.ts"
    joined.write_bytes((tmp_path / "a.ts").read_bytes() + (tmp_path / "b.ts").read_bytes())
    cuts: list[bool] = []
    reader, _ = through(joined, tmp_path / "out.mkv", change=lambda frame: cuts.append(frame.cut) or frame)
    frames = clips.decoded(tmp_path / "out.mkv")
    assert [clips.number_of(f) for f in frames] == [0, 1, 2, 3, 4, 5] * 2
    assert {(f.width, f.height, f.format.name) for f in frames} == {(96, 64, "yuv420p")}
    assert words in " ".join(reader.warnings)
    assert "at 0.24 s" in " ".join(reader.warnings), "as --start counts"
    assert cuts.index(True) == 6


def test_pictures_that_get_another_shape_are_told_of_and_their_part_has_it(tmp_path: Path) -> None:
    """As recordings of television do between programmes of 4:3 and of 16:9."""
    old, new = Fraction(8, 9), Fraction(32, 27)
    data = b""
    for start, shape in ((1, old), (1 + Fraction(12, 25), new)):
        clip = Clip(codec="mpeg2video", format="mpegts", frames=12, options={"bf": "0"}, start=start)

        def prepare(stream: Any, shape: Fraction = shape) -> None:
            stream.codec_context.sample_aspect_ratio = shape

        data += replace(clip, prepare=prepare).save(tmp_path / "part.ts").read_bytes()
    joined = tmp_path / "in.ts"
    joined.write_bytes(data)
    for start, shape in ((0, old), (0.48, new)):
        reader, _ = through(joined, tmp_path / f"{start}.mkv", start=start)
        with open_reader(tmp_path / f"{start}.mkv") as out:
            assert out.stream.sample_aspect_ratio == shape
        told = re.findall(
            r"shape changes from 4:3 to 16:9 at .* --start ([\d.]+) cleans", " ".join(reader.warnings)
        )
        assert [float(time) for time in told] == ([pytest.approx(0.48, abs=0.05)] if start == 0 else [])


def _tag(stream: Any, matrix: int, span: int) -> None:
    context = stream.codec_context
    context.colorspace = context.color_primaries = context.color_trc = matrix
    context.color_range = span


def spoken(folder: Path, file: dict[str, str], **sound: str) -> Path:
    """A file whose metadata, and those of its sound, are these."""
    Clip(frames=12, audio="libmp3lame").save(folder / "plain.mkv")
    with av.open(str(folder / "plain.mkv")) as plain, av.open(str(folder / "in.mkv"), "w") as made:
        made.metadata.update(file)
        copies = [made.add_stream_from_template(found) for found in plain.streams]
        copies[1].metadata.update(sound)
        for packet in plain.demux():
            packet.stream = copies[packet.stream_index]
            if packet.size:
                made.mux(packet)
    return folder / "in.mkv"


@pytest.mark.parametrize(
    ("ext", "file", "stream"),
    [
        ("ts", "title, MAKE", "the title"),
        ("avi", "MAKE", "the language"),
        ("mpg", "title, MAKE", "the language and the title"),
        ("flv", "", "the language and the title"),
        ("mkv", "", ""),
        ("mp4", "", ""),
    ],
)
def test_words_that_a_container_has_no_place_for_are_named(
    tmp_path: Path, ext: str, file: str, stream: str
) -> None:
    source = spoken(tmp_path, {"title": "Holiday", "make": "Apple"}, title="Commentary", language="deu")
    _, writer = through(source, tmp_path / f"out.{ext}")
    said = [f".{ext} cannot hold {stream} of audio stream 1 (mp3float, deu); .mp4 and .mkv can"] * bool(
        stream
    )
    said += [f".{ext} cannot hold the metadata {file}; .mkv and .mp4 can"] * bool(file)
    assert writer.warnings == said


def test_a_language_without_a_code_of_three_letters_is_named_where_it_is_lost(tmp_path: Path) -> None:
    text = replace(clips.subtitles(), metadata={"language": "en-US"})
    source = Clip(frames=4, extras=[text]).save(tmp_path / "in.mkv")
    assert through(source, tmp_path / "out.mkv")[1].warnings == []
    _, writer = through(source, tmp_path / "out.mp4")
    said = ".mp4 cannot hold the language of subtitle stream 1 (srt, en-US); .mkv can"
    assert said in writer.warnings


@pytest.mark.parametrize("language", ["deu,eng", "DEU"])
def test_codes_of_three_letters_that_a_transport_stream_keeps_are_not_said_to_be_lost(
    tmp_path: Path, language: str
) -> None:
    _, writer = through(spoken(tmp_path, {}, language=language), tmp_path / "out.ts")
    assert writer.warnings == []
    with av.open(str(tmp_path / "out.ts")) as out:
        assert out.streams[1].metadata["language"] == language


@pytest.mark.parametrize("start", [None, 1])
def test_of_a_playlist_in_several_sizes_the_largest_is_cleaned_and_no_other_copied(
    tmp_path: Path, start: float | None
) -> None:
    listed = "#EXTM3U\n"
    for name, size in (("small", (96, 64)), ("large", (192, 128))):
        clip = Clip(frames=50, size=size, audio="mp2", options={"g": "25", "crf": "4"})
        clip.save(tmp_path / f"{name}.ts")
        (tmp_path / f"{name}.m3u8").write_text(
            f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{name}.ts\n#EXT-X-ENDLIST\n"
        )
        listed += f"#EXT-X-STREAM-INF:BANDWIDTH={size[0]}000\n{name}.m3u8\n"
    (tmp_path / "in.m3u8").write_text(listed)
    reader, writer = through(tmp_path / "in.m3u8", tmp_path / "out.mkv", start=start)
    assert not reader.losses
    assert [*reader.warnings, *writer.warnings] == [
        f"{tmp_path / 'in.m3u8'} holds several sizes or qualities, of which the best is taken (192x128)"
    ]
    with av.open(str(tmp_path / "out.mkv")) as out:
        assert [stream.type for stream in out.streams] == ["video", "audio"]
    assert {frame.width for frame in clips.decoded(tmp_path / "out.mkv")} == {192}
    heard, copied = (
        [data for _, data in clips.packets(tmp_path / name, 1)] for name in ("large.ts", "out.mkv")
    )
    assert len(copied) == pytest.approx(len(heard) / (1 if start is None else 2), abs=2)
    assert copied == heard[-len(copied) :]


def test_a_list_of_dash_is_answered_with_what_makes_a_file_of_it(tmp_path: Path) -> None:
    (tmp_path / "in.mpd").write_text("<MPD/>")
    with pytest.raises(InputError, match=r"; type: ffmpeg -i .*in\.mpd -c copy in\.mkv, and give that"):
        open_reader(tmp_path / "in.mpd")


@pytest.mark.parametrize("ext", ["mov", "mp4"])
def test_the_colour_that_only_the_container_tells_is_kept(tmp_path: Path, ext: str) -> None:
    clip = Clip(
        frames=2,
        codec="prores_ks",
        pix_fmt="yuv422p10le",
        options={},
        prepare=lambda stream: _tag(stream, 1, 1),
    )
    assert int(clips.decoded(clip.save(tmp_path / "in.mov"))[0].colorspace) == 2  # of the codec, not said
    through(tmp_path / "in.mov", tmp_path / f"out.{ext}")
    with av.open(str(tmp_path / f"out.{ext}")) as out:
        context: Any = out.streams.video[0].codec_context
        assert (context.colorspace, context.color_primaries, context.color_trc) == (1, 1, 1)


def test_yuv_in_flv_is_not_taken_for_rgb(tmp_path: Path) -> None:
    options = {"x265-params": "log-level=error"}
    source = Clip(frames=4, codec="libx265", options=options).save(tmp_path / "in.flv")
    with open_reader(source) as reader:
        assert reader.info.colour.matrix == 2


def test_an_input_without_video_is_refused(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "in.wav"), "w") as out:
        stream = out.add_stream("pcm_s16le", rate=48000, layout="mono")
        sound = av.AudioFrame.from_ndarray(clips.beeps(0.1), format="s16", layout="mono")
        sound.sample_rate = 48000
        out.mux(stream.encode(sound))
    with pytest.raises(InputError, match="no video to clean; it holds audio"):
        open_reader(tmp_path / "in.wav")


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid(), reason="only root may take real-time priority"
)
def test_an_encoder_does_not_put_the_process_before_all_others(tmp_path):
    Clip(frames=3).save(tmp_path / "in.mkv")
    made = subprocess.run(
        [sys.executable, "-c", AV1, str(tmp_path / "in.mkv"), str(tmp_path / "out.mkv")],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert set(made.stdout.split()) == {str(os.SCHED_OTHER)}, made.stderr


AV1 = """
import os, sys
from vidnoise.io.planes import planes_of
from vidnoise.io import OutputOptions, open_reader, open_writer
with open_reader(sys.argv[1]) as reader:
    writer = open_writer(sys.argv[2], reader, reader.info, OutputOptions(codec="av1"))
    for frame in reader:
        writer.write(frame)
        print(*(os.sched_getscheduler(int(task)) for task in os.listdir("/proc/self/task")))
    writer.finish()
"""


@pytest.mark.parametrize(
    "part",
    [
        {"start": "0.1"},
        {"start": -1},
        {"start": float("inf")},
        {"start": 1e30},
        {"duration": "1"},
        {"duration": 0},
        {"duration": float("nan")},
    ],
)
@pytest.mark.parametrize("name", ["in.mp4", "%05d.png"])
def test_a_part_that_is_no_time_is_refused_with_what_was_given(tmp_path, name, part):
    ((asked, given),) = part.items()
    with pytest.raises(
        UsageError, match=rf"--start takes 0 to .* seconds.*given: --{asked} {re.escape(repr(given))}(\n|$)"
    ):
        open_reader(tmp_path / name, **part)


@pytest.mark.parametrize("start", [np.float32(0.125), Fraction(1, 8), Decimal("0.125")])
def test_a_part_may_be_given_in_numbers_of_any_kind(tmp_path, start):
    source = Clip(frames=50).save(tmp_path / "in.mp4")
    with open_reader(source, start=start, duration=np.int64(1)) as reader:
        assert reader.part.length == 1
        assert len(list(reader)) == 25


@pytest.mark.parametrize("ext", ["mp4", "mkv", "ts"])
def test_a_part_that_begins_behind_the_end_is_told_how_long_the_video_is(tmp_path: Path, ext: str) -> None:
    source = Clip(frames=50).save(tmp_path / f"in.{ext}")
    with pytest.raises(InputError, match=r"no frame lies in the part .*; the video is 2\.\d\d s long"):
        open_reader(source, start=9)


def test_a_stream_without_times_cannot_be_entered_in_the_middle_and_says_so(tmp_path):
    source = Clip(frames=10).save(tmp_path / "in.h264")
    with pytest.raises(InputError, match=r"in\.h264 cannot be sought \(h264: .*leave --start out"):
        open_reader(source, start=0.1)


def test_a_program_stream_takes_what_can_be_read_back_and_refuses_the_rest_by_name(tmp_path):
    source, target = Clip(frames=10).save(tmp_path / "in.mp4"), tmp_path / "out.mpg"
    vidnoise.run(source, "none", target)
    with av.open(target) as written:
        assert [clips.number_of(frame) for frame in written.decode(video=0)] == list(range(10))
    with pytest.raises(UsageError, match=r"\.mpg cannot store ffv1 readably; \.mkv can"):
        vidnoise.run(source, "none", tmp_path / "other.mpg", output=OutputOptions(codec="ffv1"))
