"""The learned denoiser, with the weights that ship: what it gains, and what it must leave alone."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from pictures import coffee, panned, psnr, tensor
from skimage import data
from streams import drawing, process

from vidnoise.chain import Chain
from vidnoise.errors import FilterError
from vidnoise.filter import Filter
from vidnoise.filters import Denoise, Fuse, Steady
from vidnoise.frame import Frame
from vidnoise.train.coded import code


def noisy(pictures: Sequence[torch.Tensor], sigma: float) -> list[Frame]:
    generator = torch.Generator().manual_seed(3)
    images = [p + sigma / 255 * torch.randn(p.shape, generator=generator) for p in pictures]
    return [Frame(image=image, pts=40 * i) for i, image in enumerate(images)]


def last(filter: Filter, pictures: Sequence[torch.Tensor], sigma: float) -> float:
    """PSNR of the last frame."""
    return psnr(process(Chain.of(filter), noisy(pictures, sigma))[-1].image, pictures[-1])


@pytest.mark.parametrize(("sigma", "least"), [(10, 6), (30, 11), (50, 13)])
def test_noise_is_removed_by_a_wide_margin(sigma: float, least: float) -> None:
    pictures = panned(6)
    before = psnr(noisy(pictures, sigma)[-1].image, pictures[-1])
    assert last(Denoise(sigma=sigma), pictures, sigma) > before + least


@pytest.mark.parametrize(
    ("side", "sigma", "least"), [(40, 2, 1), (40, 5, 2), (40, 10, 4), (12, 2, 0), (12, 5, 0)]
)
def test_saturated_colours_side_by_side_stay_apart(side: int, sigma: float, least: float) -> None:
    """Their edges passed for noise: at sigma 5 such drawings came out 2 and 8 dB worse than they were with their noise."""
    drawn = [drawing(side)]
    before = psnr(noisy(drawn, sigma)[-1].image, drawn[-1])
    assert last(Denoise(sigma=sigma), drawn, sigma) > before + least


def uncovering(count: int, step: int = 8) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """A cat's face that moves over a cup, and the pixels (H,W) of each frame that it has just uncovered."""
    face = tensor(data.chelsea()[100:196, 140:236])
    pictures, uncovered = [], []
    for i in range(count):
        left = 20 + step * i
        picture = coffee()
        picture[:, 32:128, left : left + 96] = face
        pictures.append(picture)
        bare = torch.zeros(picture.shape[1:], dtype=torch.bool)
        bare[32:128, left - step : left] = True
        uncovered.append(bare)
    return pictures, uncovered


@pytest.mark.parametrize("ahead", [0, 1])
@pytest.mark.parametrize(("sigma", "most"), [(10, 0.2), (30, 0.9)])
def test_what_was_uncovered_is_about_as_good_as_without_a_past(sigma: float, most: float, ahead: int) -> None:
    pictures, uncovered = uncovering(8)
    frames = noisy(pictures, sigma)
    filter = Denoise(sigma=sigma, ahead=ahead)
    over_time = process(filter, frames)
    alone = [process(filter, [frame])[0] for frame in frames]
    errors = [
        torch.cat(
            [(f.image - p)[:, bare].square().flatten() for f, p, bare in zip(*seen, strict=True)][2:]
        ).mean()
        for seen in ((over_time, pictures, uncovered), (alone, pictures, uncovered))
    ]
    assert float(10 * torch.log10(errors[0] / errors[1])) < most


def test_what_stands_still_flickers_half_as_much_as_without_a_past() -> None:
    frames = noisy([coffee()] * 16, 30)
    filter = Denoise(sigma=30, ahead=0)
    over_time = process(filter, frames)
    alone = [process(filter, [frame])[0] for frame in frames]
    steady, restless = (
        torch.stack([f.image for f in shown])[8:].diff(dim=0).square().mean().sqrt()
        for shown in (over_time, alone)
    )
    assert steady < restless / 2


def test_it_beats_the_filter_without_weights() -> None:
    assert last(Denoise(), panned(6), 30) > last(Fuse(), panned(6), 30) + 0.5


@pytest.mark.parametrize(
    ("quality", "same"), [("fastest", Steady(sigma=20)), ("fast", Fuse(sigma=20, ahead=1))]
)
def test_the_fast_qualities_are_filters_without_a_network(quality: str, same: Filter) -> None:
    frames = noisy(panned(4), 20)
    quick, other = (process(filter, frames) for filter in (Denoise(quality=quality, sigma=20), same))
    assert all(torch.equal(a.image, b.image) for a, b in zip(quick, other, strict=True))


