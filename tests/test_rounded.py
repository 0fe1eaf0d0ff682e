"""Networks in 8 bits on a CPU: as good as told, where they are used, and what is said where they cannot be."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from pictures import photographs, psnr, tensor
from skimage import data
from streams import CPU, drawing, process
from test_train import small, source
from torch import nn

from vidnoise import device as machine
from vidnoise.chain import Chain
from vidnoise.device import cpu_features
from vidnoise.errors import DeviceError
from vidnoise.frame import Frame
from vidnoise.nets import rounded
from vidnoise.nets.residual import Block, Group, groups
from vidnoise.nets.rounded import RoundedGroup, observed, round_groups, told
from vidnoise.nets.tiers import GroupsSpec
from vidnoise.nets.weights import load, read
from vidnoise.train import Media, Options, train

needs_bytes = pytest.mark.skipif(
    "avx2" not in cpu_features() or not rounded.works(),
    reason="this CPU or PyTorch does not compute in bytes",
)
SPEC = GroupsSpec(unshuffle=2, width=16, groups=2, blocks=2)


def features(*size: int) -> torch.Tensor:
    return torch.randn(*size, generator=source()).contiguous(memory_format=torch.channels_last)


@needs_bytes
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("size", [(1, 16, 40, 56), (3, 16, 9, 7)])
@torch.no_grad()
def test_rounded_groups_give_nearly_what_they_were_made_of_gives(size, dtype) -> None:
    network, x = nn.Sequential(groups(SPEC)), features(*size)
    with observed(network) as reach:
        exact = network(x)
    round_groups(network, reach)
    assert sum(isinstance(part, RoundedGroup) for part in network.modules()) == SPEC.groups
    given = network.to(dtype)(x.to(dtype))
    assert given.dtype == dtype
    assert (given - exact).square().mean() < 0.002 * (exact - x).square().mean()


@needs_bytes
@torch.no_grad()
def test_a_rounded_group_leaves_nothing_as_nothing_and_what_it_is_given_as_it_was() -> None:
    network, x = nn.Sequential(groups(SPEC)), features(1, 16, 24, 24)
    with observed(network) as reach:
        network(x)
    round_groups(network, reach)
    assert not network(torch.zeros_like(x)).any()
    before = x.clone()
    network(x)
    assert torch.equal(x, before)


@needs_bytes
@torch.no_grad()
def test_weak_noise_has_ranges_of_its_own() -> None:
    network, x = nn.Sequential(groups(SPEC)), features(1, 16, 40, 40)
    with observed(network) as reach:
        for noise, scale in ((5, 0.1), (10, 0.1), (40, 1.0)):
            with told(lambda noise=noise: noise / 255):
                network(scale * x)
    assert set(reach) == {"weak noise", "other"}
    for name, far in reach["other"].items():
        assert reach["weak noise"][name] == pytest.approx(far / 10, rel=0.01)
    exact = network(0.1 * x)
    round_groups(network, reach)
    errors = []
    for noise in (5, 40):
        with told(lambda noise=noise: noise / 255):
            errors.append(float((network(0.1 * x) - exact).square().mean()))
    assert errors[0] < errors[1] / 10
    untold = float((network(0.1 * x) - exact).square().mean())
    assert untold == pytest.approx(errors[1], rel=0.3)


@torch.no_grad()
def test_the_largest_value_of_all_does_not_set_the_reach() -> None:
    network, x = nn.Sequential(Group(8, Block(8))), torch.randn(1, 8, 400, 400, generator=source())
    x[0, 0, 0, 1] = 1000
    with observed(network) as reach:
        network(x)
    assert list(reach["other"]) == ["0.inner.0.first", "0.inner.0.second", "0.last"]
    assert 3 < reach["other"]["0.inner.0.first"] < 6
    network(100 * x)
    assert reach["other"]["0.inner.0.first"] < 6  # nobody looks any more


@needs_bytes
@pytest.mark.parametrize(("sigma", "gray"), [(3, False), (25, False), (100, False), (60, True)])
def test_denoising_in_bytes_costs_next_to_nothing(sigma: int, gray: bool) -> None:
    picture = tensor(data.astronaut()[40:200, 100:300])
    if gray:
        picture = picture.mean(0, keepdim=True).expand(3, -1, -1)
    noise = source()
    noisy = [
        Frame(
            image=picture + torch.randn(picture[: 1 if gray else 3].shape, generator=noise) * sigma / 255,
            pts=i,
        )
        for i in range(3)
    ]
    exact, in_bytes = (
        process(Chain.parse(f"denoise:sigma={sigma}"), noisy, place)[-1].image
        for place in (CPU, machine.choose("cpu", "int8"))
    )
    assert not torch.equal(exact, in_bytes)
    assert psnr(exact, in_bytes) > psnr(exact, picture) + 10
    assert psnr(in_bytes, picture) > psnr(exact, picture) - 0.15 > psnr(noisy[-1].image, picture) + 2


@needs_bytes
@torch.no_grad()
def test_where_values_exceed_what_bytes_hold_nothing_is_rounded() -> None:
    torch.manual_seed(1)  # of some untrained networks the whole first picture would exceed it
    network, x = nn.Sequential(Group(16, Block(16), Block(16))), features(2, 16, 150, 100)
    with observed(network) as reach:
        network(x)
    x[0, :, 72:80, 80:88] *= 20  # in a square of the first picture
    x[1] *= 20  # the whole of the second
    exact = network(x)
    round_groups(network, reach)
    off = (network(x) - exact).abs().amax(1) / exact.abs().max()
    assert off[0, 64:96, 64:96].max() < 1e-5 < off[0, 64:96, :64].max()
    assert off[1].max() < 1e-5


@needs_bytes
def test_saturated_colours_side_by_side_lose_little() -> None:
    drawn, generator = drawing(), source()
    noisy = [
        Frame(image=drawn + torch.randn(drawn.shape, generator=generator) * 5 / 255, pts=i) for i in range(3)
    ]
    exact, in_bytes = (
        process(Chain.parse("denoise:sigma=5"), noisy, place)[-1].image
        for place in (CPU, machine.choose("cpu", "int8"))
    )
    assert psnr(in_bytes, drawn) > psnr(exact, drawn) - 0.3


@needs_bytes
@pytest.mark.parametrize("name", ["temporal-balanced", "deblur-balanced"])
def test_the_networks_of_the_default_chain_are_prepared(name: str) -> None:
    place = machine.choose("cpu", "auto")
    network = load(name, place.torch, place.dtype, place.int8)
    assert any(isinstance(part, RoundedGroup) for part in network.modules())
    plain = load(name, place.torch, machine.choose("cpu", "fp32").dtype, machine.choose("cpu", "fp32").int8)
    assert not any(isinstance(part, RoundedGroup) for part in plain.modules())


def test_training_sees_how_far_activations_reach(tmp_path: Path) -> None:
    media = Media(photographs(), [])
    recipe = replace(small(2), tier="balanced")
    for valid in (media, None):
        result = train(
            recipe, media, tmp_path, valid=valid, options=Options(device="cpu"), report=lambda _: None
        )
        reach = read(result.weights)[1].reach
        assert [len(far) for far in reach.values()] == ([28] if valid else [])
        assert all(value > 0 for far in reach.values() for value in far.values())


def test_a_cpu_that_cannot_says_so(monkeypatch) -> None:
    monkeypatch.setattr(machine, "cpu_features", lambda: {"asimd"})
    with pytest.raises(DeviceError, match=r"int8 was asked for.*--precision auto"):
        machine.choose("cpu", "int8")
    auto = machine.choose("cpu", "auto")
    assert (auto.dtype, auto.int8) == (torch.float32, False)
    assert "int8" not in auto.why


def test_a_build_of_pytorch_without_these_operators_is_found_out(monkeypatch) -> None:
    rounded.works.cache_clear()
    monkeypatch.setattr(rounded, "round_groups", lambda *_: getattr(torch.ops.onednn, "none_such"))  # noqa: B009
    try:
        assert not rounded.works()
    finally:
        rounded.works.cache_clear()


@pytest.mark.skipif("avx2" not in cpu_features(), reason="this CPU has no AVX2")
def test_weights_are_coarser_where_products_are_added_in_16_bits(monkeypatch) -> None:
    assert rounded.weight_steps() in (63, 127)
    monkeypatch.setattr(rounded, "cpu_features", lambda: {"avx2"})
    assert rounded.weight_steps() == 63
    monkeypatch.setattr(rounded, "cpu_features", lambda: {"avx2", "avx_vnni"})
    assert rounded.weight_steps() == 127


def test_a_gpu_has_no_use_for_bytes_and_says_so(monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a GPU")
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    with pytest.raises(DeviceError, match=r"int8 is for CPUs.*--precision fp16"):
        machine.choose("cuda", "int8")
    assert not machine.choose("cuda", "auto").int8


def test_what_float32_is_on_a_gpu_is_said(monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a GPU")
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    for allowed in (True, False):
        monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", allowed)
        assert ("TF32" in machine.choose("cuda", "fp32").why) == allowed
    assert "TF32" not in machine.choose("cpu", "fp32").why
