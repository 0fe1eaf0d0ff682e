"""The networks: what they cost, what an absent past means, any size, and how weights are kept."""

import pytest
import torch

from vidnoise.errors import VidnoiseError
from vidnoise.nets import (
    TIERS,
    SpatialDenoiser,
    TemporalDenoiser,
    build,
    count_parameters,
    kflop_per_pixel,
    save,
    tier,
)
from vidnoise.nets.flow import FlowNet
from vidnoise.nets.warp import inside, positions, sample, trust, warp
from vidnoise.nets.weights import Card, read, write_card

LIMITS = {"fast": (40, 0.6e6), "balanced": (160, 1.5e6), "best": (1500, 5e6)}


def frames(count: int, height: int, width: int) -> torch.Tensor:
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("name", TIERS)
@pytest.mark.parametrize("kind", ["spatial", "temporal"])
def test_each_tier_stays_within_its_budget(name: str, kind: str) -> None:
    network = build(kind, name)
    kflop, parameters = LIMITS[name]
    assert 0.3 * kflop < kflop_per_pixel(network) <= kflop
    assert 0.5 * parameters < count_parameters(network) <= parameters


def test_the_count_of_operations_is_that_of_the_convolutions() -> None:
    spec = tier("fast")
    network = build("spatial", "fast")
    seen: list[int] = []

    def count(module: torch.nn.Conv2d, _: object, output: torch.Tensor) -> None:
        kernel = module.weight[0].numel()
        seen.append(2 * kernel * output.numel())

    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.register_forward_hook(count)
    network(frames(1, 64, 64), torch.tensor(0.1).view(1, 1, 1, 1))
    assert kflop_per_pixel(SpatialDenoiser(spec), 64) == pytest.approx(sum(seen) / 64**2 / 1e3)


@pytest.mark.parametrize("size", [(16, 16), (33, 47), (1, 1), (70, 18)])
def test_any_size_comes_out_as_it_went_in(size: tuple[int, int]) -> None:
    clip = frames(3, *size)
    sigma = torch.tensor(0.1).view(1, 1, 1, 1)
    with torch.inference_mode():
        assert build("spatial", "fast")(clip, sigma).shape == clip.shape
        network, state = TemporalDenoiser(tier("fast")), None
        for t in range(3):
            coming = clip[t + 1 : t + 2] if t < 2 else None
            output, state = network.step(clip[t : t + 1], sigma, state, coming)
            assert output.shape == (1, 3, *size)
            assert output.isfinite().all()


def test_without_past_and_future_the_temporal_network_is_the_spatial_one() -> None:
    torch.manual_seed(0)
    temporal, spatial = TemporalDenoiser(tier("balanced")), SpatialDenoiser(tier("balanced"))
    spatial.load_state_dict({k: v for k, v in temporal.state_dict().items() if k in spatial.state_dict()})
    frame, sigma = frames(1, 40, 56), torch.tensor(0.1).view(1, 1, 1, 1)
    with torch.inference_mode():
        first, _ = temporal.step(frame, sigma)
        assert torch.allclose(first, spatial(frame, sigma), atol=1e-5)


def test_training_on_a_clip_and_stepping_through_it_agree() -> None:
    torch.manual_seed(0)
    network = TemporalDenoiser(tier("fast"))
    clip, sigma, state = frames(4, 64, 64), torch.tensor(0.1).view(1, 1, 1, 1), None
    with torch.no_grad():
        whole = network(clip[None], sigma.expand(1, 4, 3, 64, 64), torch.ones(1))[0]
        for t in range(4):
            coming = clip[t + 1 : t + 2] if t < 3 else None
            output, state = network.step(clip[t : t + 1], sigma, state, coming)
            assert torch.allclose(output[0], whole[t], atol=1e-3)


def test_the_network_scales_with_its_input() -> None:
    network, sigma = build("spatial", "fast"), torch.full((1, 1, 1, 1), 0.1)
    frame = frames(1, 32, 32)
    with torch.inference_mode():
        assert torch.allclose(network(frame * 3, sigma * 3), network(frame, sigma) * 3, atol=1e-4)


