"""Optical flow: what it finds, what it shares, how warping follows it."""

from itertools import pairwise

import pytest
import torch
from pictures import coffee, photographs, tensor

from vidnoise import flow as module
from vidnoise.analysis import Analysis
from vidnoise.flow import FINE, QUICK, USUAL, SharedFlow, occlusion, warp
from vidnoise.frame import Frame


def noise(sigma: float, like: torch.Tensor, seed: int) -> torch.Tensor:
    return sigma / 255 * torch.randn(like.shape, generator=torch.Generator().manual_seed(seed))


def shifted(dx: float, dy: float, size: tuple[int, int] = (24, 40)) -> torch.Tensor:
    return torch.tensor([dx, dy])[:, None, None].expand(2, *size).contiguous()


@pytest.mark.parametrize("cubic", [False, True])
def test_warping_by_whole_pixels_moves_them(cubic):
    image = coffee(24, 40)
    moved = warp(image, shifted(3, -2), cubic=cubic)
    assert torch.allclose(moved[:, 2:, :-3], image[:, :-2, 3:], atol=1e-5)


def test_outside_the_picture_the_border_is_repeated():
    image = coffee(24, 40)
    moved = warp(image, shifted(100, 0))
    assert torch.allclose(moved, image[:, :, -1:].expand_as(image), atol=1e-5)


