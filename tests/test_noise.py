"""What noise estimation promises: right figures on real pictures, and not being fooled."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
import skimage.data
import torch
import torch.nn.functional as F
from streams import patterns
from torch import Tensor

from vidnoise import dct
from vidnoise.errors import InputError, UsageError
from vidnoise.fusion import BANDS, band_means
from vidnoise.noise import NoiseEstimate, NoiseTracker, estimate
from vidnoise.train.coded import code

PICTURES = ("astronaut", "coffee", "chelsea", "camera", "rocket", "coins")


def picture(name: str) -> Tensor:
    pixels = torch.from_numpy(getattr(skimage.data, name)())
    image = pixels[None].repeat(3, 1, 1) if pixels.ndim == 2 else pixels.permute(2, 0, 1)
    return image.float() / 255


def noise(like: Tensor, sigma: float, seed: int = 0) -> Tensor:
    return torch.randn(like.shape, generator=torch.Generator().manual_seed(seed)) * sigma / 255


def to_8_bit(image: Tensor) -> Tensor:
    return (image * 255).round().clamp(0, 255) / 255


def still(height: int = 240, width: int = 320) -> Tensor:
    """A rendered picture of gentle ramps: nothing in it is noise."""
    down, across = torch.meshgrid(torch.linspace(0, 1, height), torch.linspace(0, 1, width), indexing="ij")
    return 0.15 + 0.7 * torch.stack([down, across, (down + across) / 2])


def codes(result: NoiseEstimate) -> list[float]:
    return (255 * result.sigma).tolist()


@pytest.mark.parametrize("sigma", [2, 5, 15, 50])
def test_white_noise_is_measured_on_real_pictures(sigma: int) -> None:
    errors = []
    for name in PICTURES:
        clean = picture(name)
        errors += [abs(code - sigma) for code in codes(estimate(clean + noise(clean, sigma)))]
    assert sum(errors) / len(errors) < max(0.5, 0.06 * sigma)


def clipped_deviation(sigma: float) -> Tensor:
    """Deviation (256,) of each code after adding noise, rounding and clipping, by summing over codes."""
    shades = torch.arange(256, dtype=torch.float64)
    edges = torch.cat([torch.tensor([-math.inf]), shades[:-1] + 0.5, torch.tensor([math.inf])])
    share = torch.special.ndtr((edges - shades[:, None]) / sigma).diff(dim=1)
    mean = share @ shades
    return (share @ shades**2 - mean**2).sqrt()


@pytest.mark.parametrize("sigma", [5, 20, 50])
def test_the_curve_follows_clipping_at_every_brightness(sigma: int) -> None:
    truth = clipped_deviation(sigma)
    errors = []
    for name in PICTURES:
        clean = picture(name)
        noisy = to_8_bit(clean + noise(clean, sigma))
        found = 255 * estimate(noisy).map(noisy)
        shade = (255 * clean).round().long()
        for low in range(0, 256, 16):
            here = (shade >= low) & (shade < low + 16)
            if here.float().mean() > 0.01:
                errors.append((found[here].mean() - truth[shade[here]].mean()).abs().item())
    assert sum(errors) / len(errors) < max(0.5, 0.06 * sigma)


def test_channels_are_measured_apart() -> None:
    clean = picture("coffee")
    strengths = torch.tensor([4.0, 10.0, 20.0])
    found = estimate(clean + noise(clean, 1) * strengths[:, None, None])
    assert codes(found) == pytest.approx(strengths.tolist(), rel=0.06, abs=0.5)


def test_noise_that_grows_with_light_gives_a_rising_curve() -> None:
    clean = still(480, 640)
    deviation = (9 + 391 * clean).sqrt()
    noisy = clean + noise(clean, 1) * deviation
    found = estimate(noisy)
    assert (255 * found.map(noisy) - deviation).abs().mean() < 0.06 * deviation.mean()
    assert (found.curve[:, 26] > 1.5 * found.curve[:, 6]).all()


def test_a_clean_picture_has_no_noise() -> None:
    assert max(codes(estimate(still()))) < 0.1
    assert max(codes(estimate(to_8_bit(still())))) < 0.5


def test_a_constant_picture_has_no_noise() -> None:
    found = estimate(torch.full((3, 64, 64), 0.5))
    assert codes(found) == pytest.approx([0, 0, 0], abs=0.01)
    assert found.curve.max() < 1e-4


def test_texture_that_stands_still_is_not_noise() -> None:
    clean = picture("grass")
    assert min(codes(estimate(clean))) > 3  # one frame cannot tell
    frames = [clean + noise(clean, 1, seed) for seed in range(4)]
    assert codes(estimate(frames)) == pytest.approx([1, 1, 1], abs=0.2)


def test_repeated_frames_do_not_hide_the_noise() -> None:
    clean = picture("coffee")
    frames = [clean + noise(clean, 10, seed) for seed in range(4)]
    doubled = [frame for frame in frames for _ in range(2)]
    assert codes(estimate(doubled)) == pytest.approx([10, 10, 10], rel=0.06)
    assert codes(estimate([frames[0]] * 5)) == pytest.approx([10, 10, 10], rel=0.06)


def test_letterbox_bars_do_not_hide_the_noise() -> None:
    clean = picture("astronaut")
    noisy = to_8_bit(clean + noise(clean, 10))
    for bar in (0.0, 16 / 255):
        boxed = F.pad(noisy, (120, 120, 190, 190), value=bar)
        assert codes(estimate(boxed)) == pytest.approx(codes(estimate(noisy)), rel=0.06)


def test_a_saturated_half_and_a_pasted_panel_do_not_hide_the_noise() -> None:
    clean = still(480, 640)
    clean[:, :, 400:] = 3.0
    noisy = to_8_bit(clean + noise(clean, 10))
    noisy[:, 300:400, 20:180] = 0.4
    assert codes(estimate(noisy)) == pytest.approx([10, 10, 10], rel=0.06)


def test_gray_noise_is_measured_in_every_channel() -> None:
    clean = picture("camera")
    found = codes(estimate(clean + noise(clean[:1], 10)))
    assert found == pytest.approx([10, 10, 10], rel=0.06)


def blurred(image: Tensor) -> Tensor:
    kernel = torch.tensor([0.25, 0.5, 0.25])
    across = F.conv2d(image[:, None], kernel.view(1, 1, 1, 3), padding=(0, 1))
    return F.conv2d(across, kernel.view(1, 1, 3, 1), padding=(1, 0))[:, 0]


def test_correlated_noise_is_told_from_white_noise() -> None:
    clean = picture("coffee")
    white = estimate(clean + noise(clean, 15))
    smooth = blurred(noise(clean, 15) / 0.375)  # the kernel keeps 0.375 of the deviation
    found = estimate(clean + smooth)
    assert white.correlation < 0.05
    assert found.correlation == pytest.approx(2 / 3, abs=0.15)
    assert codes(found) == pytest.approx([15, 15, 15], rel=0.2)


def test_noise_that_is_drawn_out_along_lines_is_found_as_strong_as_it_is() -> None:
    """As of analogue video: where few frequencies have most of it, blocks differ more, and a tenth was missed."""
    wide = picture("coffee")[:, 80:320, 60:]
    clean = [wide[:, :, 2 * i : 2 * i + 320] for i in range(5)]
    noisy = [c + 3 * F.avg_pool2d(noise(c, 20, i), (1, 9), 1, (0, 4)) for i, c in enumerate(clean)]
    assert codes(estimate(noisy)) == pytest.approx([20, 20, 20], rel=0.06)


def panned(sigma: float, count: int = 5) -> Tensor:
    """A camera that moves over a picture, (T,3,240,320)."""
    clean = picture("coffee")[:, 80:320, 60:]
    views = torch.stack([clean[:, :, 2 * i : 320 + 2 * i] for i in range(count)])
    return views + noise(views, sigma)


@pytest.mark.parametrize("sigma", [10, 20])
def test_noise_that_a_codec_has_been_over_is_found(sigma: int) -> None:
    coded, clean = code(panned(sigma), 23), panned(0)
    left = 255 * float((coded - clean).square().mean().sqrt())
    found = estimate(list(coded))
    assert 0.5 * left < sum(codes(found)) / 3 < 1.6 * left
    assert found.spectrum[0].mean() > 1.8 * found.spectrum[1:].mean()  # a codec keeps luma better than colour


def left_fine(noise: Tensor) -> float:
    """The deviation of noise (T,3,H,W) in the high frequencies of the brightness."""
    power = dct.forward(noise.sum(1) / math.sqrt(3)).square().mean((0, 2, 3))
    return float(power[dct.sums(power.device) >= BANDS[2][0]].mean().sqrt())


def fine(found: NoiseEstimate) -> float:
    return float(band_means(found.spectrum)[0, 2].sqrt() * found.sigma.mean())


@pytest.mark.parametrize("axis", [2, 3])
def test_noise_along_lines_is_told_from_noise_in_all_directions(axis: int) -> None:
    """As rows of a sensor have it: what is constant along them is strong, the rest as weak as it is."""
    views = panned(4)
    lines = noise(views.mean((1, axis), keepdim=True), 6).expand_as(views)
    power = estimate(list(views + lines)).spectrum[0].view(8, 8)
    across, along = (power[1:, 0], power[0, 1:]) if axis == 3 else (power[0, 1:], power[1:, 0])
    assert across.mean() > 4 * along.mean()
    even = estimate(list(views)).spectrum[0].view(8, 8)
    assert 0.7 < even[1:, 0].mean() / even[0, 1:].mean() < 1.4


def as_jpeg(image: Tensor, quality: int) -> Tensor:
    pixels = image.clamp(0, 1).permute(1, 2, 0).mul(255).byte().numpy()
    _, file = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return torch.from_numpy(cv2.imdecode(file, cv2.IMREAD_COLOR)).permute(2, 0, 1) / 255


def test_a_file_that_took_the_noise_of_colours_leaves_that_of_the_brightness() -> None:
    """What was measured of R, G and B was spread over all colours, and half of it was missed in the brightness."""
    clean = picture("coffee")[:, :240, :320]
    held = as_jpeg(clean + noise(clean, 20), 90)
    assert fine(estimate(held)) == pytest.approx(left_fine((held - clean)[None]), rel=0.15)


def test_what_moves_does_not_hide_that_fine_noise_is_even() -> None:
    """Where the scene moves, its low frequencies differ from frame to frame, but the high ones are as even as noise is."""
    cat = picture("chelsea")[:, :240]
    clean = torch.stack([cat[:, :, 11 * i : 11 * i + 400] for i in range(5)])
    held = torch.stack([as_jpeg(frame, 50) for frame in clean + noise(clean, 30)])
    assert fine(estimate(list(held))) == pytest.approx(left_fine(held - clean), rel=0.12)


def test_what_alone_makes_frames_of_the_night_differ_is_noise() -> None:
    """A single picture after a light codec told a third less: it is unlike both white and well compressed noise."""
    clean = 0.2 * panned(0)
    coded = code((clean + noise(clean, 30)).clamp(0, 1), 12)
    assert fine(estimate(list(coded))) == pytest.approx(left_fine(coded - clean), rel=0.15)


def test_white_noise_of_a_coded_frame_is_as_strong_as_its_high_frequencies_are() -> None:
    """In the brightness nearly a half more was heard."""
    wide = picture("rocket")[:, :300]
    clean = torch.stack([wide[:, :, 2 * i : 2 * i + 400] for i in range(5)])
    coded = code((clean + noise(clean, 12)).clamp(0, 1), 23)
    assert fine(estimate(coded[-1])) == pytest.approx(left_fine((coded - clean)[-1:]), rel=0.1)


def grain(like: Tensor, sigma: float, seed: int) -> Tensor:
    """As coarse as film has it, and the same in all channels."""
    coarse = F.avg_pool2d(noise(like[:1, :, :], 3 * sigma, seed)[None], 3, 1, 1)[0]
    return coarse + noise(like, 1, seed + 100)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64])
def test_noise_in_pictures_of_another_float_type_is_found(dtype: torch.dtype) -> None:
    frames = [(still() + noise(still(), 10, seed)).to(dtype) for seed in range(3)]
    assert codes(estimate(frames)) == pytest.approx([10, 10, 10], rel=0.1)


@pytest.mark.parametrize("name", ["chelsea", "astronaut", "rocket"])
def test_film_grain_before_a_moving_camera_is_found(name: str) -> None:
    """A single frame cannot tell it from texture: less than half of it was found."""
    wide = picture(name)[:, :280]
    clean = [wide[:, 4 * i : 4 * i + 240, 3 * i : 3 * i + 360] for i in range(5)]
    noisy = [frame + grain(frame, 10, seed) for seed, frame in enumerate(clean)]
    true = 255 * float(torch.stack([n - c for n, c in zip(noisy, clean, strict=True)]).std())
    assert codes(estimate(noisy)) == pytest.approx([true] * 3, rel=0.2)


@pytest.mark.parametrize("name", ["coffee", "astronaut"])
def test_noise_of_a_camera_that_a_codec_left_little_of_is_found_over_time(name: str) -> None:
    """Half of it was: a single frame cannot tell what is left from texture, but texture does not change."""
    wide = picture(name)[:, :280]
    clean = torch.stack([wide[:, 4 * i : 4 * i + 240, 3 * i : 3 * i + 360] for i in range(6)])
    photons = (1 / 9 + 16 / 9 * clean).sqrt()
    coded, still = code(clean + photons * noise(clean, 20), 28), code(clean, 28)
    left = 255 * float((coded - still).square().mean().sqrt())
    assert sum(codes(estimate(list(coded)))) / 3 == pytest.approx(left, rel=0.25)


@pytest.mark.parametrize("name", ["chelsea", "grass", "gravel"])
def test_texture_before_a_moving_camera_is_no_noise(name: str) -> None:
    """It moves by parts of pixels, and grows, so that no motion is quite right."""
    wide = picture(name)[:, :280, :440]
    scales = [1.5 + 0.01 * i for i in range(5)]
    frames = [F.interpolate(wide[None], scale_factor=s, mode="bicubic")[0, :, 40:400, 60:600] for s in scales]
    single = sum(codes(estimate(frames[-1]))) / 3
    assert sum(codes(estimate(frames))) / 3 < max(1.1 * single, 1.5)


def test_noise_that_a_codec_copies_from_frame_to_frame_is_found() -> None:
    clean = picture("coffee")[:, 80:320, 60:380].expand(8, -1, -1, -1)
    noisy = torch.stack([frame + noise(frame, 6, seed) for seed, frame in enumerate(clean)])
    coded = code(noisy, 23)
    left = 255 * float((coded - code(clean, 23)).square().mean().sqrt())
    assert 0.5 * left < sum(codes(estimate(list(coded)))) / 3 < 1.6 * left


@pytest.mark.parametrize("name", ["coffee", "chelsea"])
def test_strong_noise_that_a_codec_carries_on_in_part_is_found(name: str) -> None:
    """Frames differ by less than half of it, which was taken for all of the noise."""
    clean = picture(name)[:, :240, :320].expand(6, -1, -1, -1)
    coded = code(torch.stack([frame + noise(frame, 20, seed) for seed, frame in enumerate(clean)]), 28)
    left = 255 * float((coded - clean).square().mean().sqrt())
    assert sum(codes(estimate(list(coded)))) / 3 == pytest.approx(left, rel=0.25)


@pytest.mark.parametrize("px", [0, 3])
def test_noise_that_a_codec_copies_along_what_moves_is_told_to_last(px: int) -> None:
    wide = picture("coffee")[:, :240]
    clean = torch.stack([wide[:, :, px * i : px * i + 320] for i in range(8)])
    noisy = torch.stack([frame + noise(frame, 20, seed) for seed, frame in enumerate(clean)])
    assert estimate(list(code(noisy, 28))).lasting > 0.2
    assert estimate(list(noisy)).lasting < 0.05


def test_a_coded_clip_without_noise_stays_nearly_without() -> None:
    assert max(codes(estimate(list(code(panned(0), 23))))) < 1.5


@pytest.mark.parametrize("size", [(1, 1), (2, 9), (7, 5), (8, 8), (16, 16), (17, 33), (101, 67)])
def test_any_size_gives_a_finite_estimate(size: tuple[int, int]) -> None:
    image = torch.rand(3, *size, generator=torch.Generator().manual_seed(0))
    found = estimate([image, image.flip(2), image])
    assert found.sigma.isfinite().all()
    assert found.curve.isfinite().all()
    assert found.map(image).shape == image.shape
    assert found.map(image).isfinite().all()
    assert 0 <= found.correlation <= 1


@pytest.mark.parametrize("shade", [0.0, 0.5, 1.0])
def test_frames_of_one_shade_give_zero(shade: float) -> None:
    frames = [torch.full((3, 48, 80), shade)] * 3
    assert codes(estimate(frames)) == pytest.approx([0, 0, 0], abs=0.01)


def test_a_small_noisy_frame_is_roughly_right() -> None:
    clean = still(16, 16)
    assert codes(estimate(clean + noise(clean, 10))) == pytest.approx([10, 10, 10], rel=0.35)


def test_the_tracker_starts_afresh_at_a_cut() -> None:
    clean = picture("chelsea")
    tracker = NoiseTracker()
    for seed in range(6):
        before = tracker.update(clean + noise(clean, 25, seed), cut=False)
    after = tracker.update(clean + noise(clean, 5, 9), cut=True)
    assert codes(before) == pytest.approx([25, 25, 25], rel=0.06)
    assert codes(after) == pytest.approx([5, 5, 5], rel=0.1)


def test_the_tracker_after_reset_is_as_new() -> None:
    clean = picture("chelsea")
    tracker = NoiseTracker()
    tracker.update(clean + noise(clean, 25), cut=False)
    tracker.reset()
    frame = clean + noise(clean, 5, 1)
    assert codes(tracker.update(frame, cut=False)) == codes(NoiseTracker().update(frame, cut=False))


def test_the_tracker_is_steady_and_follows_a_change() -> None:
    clean = picture("chelsea")
    tracker = NoiseTracker()
    steady = [tracker.update(clean + noise(clean, 10, seed), cut=False).sigma for seed in range(20)]
    assert 255 * torch.stack(steady[4:]).std(0).max() < 0.2
    for seed in range(60):
        found = tracker.update(clean + noise(clean, 20, seed), cut=False)
    assert codes(found) == pytest.approx([20, 20, 20], rel=0.06)


@pytest.mark.parametrize(("before", "after", "frames"), [(20, 0, 20), (20, 8, 20), (8, 20, 40)])
def test_noise_that_changes_within_a_shot_is_soon_known(before: int, after: int, frames: int) -> None:
    clean = picture("chelsea")
    tracker = NoiseTracker()
    levels = [before] * 62 + [after] * frames
    for seed, sigma in enumerate(levels):
        found = tracker.update(to_8_bit(clean + noise(clean, sigma, seed)), cut=False)
    assert 255 * found.sigma.mean() == pytest.approx(after, rel=0.2, abs=1.5)


def test_a_fade_to_black_and_back_does_not_lose_the_noise() -> None:
    clean = picture("chelsea")
    tracker = NoiseTracker()
    gains = [1.0] * 60 + [1 - i / 12 for i in range(12)] + [0.0] * 16 + [i / 12 for i in range(4, 12)]
    for seed, gain in enumerate(gains):
        found = tracker.update(to_8_bit(clean * gain + noise(clean, 10, seed)), cut=False)
    assert codes(found) == pytest.approx([10, 10, 10], rel=0.15)


def test_the_tracker_takes_a_change_of_size() -> None:
    tracker = NoiseTracker()
    for clean in (picture("chelsea"), picture("coffee")):
        for seed in range(2):
            found = tracker.update(clean + noise(clean, 10, seed), cut=False)
    assert codes(found) == pytest.approx([10, 10, 10], rel=0.06)


def test_what_is_no_picture_is_refused() -> None:
    with pytest.raises(UsageError, match="float32 \\(1, 8, 8\\)"):
        estimate(torch.rand(1, 8, 8))
    with pytest.raises(UsageError, match=r"\(3,H,W\), RGB in 0..1; this is ndarray"):
        estimate(torch.rand(3, 8, 8).numpy())
    with pytest.raises(UsageError, match="uint8"):
        estimate(torch.zeros(3, 8, 8, dtype=torch.uint8))
    with pytest.raises(UsageError, match="NaN or infinity"):
        estimate(torch.full((3, 8, 8), torch.nan))
    with pytest.raises(InputError, match="at least one"):
        estimate([])
    with pytest.raises(InputError, match="at least one"):
        estimate(image for image in ())
    with pytest.raises(UsageError, match="1 or more"):
        NoiseTracker(period=0)


def test_the_estimate_reads_in_8_bit_codes() -> None:
    clean = still(480, 640)
    text = str(estimate(clean + noise(clean, 20)))
    assert text.startswith(("sigma 19.", "sigma 20."))
    assert "correlation 0.0" in text


@pytest.mark.gpu
def test_cuda_agrees_with_the_cpu() -> None:
    clean = picture("coffee")
    frames = [to_8_bit(clean + noise(clean, 10, seed)) for seed in range(4)]
    expected, found = estimate(frames), estimate([frame.cuda() for frame in frames])
    assert found.sigma.is_cuda
    assert found.map(frames[0].cuda()).is_cuda
    assert codes(found) == pytest.approx(codes(expected), rel=0.02)
    torch.testing.assert_close(found.curve.cpu(), expected.curve, rtol=0.05, atol=0.2 / 255)


def test_a_page_of_text_has_no_noise_until_it_has() -> None:
    """In its letters blocks differ as they do where there is noise; but what is drawn repeats itself exactly."""
    page = np.full((360, 480, 3), 255, np.uint8)
    for line in range(24):
        cv2.putText(
            page,
            "The quick brown fox jumps over the lazy dog " * 2,
            (4, 12 + 15 * line),
            0,
            0.4,
            (20,) * 3,
            1,
            cv2.LINE_AA,
        )
    clean = torch.from_numpy(page).permute(2, 0, 1).float() / 255
    assert estimate(clean).sigma.max() == 0
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0)) * 5 / 255
    noisy = ((clean * 0.8 + 0.1 + noise) * 255).round() / 255
    assert (255 * estimate(noisy).sigma - 5).abs().max() < 0.7


def test_what_repeats_itself_has_no_noise() -> None:
    for name, light in patterns().items():
        assert estimate(light).sigma.max() == 0, name


def test_noise_on_cloth_is_found_over_time() -> None:
    cloth = patterns()["cloth"]
    found = estimate([to_8_bit(cloth + noise(cloth, 10, seed)) for seed in range(4)])
    assert codes(found) == pytest.approx([10, 10, 10], rel=0.1)


def test_noise_on_half_a_newspaper_page_is_found() -> None:
    clean = patterns()["halftone"]
    clean[:, :, :240] = picture("astronaut")[:, :270, :240]
    assert codes(estimate(to_8_bit(clean + noise(clean, 10)))) == pytest.approx([10, 10, 10], rel=0.3)