def test_the_level_may_be_a_number_a_channel_or_a_map() -> None:
    network, frame = build("spatial", "fast"), frames(2, 30, 30)
    number = torch.tensor(0.2).view(1, 1, 1, 1)
    with torch.inference_mode():
        expected = network(frame, number)
        assert torch.allclose(network(frame, number.expand(2, 3, 1, 1)), expected, atol=1e-6)
        assert torch.allclose(network(frame, number.expand(2, 3, 30, 30)), expected, atol=1e-6)


def test_warping_by_whole_pixels_moves_them() -> None:
    picture = frames(1, 12, 20)
    flow = torch.zeros(1, 2, 12, 20)
    flow[:, 0], flow[:, 1] = 3, -2
    moved = warp(picture, flow)
    assert torch.allclose(moved[..., 2:, :17], picture[..., :-2, 3:], atol=1e-5)
    assert torch.equal(inside(flow)[0, 0, 2:, :17], torch.ones(10, 17))
    assert inside(flow)[..., 18:].sum() == 0


def test_both_ways_of_warping_agree() -> None:
    picture = frames(2, 40, 60)
    flow = torch.randn(2, 2, 40, 60, generator=torch.Generator().manual_seed(1)) * 6
    with torch.no_grad():
        fast = warp(picture, flow)
    assert (fast - sample(picture, positions(40, 60, picture.device) + flow)).abs().mean() < 0.01


def test_trust_is_full_where_noise_explains_the_difference_and_lost_where_it_does_not() -> None:
    clean = torch.full((1, 3, 64, 64), 0.5)
    noisy = clean + torch.randn(clean.shape, generator=torch.Generator().manual_seed(1)) * 0.1
    wrong = clean.clone()
    wrong[..., 32:] = 0.0
    level, still = torch.full((1, 3, 32, 32), 0.1), torch.zeros(1, 2, 32, 32)
    seen = trust(noisy, wrong, level, still, noisy=1)
    assert seen[..., :14].mean() > 0.8
    assert seen[..., 18:].max() < 0.01


def test_the_flow_has_a_level_for_each_scale_and_the_full_size() -> None:
    network = FlowNet(tier("best").flow)
    picture, sigma = frames(1, 64, 96), torch.full((1, 3, 64, 96), 0.1)
    flows = network(picture, picture, sigma, sigma)
    assert [f.shape[-1] for f in flows] == [3, 6, 12, 24, 96]


def card(sha256: str, name: str = "fast") -> Card:
    return Card("spatial", name, sha256, 1, 1.0, "rendered", "none", 0.0, 0, "CPU")


def test_weights_come_back_as_they_were_saved(tmp_path) -> None:
    network, path = build("spatial", "fast"), tmp_path / "spatial-fast.safetensors"
    write_card(card(save(network, path)), path.with_suffix(".json"))
    loaded, _ = read(path)
    frame, sigma = frames(1, 32, 32), torch.tensor(0.1).view(1, 1, 1, 1)
    with torch.inference_mode():
        assert torch.allclose(loaded(frame, sigma), network(frame, sigma), atol=1e-2)


def test_changed_weights_are_refused(tmp_path) -> None:
    path = tmp_path / "spatial-fast.safetensors"
    sha256 = save(build("spatial", "fast"), path)
    write_card(card(sha256), path.with_suffix(".json"))
    path.write_bytes(path.read_bytes()[:-1] + b"\x7f")
    with pytest.raises(VidnoiseError, match="sha256"):
        read(path)


def test_weights_of_another_tier_are_refused(tmp_path) -> None:
    path = tmp_path / "spatial-fast.safetensors"
    write_card(card(save(build("spatial", "fast"), path), "balanced"), path.with_suffix(".json"))
    with pytest.raises(VidnoiseError, match="does not fit"):
        read(path)


def test_an_unknown_tier_or_kind_names_the_choices() -> None:
    with pytest.raises(VidnoiseError, match="balanced"):
        tier("superb")
    with pytest.raises(VidnoiseError, match="spatial"):
        build("magic", "fast")
