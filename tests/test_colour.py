"""Conversion between integer planes and RGB floats."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import av
import numpy as np
import pytest
import torch
from av.video.reformatter import Interpolation
from hypothesis import given, settings
from hypothesis import strategies as st

from vidnoise import buffers, colour, plane_ops
from vidnoise.colour import Colour, PixelFormat, from_rgb, to_rgb

if TYPE_CHECKING:
    from vidnoise.colour import Planes

LIMITED, FULL = 1, 2
SAMPLINGS = {"444": (0, 0), "422": (1, 0), "420": (1, 1), "440": (0, 1), "411": (2, 0), "410": (2, 2)}
YUV420 = PixelFormat("yuv420p", "yuv", 8, 1, 1)
YUV444 = PixelFormat("yuv444p", "yuv")


def yuv(sampling: str, depth: int = 8) -> PixelFormat:
    suffix = "" if depth == 8 else f"{depth}le"
    return PixelFormat(f"yuv{sampling}p{suffix}", "yuv", depth, *SAMPLINGS[sampling])


def random_planes(format: PixelFormat, height: int, width: int, seed: int = 0) -> Planes:
    generator = torch.Generator().manual_seed(seed)
    sizes = [(height, width), *[format.chroma_size(height, width)] * (format.colour_planes - 1)]
    dtype = torch.uint8 if format.depth == 8 else torch.uint16
    return tuple(torch.randint(0, format.peak + 1, size, generator=generator).to(dtype) for size in sizes)


def assert_same(ones: Planes, others: Planes) -> None:
    assert len(ones) == len(others)
    for one, other in zip(ones, others, strict=True):
        assert one.dtype == other.dtype
        assert torch.equal(one.cpu(), other.cpu())


formats = st.one_of(
    st.builds(yuv, st.sampled_from(sorted(SAMPLINGS)), st.sampled_from([8, 9, 10, 12, 14, 16])),
    st.builds(lambda depth: PixelFormat("gbrp", "rgb", depth), st.sampled_from([8, 10, 12, 16])),
    st.builds(lambda depth: PixelFormat("gray", "gray", depth), st.sampled_from([8, 10, 12, 16])),
)
colours = st.builds(
    Colour,
    matrix=st.integers(0, 17),
    primaries=st.sampled_from([1, 2, 9]),
    range=st.integers(0, 2),
    chroma_location=st.integers(0, 6),
)


@settings(max_examples=250, deadline=None)
@given(formats, colours, st.integers(1, 23), st.integers(1, 23), st.integers(0, 1 << 30))
def test_any_planes_come_back_exactly(
    format: PixelFormat, tags: Colour, height: int, width: int, seed: int
) -> None:
    planes = random_planes(format, height, width, seed)
    assert_same(from_rgb(to_rgb(planes, format, tags), format, tags), planes)


@pytest.mark.parametrize("sampling", ["420", "422", "444", "411"])
def test_large_planes_come_back_exactly(sampling: str) -> None:
    format = yuv(sampling, 10)
    planes = random_planes(format, 701, 1283)
    assert_same(from_rgb(to_rgb(planes, format, Colour()), format, Colour()), planes)


@settings(max_examples=60, deadline=None)
@given(formats, colours, st.integers(1, 23), st.integers(1, 23))
def test_the_arithmetic_for_gpus_agrees_with_that_for_cpus(
    format: PixelFormat, tags: Colour, height: int, width: int
) -> None:
    planes = random_planes(format, height, width)
    image = to_rgb(planes, format, tags)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(colour, "ops_for", lambda tensor: plane_ops._TorchOps(tensor.device))
        other = to_rgb(planes, format, tags)
        assert_same(from_rgb(other, format, tags), planes)
    torch.testing.assert_close(other, image, atol=2e-6, rtol=0)


KNOWN = [  # matrix, range, depth, then the codes of white, black, red, green and blue
    (6, LIMITED, 8, [(235, 128, 128), (16, 128, 128), (81, 90, 240), (145, 54, 34), (41, 240, 110)]),
    (1, LIMITED, 8, [(235, 128, 128), (16, 128, 128), (63, 102, 240), (173, 42, 26), (32, 240, 118)]),
    (5, FULL, 8, [(255, 128, 128), (0, 128, 128), (76, 85, 255), (150, 44, 21), (29, 255, 107)]),
    (1, FULL, 8, [(255, 128, 128), (0, 128, 128), (54, 99, 255), (182, 30, 12), (18, 255, 116)]),
    (1, LIMITED, 10, [(940, 512, 512), (64, 512, 512), (250, 409, 960), (691, 167, 105), (127, 960, 471)]),
    (9, LIMITED, 10, [(940, 512, 512), (64, 512, 512), (294, 387, 960), (658, 189, 100), (116, 960, 476)]),
    (8, FULL, 8, [(255, 128, 128), (0, 128, 128), (64, 64, 255), (128, 255, 128), (64, 64, 0)]),
]
PRIMARIES = torch.tensor([[1, 1, 1], [0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]).float()


@pytest.mark.parametrize(("matrix", "range", "depth", "codes"), KNOWN)
def test_pure_colours_have_the_codes_of_the_standards(
    matrix: int, range: int, depth: int, codes: list[tuple[int, int, int]]
) -> None:
    bars = PRIMARIES.T.reshape(3, 1, 5)
    format, tags = yuv("444", depth), Colour(matrix, range=range)
    planes = from_rgb(bars, format, tags)
    made = torch.stack([plane.int() for plane in planes]).reshape(3, 5).T
    torch.testing.assert_close(made, torch.tensor(codes, dtype=torch.int32), atol=1, rtol=0)
    torch.testing.assert_close(to_rgb(planes, format, tags), bars, atol=1.5 / 219, rtol=0)


def test_untagged_video_is_bt601_below_720_lines_and_bt709_from_there() -> None:
    for height, matrix in ((719, 6), (720, 1)):
        planes = random_planes(YUV420, height, 16)
        tagged = Colour(matrix, range=LIMITED, chroma_location=1)
        assert torch.equal(to_rgb(planes, YUV420, Colour()), to_rgb(planes, YUV420, tagged))


def test_the_name_yuvj_means_full_range() -> None:
    planes = random_planes(YUV420, 8, 8)
    named = PixelFormat("yuvj420p", "yuv", 8, 1, 1)
    assert torch.equal(to_rgb(planes, named, Colour()), to_rgb(planes, YUV420, Colour(range=FULL)))


def test_chroma_in_the_middle_gives_pure_gray() -> None:
    y = torch.arange(256, dtype=torch.uint8).reshape(16, 16)
    c = torch.full((8, 8), 128, dtype=torch.uint8)
    red, green, blue = to_rgb((y, c, c), YUV420, Colour())
    assert torch.equal(red, green)
    assert torch.equal(green, blue)


def test_rgb_planes_are_green_blue_red() -> None:
    format = PixelFormat("gbrp", "rgb")
    planes = tuple(torch.full((4, 5), code, dtype=torch.uint8) for code in (255, 0, 51))
    image = to_rgb(planes, format, Colour())
    assert image[:, 0, 0].tolist() == pytest.approx([0.2, 1, 0])


def test_gray_of_a_coloured_picture_is_its_luma() -> None:
    format = PixelFormat("gray", "gray")
    (plane,) = from_rgb(torch.tensor([0.0, 1.0, 0.0]).reshape(3, 1, 1), format, Colour())
    assert plane.item() == round(255 * 0.7152)


def test_codes_are_rounded_to_nearest_and_clipped_to_the_format_only() -> None:
    for format in (PixelFormat("gray", "gray"), PixelFormat("gray10le", "gray", 10)):
        levels = torch.tensor([-2.0, 0.0, 0.49, 0.51, 7.49, 7.51, 2.0 * format.peak]) / format.peak
        (plane,) = from_rgb(levels.expand(3, 1, 7), format, Colour())
        assert plane.flatten().tolist() == [0, 0, 0, 1, 7, 8, format.peak]
    planes = (torch.tensor([[0, 255]], dtype=torch.uint8), *[torch.tensor([[0, 255]], dtype=torch.uint8)] * 2)
    assert_same(from_rgb(to_rgb(planes, YUV444, Colour()), YUV444, Colour()), planes)


SITES = {1: (0.5, 0), 2: (0.5, 0.5), 3: (0, 0), 4: (0, 0.5), 5: (1, 0), 6: (1, 0.5)}  # in pixels: down, right


@pytest.mark.parametrize("location", sorted(SITES))
def test_a_ramp_in_chroma_stays_a_ramp_where_its_samples_are_sited(location: int) -> None:
    down, right = SITES[location]
    rows, columns = torch.meshgrid(torch.arange(12.0), torch.arange(14.0), indexing="ij")
    v = 512 + 16 * rows + 8 * columns
    planes = (torch.full((24, 28), 512), torch.full((12, 14), 512), v)
    format, tags = yuv("420", 10), Colour(5, range=FULL, chroma_location=location)
    red = to_rgb(tuple(plane.to(torch.uint16) for plane in planes), format, tags)[0]
    rows, columns = torch.meshgrid(torch.arange(24.0), torch.arange(28.0), indexing="ij")
    expected = (512 + 1.402 * (16 * (rows - down) / 2 + 8 * (columns - right) / 2)) / 1023
    inner = (slice(4, -4), slice(4, -4))
    torch.testing.assert_close(red[inner], expected[inner], atol=1e-5, rtol=0)


@pytest.mark.parametrize("location", sorted(SITES))
def test_edges_in_chroma_get_no_staircase_and_hardly_an_overshoot(location: int) -> None:
    v = torch.full((16, 16), 100, dtype=torch.uint8)
    v[:, 8:] = 200
    flat = torch.full((16, 16), 128, dtype=torch.uint8)
    planes = (torch.full((32, 32), 128, dtype=torch.uint8), flat, v)
    red = to_rgb(planes, YUV420, Colour(5, range=FULL, chroma_location=location))[0]
    line = ((red[8] * 255 - 128) / 1.402 + 28) / 100  # 0 before the edge and 1 behind it
    assert torch.equal(red[8], red[9])
    assert line.min() > -0.07
    assert line.max() < 1.07
    rising = line[13:20].diff()
    assert (rising > -0.07).all()
    assert rising.max() < 0.7


def test_colour_that_alternates_from_pixel_to_pixel_leaves_no_false_colour() -> None:
    image = torch.full((3, 32, 32), 0.5)
    image[0, :, ::2], image[0, :, 1::2] = 0.6, 0.4
    image[2, ::2], image[2, 1::2] = 0.6, 0.4
    for location in SITES:
        _, u, v = from_rgb(image, YUV420, Colour(1, range=LIMITED, chroma_location=location))
        assert set(u.unique().tolist()) | set(v.unique().tolist()) <= {127, 128, 129}


def smooth_picture(height: int, width: int) -> torch.Tensor:
    rows, columns = torch.meshgrid(torch.linspace(0, 3, height), torch.linspace(0, 4, width), indexing="ij")
    waves = [torch.sin(rows + shift) * torch.cos(columns - shift) for shift in (0.0, 0.8, 2.1)]
    return torch.stack(waves) * 0.4 + 0.5


@pytest.mark.parametrize(("matrix", "name"), [(1, "ITU709"), (6, "ITU601"), (9, "BT2020")])
@pytest.mark.parametrize("range", [LIMITED, FULL])
def test_smooth_pictures_agree_with_swscale(matrix: int, name: str, range: int) -> None:
    image = smooth_picture(96, 128)
    tags = Colour(matrix, range=range, chroma_location=1)
    planes = from_rgb(image, YUV420, tags)
    frame = av.VideoFrame(128, 96, "yuv420p")
    for target, plane in zip(frame.planes, planes, strict=True):
        target.update(np.pad(plane.numpy(), ((0, 0), (0, target.line_size - plane.shape[1]))))
    exact = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
    rgb = frame.reformat(
        format="rgb24",
        interpolation=exact,
        src_colorspace=name,
        dst_colorspace=name,
        src_color_range="MPEG" if range == LIMITED else "JPEG",
        dst_color_range="JPEG",
    ).to_ndarray()
    mine = (to_rgb(planes, YUV420, tags) * 255).permute(1, 2, 0).numpy()
    assert np.abs(mine - rgb).mean() < 1
    assert np.abs(mine - rgb).max() < 4
    assert np.abs(mine / 255 - image.permute(1, 2, 0).numpy()).max() < 5 / 255


def test_half_precision_and_strided_images_are_taken() -> None:
    image = smooth_picture(32, 48)
    for other in (image.half(), image.permute(1, 2, 0).contiguous().permute(2, 0, 1), image[:, ::2, ::3]):
        expected = from_rgb(other.float().contiguous(), YUV420, Colour())
        assert_same(from_rgb(other, YUV420, Colour()), expected)


def test_the_memory_of_a_picture_is_used_again_only_when_nobody_sees_it() -> None:
    buffers._idle.clear()
    picture = buffers.empty(3, 40, 50)
    address, view, array = picture.data_ptr(), picture[1, 3:], picture[2].numpy()
    del picture
    gc.collect()
    assert buffers.empty(3, 40, 50).data_ptr() != address
    del view
    assert buffers.empty(3, 40, 50).data_ptr() != address
    del array
    assert buffers.empty(3, 40, 50).data_ptr() == address
    assert buffers.empty(3, 40, 51).shape == (3, 40, 51)


def test_idle_memory_is_bounded() -> None:
    buffers._idle.clear()
    pictures = [buffers.empty(3, 1024, 2048) for _ in range(8)]
    del pictures
    assert 0 < sum(memory.nbytes for memory in buffers._idle) <= 128 << 20
    buffers._idle.clear()


@pytest.mark.gpu
@pytest.mark.parametrize("sampling", sorted(SAMPLINGS))
@pytest.mark.parametrize("depth", [8, 10, 16])
def test_a_gpu_gives_what_the_cpu_gives(gpu: torch.device, sampling: str, depth: int) -> None:
    format = yuv(sampling, depth)
    for location in SITES:
        tags = Colour(chroma_location=location)
        planes = random_planes(format, 67, 93)
        image = to_rgb(tuple(plane.to(gpu) for plane in planes), format, tags)
        assert image.device == gpu
        torch.testing.assert_close(image.cpu(), to_rgb(planes, format, tags), atol=2e-6, rtol=0)
        back = from_rgb(image, format, tags)
        assert all(plane.device == gpu for plane in back)
        assert_same(back, planes)


@pytest.mark.gpu
def test_gray_and_rgb_work_on_a_gpu(gpu: torch.device) -> None:
    for format in (PixelFormat("gray10le", "gray", 10), PixelFormat("gbrp12le", "rgb", 12)):
        planes = random_planes(format, 33, 47)
        there = tuple(plane.to(gpu) for plane in planes)
        assert_same(from_rgb(to_rgb(there, format, Colour()), format, Colour()), planes)
