"""Frames of PyAV taken apart into planes and put together."""

from __future__ import annotations

import gc
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_colour import assert_same

from vidnoise.colour import PixelFormat
from vidnoise.device import Device
from vidnoise.errors import InputError
from vidnoise.io.gpu import accelerator
from vidnoise.io.planes import goes_to_nvenc, pixel_format, planes_of, to_av

if TYPE_CHECKING:
    from vidnoise.colour import Planes

NAMES = {
    "yuv420p": PixelFormat("yuv420p", "yuv", 8, 1, 1),
    "yuvj420p": PixelFormat("yuvj420p", "yuv", 8, 1, 1),
    "yuv420p10": PixelFormat("yuv420p10le", "yuv", 10, 1, 1),
    "yuv422p": PixelFormat("yuv422p", "yuv", 8, 1, 0),
    "yuv444p12le": PixelFormat("yuv444p12le", "yuv", 12),
    "yuv440p10le": PixelFormat("yuv440p10le", "yuv", 10, 0, 1),
    "yuv411p": PixelFormat("yuv411p", "yuv", 8, 2, 0),
    "yuv410p": PixelFormat("yuv410p", "yuv", 8, 2, 2),
    "yuva420p": PixelFormat("yuva420p", "yuv", 8, 1, 1, alpha=True),
    "yuva444p10le": PixelFormat("yuva444p10le", "yuv", 10, alpha=True),
    "nv12": PixelFormat("yuv420p", "yuv", 8, 1, 1),
    "p010le": PixelFormat("yuv420p10le", "yuv", 10, 1, 1),
    "p416le": PixelFormat("yuv444p16le", "yuv", 16),
    "uyvy422": PixelFormat("yuv422p", "yuv", 8, 1, 0),
    "y210le": PixelFormat("yuv422p10le", "yuv", 10, 1, 0),
    "gray": PixelFormat("gray", "gray"),
    "gray8": PixelFormat("gray", "gray"),
    "gray12le": PixelFormat("gray12le", "gray", 12),
    "monow": PixelFormat("gray", "gray"),
    "ya8": PixelFormat("ya8", "gray", alpha=True),
    "ya16be": PixelFormat("ya16le", "gray", 16, alpha=True),
    "gbrp": PixelFormat("gbrp", "rgb"),
    "gbrp14be": PixelFormat("gbrp14le", "rgb", 14),
    "gbrap": PixelFormat("gbrap", "rgb", alpha=True),
    "rgb24": PixelFormat("gbrp", "rgb"),
    "bgr0": PixelFormat("gbrp", "rgb"),
    "bgra": PixelFormat("gbrap", "rgb", alpha=True),
    "rgb48be": PixelFormat("gbrp16le", "rgb", 16),
    "x2rgb10le": PixelFormat("gbrp10le", "rgb", 10),
    "rgb565le": PixelFormat("gbrp", "rgb"),
    "pal8": PixelFormat("gbrap", "rgb", alpha=True),
}


@pytest.mark.parametrize("name", sorted(NAMES))
def test_formats_map_to_the_planar_one_with_the_same_samples(name: str) -> None:
    assert pixel_format(name) == NAMES[name]


@pytest.mark.parametrize("name", ["gbrpf32le", "xyz12le", "bayer_rggb8", "rgb444le", "cuda", "gray32le"])
def test_formats_without_an_integer_equivalent_are_refused_with_advice(name: str) -> None:
    with pytest.raises(InputError, match=rf"{name} is not supported.*-pix_fmt gbrp16le"):
        pixel_format(name)


def test_unknown_formats_are_refused() -> None:
    with pytest.raises(InputError, match="'yuv421p' is no pixel format"):
        pixel_format("yuv421p")