@pytest.mark.parametrize("cubic", [False, True])
def test_warping_on_the_cpu_is_what_the_gpu_computes(cubic):
    image, flow = coffee(49, 61), 6 * torch.randn(2, 49, 61, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(warp(image, flow, cubic=cubic), module._warp_on_gpu(image, flow, cubic), atol=1e-3)


def test_more_than_four_channels_are_warped_alike():
    image, flow = coffee(24, 40), shifted(1.5, 0.25)
    many = warp(image.repeat(3, 1, 1)[:7], flow)
    assert torch.equal(many[3:6], many[:3])
    assert torch.equal(many[6], many[0])


@pytest.mark.parametrize(("dx", "dy", "sigma"), [(2, 0, 0), (-7, 4, 0), (10, -3, 20)])
def test_flow_finds_how_a_picture_moved_even_under_noise(dx, dy, sigma):
    a = Frame(image=coffee(256, 320), pts=1)
    b = Frame(image=coffee(256, 320, left=60 - dx, top=60 - dy), pts=2)
    one, other = (f.replace(_image=f.image + noise(sigma, f.image, f.pts)) for f in (a, b))
    flow = SharedFlow().between(one, other)
    assert flow.shape == (2, 256, 320)
    inner = flow[:, 32:-32, 32:-32]
    assert float((inner[0] - dx).abs().median()) < 0.5
    assert float((inner[1] - dy).abs().median()) < 0.5
    error = (warp(b.image, flow) - a.image)[:, 32:-32, 32:-32].square().mean()
    assert error < 0.15 * (b.image - a.image)[:, 32:-32, 32:-32].square().mean()


def test_motion_by_parts_of_a_pixel_is_found_the_better_the_longer_the_search():
    picture_, (y, x) = (
        coffee(192, 256),
        torch.meshgrid(torch.arange(192.0), torch.arange(256.0), indexing="ij"),
    )
    zoom = 0.02 * torch.stack([x - 128, y - 96])
    here, there = Frame(image=warp(picture_, zoom, cubic=True), pts=1), Frame(image=picture_, pts=2)
    found = [SharedFlow().between(here, there, how) - zoom for how in (QUICK, USUAL, FINE)]
    quick, usual, fine = (float(f[:, 16:-16, 16:-16].norm(dim=0).mean()) for f in found)
    assert quick < 0.3
    assert usual < 0.8 * quick
    assert fine < 0.4 * usual


def test_motion_too_fast_to_be_found_is_found_where_it_was_slower_before():
    pictures = [coffee(192, 256, left=left) for left in (10, 50, 110, 190)]
    frames = [Frame(image=p + noise(5, p, i), pts=i) for i, p in enumerate(pictures)]
    alone, shared = SharedFlow().between(frames[3], frames[2]), SharedFlow()
    *_, following = [shared.between(later, earlier) for earlier, later in pairwise(frames)]
    wrong, right = ((f[0] - 80).abs()[16:-16, 80:-80].mean() for f in (alone, following))
    assert right < 1 < 20 < wrong


def test_a_pair_is_searched_once_however_often_it_is_asked_for(monkeypatch):
    searched = []
    real = SharedFlow._compute
    monkeypatch.setattr(SharedFlow, "_compute", lambda *a: searched.append(1) or real(*a))
    shared = SharedFlow()
    a, b = (Frame(image=coffee(64, 64, left=60 + i), pts=i) for i in range(2))
    first = shared.between(a, b)
    assert torch.equal(first, shared.between(a.with_image(a.image * 0.9), b))
    assert len(searched) == 1
    shared.between(b, a)
    assert len(searched) == 2


def test_frames_without_timestamps_are_told_apart():
    shared = SharedFlow()
    frames = [Frame(image=coffee(128, 128, left=60 - 4 * i)) for i in range(3)]
    near, far = shared.between(frames[0], frames[1]), shared.between(frames[0], frames[2])
    assert float(near[0].median()) == pytest.approx(4, abs=0.3)
    assert float(far[0].median()) == pytest.approx(8, abs=0.3)


def test_a_guide_finds_motion_that_noise_hides():
    clean = [coffee(256, 320), coffee(256, 320, left=55)]
    frames = [Frame(image=c + noise(150, c, i), pts=i) for i, c in enumerate(clean)]
    blind, guided = SharedFlow(), SharedFlow()
    for frame, picture_ in zip(frames, clean, strict=True):
        guided.guide(frame, picture_)
    errors = [float((s.between(*frames)[0] - 5).abs().mean()) for s in (blind, guided)]
    assert errors[1] < 0.5 < errors[0]


def test_memory_stays_bounded():
    shared = SharedFlow()
    frames = [Frame(image=coffee(32, 32, left=60 + i), pts=i) for i in range(3 * module.KEPT)]
    for a, b in pairwise(frames):
        shared.between(a, b)
    assert len(shared._fields) == len(shared._thumbnails) == module.KEPT


def test_frames_share_the_flow_of_their_scene_and_of_no_other():
    other = tensor(photographs()[0][:256, :320])
    frames = [
        Frame(image=image, pts=i)
        for i, image in enumerate([coffee(256, 320), coffee(256, 320, left=61), other, other])
    ]
    frames[3].cut = True  # as after a gap; the one before it is found
    a, b, c, d = (frame.flow for frame in Analysis(noise=False, motion=True).push(*frames))
    assert a is b
    assert len({a, c, d} - {None}) == 3


@pytest.mark.parametrize("size", [(16, 16), (17, 33), (720, 1280)])
def test_any_size_has_flow_of_its_size(size):
    image = torch.rand(3, *size, generator=torch.Generator().manual_seed(0))
    flow = SharedFlow().between(Frame(image=image, pts=0), Frame(image=image, pts=1))
    assert flow.shape == (2, *size)
    assert float(flow.abs().max()) < 1


def test_what_a_moving_square_uncovers_is_occluded():
    x = torch.arange(160)
    square = (x >= 40) & (x < 80)
    forward, backward = torch.zeros(2, 120, 160), torch.zeros(2, 120, 160)
    forward[0][:, square] = 20
    backward[0][:, (x >= 60) & (x < 100)] = -20
    hidden = occlusion(forward, backward)
    assert hidden.shape == (1, 120, 160)
    assert bool(hidden[0, :, 85:95].all())
    assert not bool(hidden[0, :, 42:78].any())
    assert not bool(hidden[0, :, 110:].any())


def test_frames_that_only_move_hide_nothing_inside():
    a, b = Frame(image=coffee(256, 320), pts=0), Frame(image=coffee(256, 320, left=56), pts=1)
    assert float(SharedFlow().occluded(a, b)[:, 32:-32, 32:-32].float().mean()) < 0.05


@pytest.mark.gpu
@pytest.mark.parametrize("cubic", [False, True])
def test_warping_agrees_on_a_gpu(cubic):
    image, flow = coffee(49, 61), 6 * torch.randn(2, 49, 61, generator=torch.Generator().manual_seed(0))
    on_gpu = warp(image.cuda(), flow.cuda(), cubic=cubic)
    assert torch.allclose(warp(image, flow, cubic=cubic), on_gpu.cpu(), atol=1e-3)


@pytest.mark.gpu
def test_flow_of_frames_on_a_gpu_lies_on_the_gpu():
    frames = [Frame(image=coffee(256, 320, left=60 + 4 * i), pts=i) for i in range(2)]
    there = [f.to(torch.device("cuda")) for f in frames]
    flow = SharedFlow().between(*there)
    assert flow.is_cuda
    assert torch.allclose(flow.cpu(), SharedFlow().between(*frames), atol=0.1)