@pytest.mark.parametrize("quality", ["fastest", "fast", "balanced", "best"])
def test_options_hold_for_each_quality(quality: str) -> None:
    frames = noisy(panned(3), 20)
    whole, half, livelier = (
        process(Denoise(quality=quality, sigma=20, **more), frames)[-1].image
        for more in ({}, {"strength": 0.5}, {"grain": 0.5})
    )
    assert torch.allclose(half, (whole + frames[-1].image) / 2, atol=1e-5)
    assert float((livelier - whole).std()) > 4 / 255


def test_the_best_quality_is_better_and_lies_in_no_direction() -> None:
    pictures = panned(3)
    assert last(Denoise(quality="best"), pictures, 25) > last(Denoise(), pictures, 25) + 0.05
    frame = noisy(pictures[:1], 25)[0]
    turned = Frame(image=frame.image.transpose(1, 2).contiguous(), pts=0)
    done, again = (process(Denoise(quality="best", sigma=25), [f])[0].image for f in (frame, turned))
    assert torch.allclose(done, again.transpose(1, 2), atol=1e-3)


def test_the_past_and_the_future_help() -> None:
    pictures = panned(6)
    frames = noisy(pictures, 30)
    after, before = (
        psnr(process(Denoise(sigma=30, ahead=0), f)[-1].image, pictures[-1]) for f in (frames, frames[-1:])
    )
    assert after > before + 0.5
    first = [psnr(process(Denoise(sigma=30, ahead=n), frames)[0].image, pictures[0]) for n in (0, 1)]
    assert first[1] > first[0] + 0.2


@pytest.mark.parametrize("quality", ["balanced", "fast"])
def test_film_grain_is_taken_from_the_first_frame_on(quality: str) -> None:
    """One frame cannot tell it from texture, and the first was left as it was."""
    pictures = [coffee(top=40 + 2 * i, left=60 + 3 * i, height=240, width=320) for i in range(4)]
    generator = torch.Generator().manual_seed(0)
    coarse = [F.avg_pool2d(torch.randn(1, 242, 322, generator=generator), 3, 1) / 8.5 for _ in pictures]
    grainy = [
        Frame(image=p + grain, pts=40 * i) for i, (p, grain) in enumerate(zip(pictures, coarse, strict=True))
    ]
    cleaned = process(Chain.of(Denoise(quality=quality)), grainy)
    assert psnr(cleaned[0].image, pictures[0]) > psnr(grainy[0].image, pictures[0]) + 1.5


def blotches(like: torch.Tensor, sigma: float, seed: int) -> torch.Tensor:
    """Noise of the colours alone, as coarse as cameras have it in the dark."""
    generator = torch.Generator().manual_seed(seed)
    coarse = 5 * F.avg_pool2d(torch.randn(1, *like.shape, generator=generator), 5, 1, 2)[0]
    return sigma / 255 * (coarse - coarse.mean(0))


@pytest.mark.parametrize(("quality", "least"), [("balanced", 7.2), ("fast", 6)])
def test_blotches_of_colour_are_averaged_over_time(quality: str, least: float) -> None:
    """The mean of a block has four times the power of its slopes there: it was taken for change, and 6 and 4 dB gained."""
    clean = coffee()
    frames = [Frame(image=clean + blotches(clean, 10, seed), pts=40 * seed) for seed in range(8)]
    cleaned = process(Chain.of(Denoise(quality=quality)), frames)[-1].image
    assert psnr(cleaned, clean) > psnr(frames[-1].image, clean) + least


def test_the_estimated_noise_is_nearly_as_good_as_the_true_one() -> None:
    assert last(Denoise(), panned(6), 25) > last(Denoise(sigma=25), panned(6), 25) - 0.1


def dark_and_cut_off(pictures: Sequence[torch.Tensor]) -> list[Frame]:
    """Noise of 50, as 8 bits hold it."""
    return [frame.with_image(frame.image.clamp(0, 1)) for frame in noisy(pictures, 50)]


@pytest.mark.parametrize("text", ["denoise", "ffdnet"])
def test_noise_that_is_told_is_less_where_it_is_cut_off_at_black(text: str) -> None:
    """All of it was expected there, and dark clips came out 4 dB worse than by the estimate."""
    pictures = [0.25 * picture for picture in panned(5)]
    found, told = (
        psnr(process(Chain.parse(text + sigma), dark_and_cut_off(pictures))[-1].image, pictures[-1])
        for sigma in ("", ",sigma=50")
    )
    assert told > found - 0.5


