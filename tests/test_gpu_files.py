"""Files through a GPU are what they are through a CPU; NVDEC steps aside with a reason where it must."""

from __future__ import annotations

from pathlib import Path

import clips
import numpy as np
import pytest
import torch
from clips import Clip
from numpy.typing import NDArray
from test_files import _captioned, _captions, hdr_clip, streams, through, touched

import vidnoise as vn
from vidnoise.device import Device, choose
from vidnoise.io import OutputOptions, open_reader


@pytest.fixture
def gpu() -> Device:
    return choose("cuda")


@pytest.mark.cuda
@pytest.mark.parametrize(
    ("codec", "pix_fmt", "options"),
    [
        ("libx264", "yuv420p", {"crf": "10", "bf": "3"}),
        ("libx265", "yuv420p10le", {"crf": "10", "x265-params": "log-level=none"}),
        ("libsvtav1", "yuv420p", {"crf": "10"}),
        ("libvpx-vp9", "yuv420p", {"b": "2M"}),
    ],
)
def test_nvdec_gives_the_frames_of_the_cpu(
    tmp_path: Path, gpu: Device, codec: str, pix_fmt: str, options: dict[str, str]
) -> None:
    clip = Clip(codec=codec, pix_fmt=pix_fmt, options=options, size=(256, 192), frames=30)
    source = clip.save(tmp_path / "in.mkv")
    with open_reader(source, device=gpu) as fast, open_reader(source) as slow:
        assert "NVDEC (" in fast.decoder
        assert fast.info == slow.info
        count = 0
        for a, b in zip(fast, slow, strict=True):
            assert a.planes is not None
            assert b.planes is not None
            assert a.device.type == "cuda"
            assert (a.pts, a.duration, a.cut) == (b.pts, b.duration, b.cut)
            for x, y in zip(a.planes, b.planes, strict=True):
                assert torch.equal(x.cpu(), y)
            count += 1
    assert count == 30
    assert not fast.losses


@pytest.mark.gpu
@pytest.mark.parametrize(
    ("codec", "pix_fmt"), [("ffv1", "yuv420p"), ("libx264", "yuv422p10le"), ("libx264", "yuv444p")]
)
def test_what_nvdec_cannot_decode_goes_to_the_cpu_with_a_reason(
    tmp_path: Path, gpu: Device, codec: str, pix_fmt: str
) -> None:
    source = Clip(codec=codec, pix_fmt=pix_fmt, options={}, size=(256, 192)).save(tmp_path / "in.mkv")
    with open_reader(source, device=gpu) as reader:
        assert [clips.number_of(f.planes[0].numpy()) for f in reader if f.planes and f.format.depth == 8] in (
            list(range(12)),
            [],
        )
        assert "on the CPU, because" in reader.decoder


@pytest.mark.cuda
def test_captions_are_worth_more_than_nvdec(tmp_path: Path, gpu: Device) -> None:
    source = _captioned(tmp_path)
    reader, _ = through(
        source, tmp_path / "out.mkv", OutputOptions(codec="libx264"), change=touched, device=gpu
    )
    assert "captions" in reader.decoder
    assert len({_captions(f) for f in clips.decoded(tmp_path / "out.mkv")}) == 8


@pytest.mark.gpu
def test_a_film_through_the_gpu_is_whole(tmp_path: Path, gpu: Device) -> None:
    clip = Clip(size=(256, 192), frames=40, audio="aac", extras=[clips.subtitles("mkv")], start=2)
    source = clip.save(tmp_path / "in.mkv")
    _, writer = through(source, tmp_path / "out.mkv", change=touched, device=gpu)
    assert "libx264" in writer.encoder or "nvenc" in writer.encoder
    assert [clips.number_of(f) for f in clips.decoded(tmp_path / "out.mkv")] == list(range(40))
    assert streams(tmp_path / "out.mkv") == streams(source)
    assert clips.times(tmp_path / "out.mkv") == clips.times(source)


@pytest.mark.gpu
@pytest.mark.parametrize("chain", ["denoise", "fuse"])
def test_a_clip_is_cleaned_on_a_gpu_as_on_a_cpu(tmp_path: Path, chain: str) -> None:
    noisy = Clip(size=(128, 96), frames=6, draw=lambda number: grainy(clips.picture(number, 128, 96), number))
    source, lossless = noisy.save(tmp_path / "in.mkv"), OutputOptions(codec="ffv1")
    pictures = {}
    for device in ("cpu", "cuda"):
        vn.run(source, chain, tmp_path / f"{device}.mkv", device=device, precision="fp32", output=lossless)
        pictures[device] = [f.to_ndarray(format="rgb24") for f in clips.decoded(tmp_path / f"{device}.mkv")]
    for one, other in zip(*pictures.values(), strict=True):
        assert np.abs(one.astype(float) - other).mean() < 0.1


def grainy(picture: NDArray[np.uint8], seed: int) -> NDArray[np.uint8]:
    noise = np.random.default_rng(seed).normal(0, 12, picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8)


@pytest.mark.cuda
def test_hdr_through_the_gpu_keeps_its_metadata(tmp_path: Path, gpu: Device) -> None:
    source = hdr_clip(tmp_path, size=(256, 192), frames=8)
    reader, _ = through(source, tmp_path / "out.mp4", OutputOptions(codec="libx265"), device=gpu)
    assert "NVDEC" in reader.decoder
    with open_reader(source) as before, open_reader(tmp_path / "out.mp4") as after:
        assert after.facts == before.facts
        assert after.info.colour == before.info.colour


@pytest.mark.cuda
@pytest.mark.parametrize("codec", ["h264_nvenc", "hevc_nvenc"])
def test_a_quantiser_for_nvenc_takes_the_place_of_the_quality(
    tmp_path: Path, gpu: Device, codec: str
) -> None:
    source = Clip(size=(256, 192), frames=30).save(tmp_path / "in.mp4")
    sizes = []
    for name, options in (("as it is", {}), ("as asked", {"qp": "48"})):
        out = tmp_path / f"{name}.mp4"
        _, writer = through(source, out, OutputOptions(codec=codec, encoder_opts=options), device=gpu)
        if codec not in writer.encoder:
            pytest.skip(f"there is no {codec} here")
        sizes.append(out.stat().st_size)
    assert sizes[1] < sizes[0]
