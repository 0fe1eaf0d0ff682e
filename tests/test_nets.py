"""The networks: what they cost, what an absent past means, any size, and how weights are kept."""

import pytest
import torch
from pictures import photographs, psnr, tensor

from vidnoise.errors import VidnoiseError
from vidnoise.fusion import BANDS, Look, opponent
from vidnoise.nets import (
    TIERS,
    SpatialDenoiser,
    bands_of,
    build,
    count_parameters,
    kflop_per_pixel,
    load,
    save,
    tier,
)
from vidnoise.nets.weights import FOLDER as WEIGHTS
from vidnoise.nets.weights import Card, read, write_card

LIMITS = {"fast": (40, 0.6e6), "balanced": (160, 1.5e6)}
DEBLUR_LIMITS = {"fast": 60, "balanced": 250}


def frames(count: int, height: int, width: int) -> torch.Tensor:
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("name", TIERS)
@pytest.mark.parametrize("kind", ["spatial", "temporal"])
def test_each_tier_stays_within_its_budget(name: str, kind: str) -> None:
    network = build(kind, name)
    kflop, parameters = LIMITS[name]
    assert 0.1 * kflop < kflop_per_pixel(network) <= kflop
    assert count_parameters(network) <= parameters


@pytest.mark.parametrize("name", TIERS)
def test_each_tier_deblurs_within_its_budget(name: str) -> None:
    assert 0.25 * DEBLUR_LIMITS[name] < kflop_per_pixel(build("deblur", name)) <= DEBLUR_LIMITS[name]


def test_a_deblurring_network_leaves_what_has_no_detail_as_it_is() -> None:
    plain = torch.tensor([0.2, 0.9, 0.5]).view(1, 3, 1, 1).expand(1, 3, 70, 90)
    sharp, trust = build("deblur", "fast")(plain, torch.zeros(1, 3, 70, 90), torch.zeros(1, 6, 70, 90))
    assert torch.allclose(sharp, plain, atol=1e-6)
    assert torch.allclose(trust, torch.full((1, 1, 70, 90), 0.5))


def test_a_deblurring_network_sees_its_neighbours() -> None:
    network, frame, undone = build("deblur", "fast"), frames(1, 64, 64), torch.zeros(1, 3, 64, 64)
    alone, _ = network(frame, undone, torch.zeros(1, 6, 64, 64))
    among, _ = network(frame, undone, 0.1 * frames(2, 64, 64).view(1, 6, 64, 64))
    assert not torch.allclose(alone, among)


def test_the_count_of_operations_is_that_of_the_convolutions() -> None:
    spec = tier("fast")
    network = build("spatial", "fast")
    seen: list[int] = []

    def count(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        assert isinstance(module, torch.nn.Conv2d | torch.nn.ConvTranspose2d)
        places = inputs[0] if isinstance(module, torch.nn.ConvTranspose2d) else output
        seen.append(2 * module.weight.numel() * places[0, 0].numel())

    for module in network.modules():
        if not list(module.children()) and list(module.parameters()):
            module.register_forward_hook(count)
    network(frames(1, 64, 64), torch.tensor(0.1).view(1, 1, 1, 1))
    assert kflop_per_pixel(SpatialDenoiser(spec), 64) == pytest.approx(sum(seen) / 64**2 / 1e3)


@pytest.mark.parametrize("size", [(16, 16), (33, 47), (1, 1), (70, 18)])
def test_any_size_comes_out_as_it_went_in(size: tuple[int, int]) -> None:
    clip, sigma = frames(3, *size), torch.tensor(0.1).view(1, 1, 1, 1)
    blocks = torch.full((3, 12, -(-size[0] // 8), -(-size[1] // 8)), 0.1)
    with torch.inference_mode():
        assert build("spatial", "fast")(clip, sigma).shape == clip.shape
        sharp, trust = build("deblur", "fast")(clip, clip, clip.repeat(1, 2, 1, 1))
        assert (sharp.shape, trust.shape) == (clip.shape, (3, 1, *size))
        for name in TIERS:
            cleaned = build("temporal", name)(clip, blocks[:, :3], clip, blocks[:, :3], blocks[:, 3:])
            assert cleaned.shape == clip.shape
            assert cleaned.isfinite().all()


def test_what_noise_is_left_is_told_by_colour_and_by_frequency() -> None:
    variance = torch.zeros(3, 64, 2, 3)
    variance[:, 0], variance[0, 63] = 0.04, 0.64
    whole, bands = bands_of(Look(torch.zeros(3, 16, 24), variance), opponent(torch.device("cpu")))
    assert whole.shape == (3, 2, 3)
    assert whole.square().sum(0)[0, 0] == pytest.approx(float(variance.mean(1).sum(0)[0, 0]), rel=1e-5)
    luma = bands.view(3, len(BANDS), 2, 3)[0, :, 0, 0]
    assert luma[0] == pytest.approx((0.04 / 6) ** 0.5)
    assert luma[1] == 0
    assert luma[2] == pytest.approx((0.64 / 43) ** 0.5)


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


def card(sha256: str, name: str = "fast") -> Card:
    return Card("spatial", name, sha256, 1, 1.0, "rendered", "none", 0.0, 0, "CPU")


def test_weights_come_back_as_they_were_saved(tmp_path) -> None:
    network, path = build("spatial", "fast"), tmp_path / "spatial-fast.safetensors"
    write_card(card(save(network, path)), path.with_suffix(".json"))
    loaded, _ = read(path)
    frame, sigma = frames(1, 32, 32), torch.tensor(0.1).view(1, 1, 1, 1)
    with torch.inference_mode():
        assert torch.allclose(loaded(frame, sigma), network(frame, sigma), atol=1e-2)


def test_reading_weights_takes_no_random_numbers_of_the_program() -> None:
    before = torch.get_rng_state()
    read(WEIGHTS / "dwnet.safetensors")
    assert torch.equal(torch.get_rng_state(), before)


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


def noisy(clean: torch.Tensor, kind: str) -> tuple[torch.Tensor, torch.Tensor]:
    """A picture (1,3,H,W) with noise, and the deviation of it."""
    source = torch.Generator().manual_seed(5)
    if kind == "gaussian":
        sigma = torch.full_like(clean, 25 / 255)
        return clean + sigma * torch.randn(clean.shape, generator=source), sigma
    gain = 0.02
    return torch.poisson(clean / gain, generator=source) * gain, (clean * gain).sqrt()


@pytest.mark.parametrize("kind", ["gaussian", "poisson"])
def test_a_network_that_never_saw_a_clean_picture_is_as_good(kind: str) -> None:
    gains = []
    for name in ("pairs-noisy", "pairs-clean"):
        network = load(name, torch.device("cpu"), torch.float32)
        for picture in photographs():
            clean = tensor(picture)[None, :, :256, :256]
            before, sigma = noisy(clean, kind)
            with torch.inference_mode():
                gains.append(psnr(network(before, sigma), clean) - psnr(before, clean))
    assert min(gains) > 4
    assert sum(gains[:3]) / 3 > sum(gains[3:]) / 3 - 0.25