def test_noise_that_a_codec_copies_is_not_taken_for_averaged() -> None:
    """The network was told that the past had left little of it, and left that alone: 2.2 dB were gained."""
    clean = [coffee(height=240, width=320)] * 10
    coded = code(torch.stack([frame.image for frame in noisy(clean, 20)]).clamp(0, 1), 28)
    frames = [Frame(image=image, pts=40 * i) for i, image in enumerate(coded)]
    after = psnr(process(Chain.of(Denoise()), frames)[-1].image, clean[0])
    assert after > psnr(coded[-1], clean[0]) + 2.4


@pytest.mark.parametrize(("quality", "least"), [("balanced", 2.8), ("fast", 2.5)])
def test_noise_along_rows_is_known_by_its_direction(quality: str, least: float) -> None:
    """As it is not, 2.6 and 2.1 dB are gained."""
    clean = panned(8)
    frames = noisy(clean, 5)
    generator = torch.Generator().manual_seed(4)
    rows = [frame.image + 5 / 255 * torch.randn(1, 160, 1, generator=generator) for frame in frames]
    after = process(
        Chain.of(Denoise(quality=quality)), [f.with_image(i) for f, i in zip(frames, rows, strict=True)]
    )
    assert psnr(after[-1].image, clean[-1]) > psnr(rows[-1], clean[-1]) + least


def test_how_much_noise_is_left_in_blocks_is_not_seen_in_the_picture() -> None:
    """It was told in steps from block to block, and dark areas had seams there."""
    pictures = [0.25 * picture for picture in panned(5)]
    error = process(Chain.of(Denoise()), dark_and_cut_off(pictures))[-1].image - pictures[-1]
    steps = error.diff(dim=2).abs().mean((0, 1))
    assert steps[7::8].mean() < 1.03 * steps.mean()


def test_the_noise_of_a_gray_camera_is_removed_as_well_by_the_estimate() -> None:
    picture = coffee(height=256, width=320).mean(0, keepdim=True).expand(3, -1, -1)
    noise = 25 / 255 * torch.randn(1, 256, 320, generator=torch.Generator().manual_seed(3))
    found, told = (
        psnr(process(Denoise(sigma=sigma), [Frame(image=picture + noise, pts=0)])[0].image, picture)
        for sigma in (0, 25)
    )
    assert found > told - 0.2
    assert told > psnr(picture + noise, picture) + 7


def test_a_clean_clip_stays_as_it_is() -> None:
    down, across = torch.meshgrid(torch.linspace(0, 1, 96), torch.linspace(0, 1, 128), indexing="ij")
    discs = [((down - 0.5) ** 2 + (across - 0.3 - 0.02 * i) ** 2 < 0.03).float() for i in range(4)]
    pictures = [torch.stack([0.2 + 0.5 * down + 0.2 * d, across, 0.9 - 0.6 * d]) for d in discs]
    pictures = [(p * 255).round() / 255 for p in pictures]
    done = process(Chain.of(Denoise()), noisy(pictures, 0))
    assert min(psnr(f.image, p) for f, p in zip(done, pictures, strict=True)) > 45


def test_weak_noise_that_may_be_texture_is_left_in_clips_for_the_most_part() -> None:
    generator = torch.Generator().manual_seed(2)
    pictures = [
        p + 10 / 255 * F.avg_pool2d(torch.randn(3, 164, 228, generator=generator), 5, 1) for p in panned(3)
    ]
    frames = [Frame(image=(p * 255).round().clamp(0, 255) / 255, pts=i) for i, p in enumerate(pictures)]
    in_clip = process(Chain.of(Denoise()), frames)[1]
    alone = process(Chain.of(Denoise()), [frames[1]])[0]
    told = process(Chain.of(Denoise(sigma=2)), frames)[1]
    changes = [psnr(done.image, frames[1].image) for done in (in_clip, alone, told)]
    assert changes[0] > max(changes[1:]) + 2


def test_no_strength_changes_nothing_and_half_of_it_half() -> None:
    frames = noisy(panned(3), 20)
    none, half, whole = (process(Denoise(sigma=20, strength=s), frames) for s in (0, 0.5, 1))
    for f, a, b, c in zip(frames, none, half, whole, strict=True):
        assert torch.equal(a.image, f.image)
        assert torch.allclose(b.image, (f.image + c.image) / 2, atol=1e-5)


