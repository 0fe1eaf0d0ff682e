"""Fusion along the motion: how much noise goes, and what must not go with it."""

from collections.abc import Sequence

import pytest
import torch
from pictures import coffee, panned
from streams import clip, process

from vidnoise.chain import Chain
from vidnoise.filters import Fuse
from vidnoise.frame import Frame


def noisy(pictures: Sequence[torch.Tensor], sigma: float) -> list[Frame]:
    """With white noise, rounded and clipped to 8 bit, as a camera gives it."""
    generator = torch.Generator().manual_seed(3)
    frames = []
    for i, picture in enumerate(pictures):
        image = picture + sigma / 255 * torch.randn(picture.shape, generator=generator)
        frames.append(Frame(image=(image * 255).round().clamp(0, 255) / 255, pts=40 * i))
    return frames


def psnr(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(-10 * torch.log10((a.clamp(0, 1) - b).square().mean()))


def gain(filter: Fuse, pictures: Sequence[torch.Tensor], sigma: float) -> float:
    """By how many dB the last frame is better than it was."""
    frames = noisy(pictures, sigma)
    done = process(Chain.of(filter), frames)
    return psnr(done[-1].image, pictures[-1]) - psnr(frames[-1].image, pictures[-1])


@pytest.mark.parametrize(("sigma", "least"), [(10, 5), (30, 9)])
def test_a_moving_picture_loses_most_of_its_noise(sigma, least):
    assert gain(Fuse(sigma=sigma), panned(6), sigma) > least


def test_later_frames_are_cleaner_than_the_first():
    pictures = panned(8)
    done = process(Fuse(sigma=30, ahead=0), noisy(pictures, 30))
    assert psnr(done[-1].image, pictures[-1]) > psnr(done[0].image, pictures[0]) + 0.7


def test_looking_ahead_helps_the_first_frame():
    pictures = panned(3)
    first = [process(Fuse(sigma=30, ahead=n), noisy(pictures, 30))[0] for n in (0, 1, 2)]
    quality = [psnr(f.image, pictures[0]) for f in first]
    assert quality[0] + 0.3 < quality[1] < quality[2]


def test_the_estimated_noise_is_nearly_as_good_as_the_true_one():
    known, blind = (gain(filter, panned(6), 25) for filter in (Fuse(sigma=25), Fuse()))
    assert blind > known - 0.2


def test_a_clean_clip_passes_nearly_untouched():
    pictures = panned(5)
    done = process(Chain.of(Fuse()), noisy(pictures, 0))
    assert all(psnr(f.image, p) > 45 for f, p in zip(done, pictures, strict=True))


@pytest.mark.parametrize("ahead", [0, 1])
@pytest.mark.parametrize("bar", [24, 400])
def test_a_fast_edge_keeps_its_contrast_and_leaves_no_trail(ahead, bar):
    x = torch.arange(320)
    where = [40 + 10 * i for i in range(11)]
    pictures = [
        torch.where((x >= at - bar) & (x < at), 0.75, 0.25).expand(3, 96, 320).contiguous() for at in where
    ]
    done = process(Fuse(sigma=20, ahead=ahead), noisy(pictures, 20))
    line = done[-1].image.mean((0, 1))
    inside, outside = line[where[-1] - 6 : where[-1] - 1].mean(), line[where[-1] + 1 : where[-1] + 6].mean()
    assert float(inside - outside) > 0.95 * 0.5
    error = (done[-1].image.mean(1) - pictures[-1].mean(1)).abs()
    assert float(error.max()) < 0.05 * 0.5


def test_what_appears_from_nowhere_is_taken_at_once():
    pictures = panned(6)
    pictures[5] = pictures[5].clone()
    pictures[5][:, 80:112, 100:132] = torch.tensor([0.9, 0.1, 0.1])[:, None, None]
    done = process(Fuse(sigma=20), noisy(pictures, 20))
    patch = done[5].image[:, 84:108, 104:128].mean((1, 2))
    assert torch.allclose(patch, torch.tensor([0.9, 0.1, 0.1]), atol=0.03)
    assert float(done[5].confidence[:, 84:108, 104:128].mean()) < 0.7 * float(done[5].confidence.median())


def test_confidence_tells_where_the_past_was_trusted():
    done = process(Fuse(sigma=20), noisy([coffee()] * 5, 20))
    assert float(done[0].confidence.max()) == 0
    assert done[4].confidence.shape == (1, 160, 224)
    assert 0.5 < float(done[4].confidence.mean()) <= 1


def test_strength_zero_changes_nothing_that_can_be_seen_and_two_smooths_more():
    frames = noisy(panned(4), 20)
    none, one, two = (process(Fuse(sigma=20, strength=s), frames)[-1].image for s in (0, 1, 2))
    assert float((none - frames[-1].image).abs().max()) < 0.1 / 255
    roughness = [float(image.diff(dim=-1).abs().mean()) for image in (none, one, two)]
    assert roughness[0] > roughness[1] > roughness[2]


def test_chroma_smooths_colours_and_leaves_brightness():
    frames = noisy([0.3 + 0.4 * p for p in panned(4)], 20)
    off, on = (process(Fuse(sigma=20, chroma=c), frames)[-1].image for c in (0, 1))
    assert torch.allclose(off.mean(0), on.mean(0), atol=2e-3)
    kept = frames[-1].image[0] - frames[-1].image[2]
    assert torch.allclose(off[0] - off[2], kept, atol=2e-3)
    assert float((on[0] - on[2]).diff(dim=-1).abs().mean()) < 0.5 * float(kept.diff(dim=-1).abs().mean())


def test_noise_that_grows_with_light_is_removed_where_it_is():
    generator = torch.Generator().manual_seed(5)
    clean = torch.linspace(0.15, 0.85, 256).expand(3, 192, 256).contiguous()
    deviation = 0.01 + 0.1 * clean
    frames = [
        Frame(image=clean + deviation * torch.randn(clean.shape, generator=generator), pts=i)
        for i in range(6)
    ]
    rest = (process(Chain.of(Fuse()), frames)[-1].image - clean).square().mean((0, 1)).sqrt()
    assert float(rest[:64].mean()) < 0.3 * float(deviation[..., :64].mean())
    assert float(rest[-64:].mean()) < 0.3 * float(deviation[..., -64:].mean())


def test_the_latency_is_what_was_asked_for():
    assert [Fuse(ahead=n).ahead for n in (0, 1, 2)] == [0, 1, 2]


def test_a_shared_flow_is_guided_by_the_clean_result():
    from vidnoise.flow import SharedFlow

    shared = SharedFlow()
    pictures = panned(3, dx=6)
    process(Fuse(sigma=40, ahead=0), [f.replace(flow=shared) for f in noisy(pictures, 40)])
    frames = [Frame(image=torch.zeros_like(p), pts=40 * i) for i, p in enumerate(pictures)]
    flow = shared.between(frames[1], frames[2])[:, 32:-32, 32:-32]
    assert float((flow[0] + 6).abs().median()) < 0.5


@pytest.mark.gpu
def test_on_a_gpu_it_gives_the_same():
    frames = clip(5, 96, 128, sigma=25)
    there = [f.to(torch.device("cuda")) for f in frames]
    for a, b in zip(process(Fuse(sigma=25), frames), process(Fuse(sigma=25), there), strict=True):
        assert b.image.is_cuda
        assert float((a.image - b.image.cpu()).abs().mean()) < 0.5 / 255


@pytest.mark.parametrize("light", [False, True])
@pytest.mark.parametrize("filter", [Fuse(sigma=30), Fuse()], ids=str)
def test_what_noise_cut_off_at_black_lightened_and_at_white_darkened_is_undone(filter, light):
    ramp = torch.linspace(0, 0.4, 256).expand(3, 192, 256).contiguous()
    frames = noisy([1 - ramp if light else ramp] * 6, 30)
    before, after = (
        ((1 - p if light else p) - ramp).mean((0, 1)).view(-1, 16).mean(1) * 255
        for p in (torch.stack([f.image for f in frames]).mean(0), process(Chain.of(filter), frames)[-1].image)
    )
    assert float(before.max()) > 10
    assert float(after[:8].abs().max()) < 0.7  # of the darker half


def test_black_without_noise_stays_black():
    picture = coffee()
    picture[:, :48] = 0
    done = process(Chain.of(Fuse(sigma=20)), [Frame(image=picture, pts=i) for i in range(3)])
    assert float(done[-1].image[:, :40].abs().max()) < 1 / 255


def test_it_gives_the_same_in_however_many_strips_threads_share_a_picture():
    frames, before = clip(3, 1001, 40, sigma=20), torch.get_num_threads()
    done = []
    try:
        for count in (1, 2, 5):
            torch.set_num_threads(count)
            done.append(process(Fuse(sigma=20), frames)[-1].image)
    finally:
        torch.set_num_threads(before)
    assert torch.allclose(done[0], done[1], atol=1e-5)
    assert torch.allclose(done[0], done[2], atol=1e-5)


def test_it_gives_the_same_in_inference_mode():
    frames = noisy(panned(3), 20)
    expected = process(Fuse(sigma=20), frames)[-1].image
    with torch.inference_mode():
        assert torch.equal(process(Fuse(sigma=20), frames)[-1].image, expected)