def random_frame(name: str, width: int, height: int) -> av.VideoFrame:
    generator = np.random.default_rng(0)
    frame = av.VideoFrame(width, height, name)
    deep_planar = name.startswith(("yuv4", "yuva4", "gray1", "gbrp1", "gbrap1")) and name.endswith("le")
    for plane in frame.planes:
        if deep_planar:  # no bits above the depth, as a decoder would have it
            codes = 1 << frame.format.components[0].bits
            plane.update(generator.integers(0, codes, plane.buffer_size // 2, dtype=np.uint16))
        else:
            plane.update(generator.integers(0, 256, plane.buffer_size, dtype=np.uint8))
    return frame


@settings(max_examples=80, deadline=None)
@given(st.sampled_from(sorted(NAMES)), st.integers(2, 40), st.integers(2, 40))
def test_planes_survive_a_trip_through_a_frame(name: str, width: int, height: int) -> None:
    planes, format = planes_of(random_frame(name, width, height))
    assert [tuple(plane.shape) for plane in planes] == [
        (height, width) if index in (0, 3) or format.family != "yuv" else format.chroma_size(height, width)
        for index in range(format.colour_planes + format.alpha)
    ]
    again = to_av(planes, format, width, height)
    assert (again.width, again.height, again.format.name) == (width, height, format.name)
    assert_same(planes_of(again)[0], planes)


def lines(plane: av.video.plane.VideoPlane, dtype: str = "<u1") -> np.ndarray:
    return np.frombuffer(plane, dtype).reshape(plane.height, -1)


@pytest.mark.parametrize("matrix", [0, 1, 2, 3, 8, 9, 14])
@pytest.mark.parametrize("range", [0, 1, 2])
def test_repacking_keeps_every_sample_whatever_the_tags(matrix: int, range: int) -> None:
    def tagged(name: str, size: tuple[int, int]) -> av.VideoFrame:
        frame = random_frame(name, *size)
        frame.colorspace, frame.color_range = matrix, range
        return frame

    frame = tagged("nv12", (21, 13))
    (y, u, v), _ = planes_of(frame)
    chroma = lines(frame.planes[1])
    np.testing.assert_array_equal(y, lines(frame.planes[0])[:, :21])
    np.testing.assert_array_equal(u, chroma[:, 0:22:2])
    np.testing.assert_array_equal(v, chroma[:, 1:22:2])

    frame = tagged("p010le", (21, 13))
    (y, u, v), _ = planes_of(frame)
    chroma = lines(frame.planes[1], "<u2") >> 6
    np.testing.assert_array_equal(y, lines(frame.planes[0], "<u2")[:, :21] >> 6)
    np.testing.assert_array_equal(u, chroma[:, 0:22:2])
    np.testing.assert_array_equal(v, chroma[:, 1:22:2])

    frame = tagged("uyvy422", (20, 13))
    (y, u, v), _ = planes_of(frame)
    packed = lines(frame.planes[0])[:, :40]
    np.testing.assert_array_equal(y, packed[:, 1::2])
    np.testing.assert_array_equal(u, packed[:, 0::4])
    np.testing.assert_array_equal(v, packed[:, 2::4])

    frame = tagged("bgra", (21, 13))
    (g, b, r, a), _ = planes_of(frame)
    packed = lines(frame.planes[0])[:, :84].reshape(13, 21, 4)
    np.testing.assert_array_equal(np.stack([b, g, r, a], -1), packed)


def test_palettes_and_small_rgb_words_are_spread_without_loss() -> None:
    frame = random_frame("pal8", 21, 13)
    (g, b, r, a), _ = planes_of(frame)
    palette = np.frombuffer(frame.planes[1], "<u4")[lines(frame.planes[0])[:, :21]]
    for plane, shift in ((b, 0), (g, 8), (r, 16), (a, 24)):
        np.testing.assert_array_equal(plane, palette >> shift & 255)

    frame = random_frame("rgb565le", 21, 13)
    (g, b, r), _ = planes_of(frame)
    word = lines(frame.planes[0], "<u2")[:, :21]
    for plane, shift, top in ((b, 0, 31), (g, 5, 63), (r, 11, 31)):
        np.testing.assert_array_equal(np.rint(plane.numpy() * (top / 255)), word >> shift & top)


def test_gray_with_alpha_is_two_planes() -> None:
    frame = random_frame("ya8", 21, 13)
    (gray, alpha), _ = planes_of(frame)
    packed = lines(frame.planes[0])[:, :42]
    np.testing.assert_array_equal(gray, packed[:, 0::2])
    np.testing.assert_array_equal(alpha, packed[:, 1::2])


def test_upside_down_frames_are_turned() -> None:
    frame = random_frame("gray10le", 21, 13)
    graph = av.filter.Graph()
    source = graph.add_buffer(width=21, height=13, format="gray10le", time_base=Fraction(1, 25))
    flip, sink = graph.add("vflip"), graph.add("buffersink")
    source.link_to(flip)
    flip.link_to(sink)
    graph.configure()
    graph.push(frame)
    flipped = graph.pull()
    assert flipped.planes[0].line_size < 0
    assert_same((planes_of(flipped)[0][0].flip(0),), planes_of(frame)[0])


def clip(path: Path, codec: str, name: str, frames: int, width: int = 160, height: int = 96) -> Path:
    """A moving pattern, written with a real encoder."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = width, height, name
        rows, columns = np.mgrid[:height, :width]
        for time in range(frames):
            waves = [np.sin((rows + shift * columns + 4 * time) / 9) for shift in (1, 2, 3)]
            rgb = (np.stack(waves, -1) * 100 + 128).astype(np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(rgb).reformat(format=name)))
        container.mux(stream.encode())
    return path


def test_decoded_planes_are_not_copied_and_outlive_their_frame(tmp_path: Path) -> None:
    path = clip(tmp_path / "clip.mp4", "libx264", "yuv420p", 20)
    kept, copies = [], []
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            planes, format = planes_of(frame)
            assert planes[0].data_ptr() == frame.planes[0].buffer_ptr
            kept.append(planes)
            copies.append(tuple(plane.clone() for plane in planes))
    del frame, container
    gc.collect()
    assert format == NAMES["yuv420p"]
    assert len(kept) == 20
    for planes, copy in zip(kept, copies, strict=True):
        assert_same(planes, copy)


@pytest.mark.parametrize(
    "name", ["yuv420p", "yuv422p10le", "yuv444p12le", "gray", "gbrp10le", "yuva420p", "gbrap10le"]
)
def test_frames_go_through_a_lossless_codec_unchanged(tmp_path: Path, name: str) -> None:
    planes, format = planes_of(random_frame(name, 33, 19))
    path = tmp_path / "clip.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 33, 19, format.name
        container.mux(stream.encode(to_av(planes, format, 33, 19)))
        container.mux(stream.encode())
    with av.open(str(path)) as container:
        decoded, found = planes_of(next(container.decode(video=0)))
    assert found == format
    # Random bytes have bits above the depth, which a codec drops.
    assert_same(
        tuple(plane & format.peak for plane in map(_wide, decoded)),
        tuple(map(_wide, _masked(planes, format))),
    )


def _wide(plane: torch.Tensor) -> torch.Tensor:
    return plane.to(torch.int32)


def _masked(planes: Planes, format: PixelFormat) -> Planes:
    return tuple(_wide(plane) & format.peak for plane in planes)


@pytest.mark.parametrize(
    ("name", "size", "stays"),
    [
        ("yuv420p", (64, 48), True),
        ("yuv420p10le", (64, 48), True),
        ("yuv420p", (63, 48), False),
        ("yuv444p", (64, 48), False),
        ("yuva420p", (64, 48), False),
        ("gbrp", (64, 48), False),
    ],
)
def test_only_even_sized_420_can_stay_on_the_gpu(name: str, size: tuple[int, int], stays: bool) -> None:
    assert goes_to_nvenc(pixel_format(name), *size) is stays


def test_ffmpeg_shares_the_context_that_pytorch_has_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    """FFmpeg refuses the device's primary context where that has other flags than its own, as PyTorch's has."""
    begun: list[torch.device] = []
    monkeypatch.setattr("torch.cuda.set_device", lambda device: None)
    monkeypatch.setattr("torch.zeros", lambda size, device: begun.append(device))
    there = torch.device("cuda", 0)
    assert accelerator(Device(there, torch.float16, "")).options == {"primary_ctx": "0", "current_ctx": "1"}
    assert begun == [there]


def random_planes(format: PixelFormat, width: int, height: int, device: torch.device) -> Planes:
    generator = torch.Generator().manual_seed(0)
    chroma = format.chroma_size(height, width)
    dtype = torch.uint8 if format.depth == 8 else torch.uint16
    return tuple(
        torch.randint(0, format.peak + 1, size, generator=generator).to(dtype).to(device)
        for size in ((height, width), chroma, chroma)
    )


@pytest.mark.cuda
@pytest.mark.parametrize("name", ["yuv420p", "yuv420p10le", "yuv420p16le"])
def test_planes_on_a_gpu_survive_a_trip_through_a_frame(gpu: torch.device, name: str) -> None:
    format = pixel_format(name)
    planes = random_planes(format, 322, 182, gpu)
    frame = to_av(planes, format, 322, 182)
    assert frame.format.name == "cuda"
    again, found = planes_of(frame)
    assert found == format
    assert all(plane.device == gpu for plane in again)
    assert_same(again, planes)


@pytest.mark.cuda
def test_frames_made_on_a_gpu_download_as_their_planes(gpu: torch.device) -> None:
    format = pixel_format("yuv420p10le")
    planes = random_planes(format, 322, 182, gpu)
    frame = to_av(planes, format, 322, 182)
    torch.cuda.synchronize()
    assert_same(planes_of(frame.reformat(format="p010le"))[0], planes)


@pytest.mark.cuda
def test_a_side_stream_is_kept_in_order_with_ffmpeg(gpu: torch.device) -> None:
    format = pixel_format("yuv420p")
    planes = random_planes(format, 1920, 1080, gpu)
    torch.cuda.synchronize()
    with torch.cuda.stream(torch.cuda.Stream(gpu)):
        for _ in range(20):
            planes_again, _ = planes_of(to_av(planes, format, 1920, 1080))
            assert_same(planes_again, planes)


@pytest.mark.cuda
@pytest.mark.parametrize("name", ["yuv444p", "gbrp", "gray"])
def test_other_formats_on_a_gpu_become_frames_on_the_cpu(gpu: torch.device, name: str) -> None:
    planes, format = planes_of(random_frame(name, 33, 19))
    frame = to_av(tuple(plane.to(gpu) for plane in planes), format, 33, 19)
    assert frame.format.name == name
    assert_same(planes_of(frame)[0], planes)


@pytest.mark.cuda
@pytest.mark.parametrize(("codec", "name"), [("libx264", "yuv420p"), ("libx265", "yuv420p10le")])
def test_nvdec_gives_the_planes_of_the_software_decoder(
    gpu: torch.device, tmp_path: Path, codec: str, name: str
) -> None:
    path = clip(tmp_path / "clip.mp4", codec, name, 40, 322, 182)
    hardware = accelerator(Device(gpu, torch.float16, ""))
    hardware.allow_software_fallback = False
    count = 0
    with av.open(str(path)) as soft, av.open(str(path), hwaccel=hardware) as hard:
        for one, other in zip(soft.decode(video=0), hard.decode(video=0), strict=True):
            planes, format = planes_of(other)
            assert format.name == name
            assert all(plane.device == gpu for plane in planes)
            assert_same(planes, planes_of(one)[0])
            count += 1
    assert count == 40


@pytest.mark.cuda
@pytest.mark.parametrize(("codec", "name"), [("h264_nvenc", "yuv420p"), ("hevc_nvenc", "yuv420p10le")])
def test_nvenc_takes_frames_from_the_gpu(gpu: torch.device, tmp_path: Path, codec: str, name: str) -> None:
    source = clip(tmp_path / "source.mkv", "ffv1", name, 12, 322, 182)
    path = tmp_path / "clip.mp4"
    with av.open(str(source)) as container:
        originals = [planes_of(frame) for frame in container.decode(video=0)]
    try:
        with av.open(str(path), "w") as container:
            stream = container.add_stream(codec, rate=25, options={"qp": "10", "rc": "constqp"})
            stream.width, stream.height, stream.pix_fmt = 322, 182, "cuda"
            for time, (planes, format) in enumerate(originals):
                frame = to_av(tuple(plane.to(gpu) for plane in planes), format, 322, 182)
                frame.pts = time
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
    except av.FFmpegError as error:
        pytest.skip(f"this GPU has no NVENC unit, or it is not reachable: {error}")
    with av.open(str(path)) as container:
        decoded = [planes_of(frame) for frame in container.decode(video=0)]
    assert len(decoded) == len(originals)
    for (planes, format), (others, found) in zip(originals, decoded, strict=True):
        assert found.name == name
        for one, other in zip(planes, others, strict=True):
            error = (one.double() - other.double()).square().mean().sqrt() / format.peak
            assert error < 0.01