def test_more_strength_removes_more() -> None:
    frames = noisy([coffee()] * 3, 20)
    changes = [
        (process(Denoise(sigma=20, strength=s), frames)[-1].image - frames[-1].image).square().mean()
        for s in (0.7, 1, 1.6)
    ]
    assert changes[0] < changes[1] < changes[2]


def test_without_chroma_colours_keep_their_noise() -> None:
    frame = noisy([coffee()], 30)[0]
    change = process(Denoise(sigma=30, chroma=0), [frame])[0].image - frame.image
    assert torch.allclose(change, change.mean(0).expand_as(change), atol=1e-5)


def test_more_chroma_leaves_less_colour_noise_and_the_same_luma() -> None:
    flat = torch.full((3, 96, 96), 0.5)
    one, two = (process(Denoise(sigma=30, chroma=c), noisy([flat], 30))[0].image for c in (1, 2))
    assert torch.allclose(one.mean(0), two.mean(0), atol=1e-5)
    assert (two - two.mean(0)).std() < 0.95 * (one - one.mean(0)).std()


def test_grain_comes_back_by_its_share() -> None:
    frame = noisy([coffee()], 20)[0]
    none, half, whole = (process(Denoise(sigma=20, grain=g), [frame])[0].image for g in (0, 0.5, 1))
    assert torch.allclose(half, (none + whole) / 2, atol=1e-5)
    assert 0.3 * 20 / 255 < (whole - none).std() < 20 / 255


def test_a_mask_says_where(tmp_path: Path) -> None:
    mask = np.zeros((80, 112), np.uint8)
    mask[:, 56:] = 255
    cv2.imwrite(str(tmp_path / "mask.png"), mask)
    frame = noisy([coffee()], 30)[0]
    change = process(Denoise(sigma=30, mask=str(tmp_path / "mask.png")), [frame])[0].image - frame.image
    assert change[..., :100].abs().max() < 1e-6
    assert change[..., 124:].abs().mean() > 0.05


def test_a_mask_that_is_no_picture_is_named(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(FilterError, match="nowhere"):
        process(Denoise(mask=str(tmp_path / "nowhere.png")), noisy([coffee()], 5))
    assert "imread" not in capfd.readouterr().err


def test_what_a_fusion_has_settled_can_be_left_alone() -> None:
    frames = noisy([coffee()] * 4, 30)
    fused = process(Chain.of(Fuse(sigma=30)), frames)
    done = process(Denoise(sigma=30, settled=0), fused)
    confidence, change = fused[-1].confidence, (done[-1].image - fused[-1].image).abs().mean(0, keepdim=True)
    assert confidence is not None
    assert confidence.mean() > 0.5
    expected = (process(Denoise(sigma=30), fused)[-1].image - fused[-1].image).abs().mean(0, keepdim=True)
    assert torch.allclose(change, expected * (1 - confidence), atol=1e-4)


def test_an_uncovered_area_shows_nothing_of_what_covered_it() -> None:
    """A square moves away over a picture; where it was, its colour is gone, and the error is about that without a past."""
    pictures = []
    for i in range(6):
        picture = coffee()
        picture[:, 40:100, 20 + 12 * i : 80 + 12 * i] = torch.tensor([0.9, 0.1, 0.1]).view(3, 1, 1)
        pictures.append(picture)
    frames = noisy(pictures, 30)
    area = (slice(None), slice(40, 100), slice(68, 80))  # covered in frame 4, free in frame 5
    temporal = process(Denoise(sigma=30, ahead=0), frames)[-1].image
    spatial = process(Denoise(sigma=30, ahead=0), frames[-1:])[-1].image
    assert psnr(temporal[area], pictures[-1][area]) > psnr(spatial[area], pictures[-1][area]) - 1.2
    assert (temporal[area] - pictures[-1][area]).mean((1, 2)).abs().max() < 0.05


def test_confidence_is_high_on_a_still_clip_and_nothing_at_its_start() -> None:
    done = process(Denoise(sigma=20, ahead=0), noisy([coffee()] * 4, 20))
    assert done[0].confidence is not None
    assert done[0].confidence.max() == 0
    assert done[-1].confidence is not None
    assert done[-1].confidence.mean() > 0.7
