"""The denoising networks of the literature: what each is built for, how they train, and their filters."""

from dataclasses import replace
from pathlib import Path

import pictures
import pytest
import torch
from pictures import photographs, psnr
from streams import one, process
from test_train import CPU, source, trained

from vidnoise.chain import Chain
from vidnoise.errors import UsageError, VidnoiseError
from vidnoise.export.subject import find
from vidnoise.filters import CBDNet, Masked
from vidnoise.frame import Frame
from vidnoise.nets import build, count_parameters, kflop_per_pixel, load, weights
from vidnoise.nets.dncnn import DnCNN
from vidnoise.nets.folding import folded
from vidnoise.nets.mprnet import UNSHUFFLE, WIDTH, MPRNet, SupervisedAttention
from vidnoise.nets.rcan import RCAN
from vidnoise.nets.wavelet import haar, inverse_haar
from vidnoise.nets.weights import LITERATURE, read
from vidnoise.train import Media, load_recipe
from vidnoise.train.cbdnet import asymmetric
from vidnoise.train.degrade import salt_and_pepper, white
from vidnoise.train.tasks import make_task

NUMBER = torch.full((1, 1, 1, 1), 25 / 255)
AFFORDABLE = sorted(set(LITERATURE) - {"dncnn", "ffdnet"})


def coffee(height: int = 128, width: int = 160) -> torch.Tensor:
    return pictures.coffee(height, width)[None]


def noisy(clean: torch.Tensor, sigma: float) -> torch.Tensor:
    return white(clean, torch.full((1, 1, 1, 1), sigma / 255), source())


def peppered(clean: torch.Tensor, share: float) -> torch.Tensor:
    return salt_and_pepper(clean, torch.full((1, 1, 1, 1), share), source())


def filtered(filter: str, picture: torch.Tensor) -> torch.Tensor:
    return one(filter, picture[0])[None]


def halves(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """The left half of one picture beside the right half of another."""
    middle = left.shape[-1] // 2
    return torch.cat([left[..., :middle], right[..., middle:]], -1)


@pytest.mark.parametrize("kind", LITERATURE)
@pytest.mark.parametrize("size", [(33, 47), (1, 1), (18, 70)])
def test_any_size_comes_out_as_it_went_in(kind: str, size: tuple[int, int]) -> None:
    picture = torch.rand(2, 3, *size, generator=source())
    with torch.inference_mode():
        done = build(kind, "")(picture, NUMBER)
    assert done.shape == picture.shape
    assert done.dtype == torch.float32


@pytest.mark.parametrize("kind", LITERATURE)
def test_a_blind_network_does_not_listen_and_the_others_do(kind: str) -> None:
    network, picture = build(kind, ""), coffee(40, 40)
    with torch.inference_mode():
        quiet, loud = (network(picture, NUMBER * factor) for factor in (0.1, 2))
    assert torch.equal(quiet, loud) == LITERATURE[kind].blind


@pytest.mark.parametrize("kind", AFFORDABLE)
def test_they_are_affordable(kind: str) -> None:
    assert kflop_per_pixel(build(kind, "")) <= 170


def test_the_network_for_edge_devices_is_small() -> None:
    assert count_parameters(build("dwnet", "")) <= 512_000
    assert kflop_per_pixel(build("dwnet", "")) <= 50


def test_folded_batch_normalisation_gives_what_it_gave() -> None:
    network, picture = DnCNN(normalised=True), coffee(40, 48)
    for seed in range(3):  # statistics that are not those of the start
        network(torch.rand(2, 3, 24, 24, generator=source(seed)), NUMBER)
    shipped = folded(network)
    assert shipped.state_dict().keys() == build("dncnn", "").state_dict().keys()
    with torch.inference_mode():
        assert torch.allclose(shipped(picture, NUMBER), network.eval()(picture, NUMBER), atol=1e-5)


def test_the_haar_transform_loses_nothing() -> None:
    picture = torch.randint(0, 256, (2, 5, 12, 18), generator=source()).float() / 256
    there = haar(picture)
    assert there.shape == (2, 20, 6, 9)
    assert float(there.square().sum()) == pytest.approx(float(picture.square().sum()))
    assert torch.equal(inverse_haar(there), picture)


def test_flat_pictures_have_means_alone_in_the_haar_transform() -> None:
    there = haar(torch.full((1, 3, 8, 8), 0.5))
    assert torch.equal(there[:, :3], torch.ones(1, 3, 4, 4))
    assert not there[:, 3:].any()


def test_attention_may_be_to_places_as_well() -> None:
    channels, places = RCAN(), RCAN(cbam=True)
    assert 0 < count_parameters(places) - count_parameters(channels) < 0.01 * count_parameters(channels)
    with torch.inference_mode():
        assert places(coffee(33, 35), NUMBER).shape == (1, 3, 33, 35)


def test_each_stage_makes_a_picture_and_the_last_is_what_comes_out() -> None:
    network, picture = MPRNet(), coffee(33, 35)
    with torch.inference_mode():
        first, second = network.both(picture, NUMBER)
        assert torch.equal(second, network(picture, NUMBER))
    for made in (first, second):
        assert made.shape == picture.shape
        assert made.dtype == torch.float32
        assert psnr(made, picture) > 10  # untrained, it is about what was given
    assert not torch.equal(first, second)


def test_what_the_picture_shuts_out_is_not_handed_on() -> None:
    gate, features = SupervisedAttention(), torch.randn(1, WIDTH, 16, 16, generator=source())
    with torch.no_grad():
        gate.judge.weight.fill_(-1e3)  # what is bright is shut out, what is black passes by half
        picture = halves(*(torch.full((1, 3, 16 * UNSHUFFLE, 16 * UNSHUFFLE), x) for x in (1, 0)))
        found, handed = gate.find(features), gate(features, picture)
    bright, black = (..., slice(0, 8)), (..., slice(9, 16))
    assert torch.equal(handed[bright], features[bright])
    assert torch.allclose(handed[black], (features + found / 2)[black], atol=1e-6)


def test_each_stage_is_held_against_the_target(monkeypatch) -> None:
    task = make_task(replace(load_recipe("mprnet"), batch=2, size=48), Media(photographs(), []), None, CPU)
    batch = task.batch(source())
    target = batch["target"]

    def loss(*pictures: torch.Tensor) -> float:
        monkeypatch.setattr(task.model, "both", lambda noisy, sigma: pictures)
        return float(task.loss(task.model, batch))

    best = loss(target, target)
    assert loss(target + 0.1, target) > best + 0.09
    assert loss(target, target + 0.1) > best + 0.09


def test_the_second_stage_cleans_more_than_the_first() -> None:
    clean = coffee()
    before, network = noisy(clean, 25), load("mprnet", CPU, torch.float32)
    assert isinstance(network, MPRNet)
    with torch.inference_mode():
        first, second = network.both(before, NUMBER)
    assert psnr(second, clean) > psnr(first, clean) > psnr(before, clean) + 4


def test_noise_that_is_overlooked_counts_for_more() -> None:
    true = torch.full((1, 3, 8, 8), 0.1)
    assert asymmetric(true - 0.05, true) > 2 * asymmetric(true + 0.05, true) > 0


@pytest.mark.parametrize("kind", LITERATURE)
def test_a_few_steps_lower_the_loss(kind: str) -> None:
    torch.manual_seed(1)
    task = make_task(replace(load_recipe(kind), batch=2, size=48), Media(photographs(), []), None, CPU)
    batch, optimizer = task.batch(source()), torch.optim.Adam(task.model.parameters(), 1e-3)
    losses = []
    for _ in range(20):
        optimizer.zero_grad()
        loss = task.loss(task.model, batch)
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert sum(losses[-3:]) < 0.8 * sum(losses[:3])


def test_a_run_writes_folded_weights(tmp_path: Path) -> None:
    recipe = replace(load_recipe("dncnn"), minutes=0, steps=2, batch=2, size=32, warmup=1)
    result = trained(recipe, tmp_path)
    network, card = read(result.weights)
    assert card.parameters == count_parameters(network)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in network.modules())


@pytest.mark.parametrize("kind", LITERATURE)
def test_noise_is_removed_and_a_clean_frame_is_left_alone(kind: str) -> None:
    clean = coffee()
    before = noisy(clean, 25)
    assert psnr(filtered(kind, before), clean) > psnr(before, clean) + 5
    flat = torch.tensor([0.2, 0.5, 0.7]).view(1, 3, 1, 1).expand(1, 3, 48, 64)
    assert torch.equal(filtered(kind, flat), flat)


@pytest.mark.parametrize("kind", LITERATURE)
def test_less_strength_removes_less(kind: str) -> None:
    before = noisy(coffee(), 25)
    whole, half, none = (filtered(f"{kind}:strength={s}", before) for s in (1, 0.5, 0))
    assert torch.equal(none, before)
    assert torch.allclose(half, (before + whole) / 2, atol=1e-5)


@pytest.mark.parametrize("kind", LITERATURE)
def test_gray_stays_nearly_gray(kind: str) -> None:
    gray = coffee().mean(1, keepdim=True).expand(-1, 3, -1, -1)
    noise = noisy(torch.zeros(1, 1, *gray.shape[2:]), 25)
    done = filtered(kind, gray + noise)
    assert psnr(done, gray) > psnr(gray + noise, gray) + 4
    assert float((done - done.mean(1, keepdim=True)).abs().mean()) < 3 / 255


def test_noise_is_removed_where_it_is_told_to_be() -> None:
    clean = coffee()
    before, level = noisy(clean, 30), torch.full_like(clean, 30 / 255)
    network = load("ffdnet", CPU, torch.float32)
    with torch.inference_mode():
        done = network(before, halves(level, torch.zeros_like(level)))
    change, middle = (done - before).abs(), clean.shape[-1] // 2
    assert float(change[..., : middle - 16].mean()) > 10 * float(change[..., middle + 16 :].mean())


def test_the_map_shows_where_noise_is_stronger() -> None:
    clean = coffee()
    before = halves(noisy(clean, 8), noisy(clean, 40))
    shown = one(CBDNet(show="map"), before[0]) * 255 / 4
    middle = clean.shape[-1] // 2
    weak, strong = shown[..., : middle - 16].mean(), shown[..., middle + 16 :].mean()
    assert 4 < float(weak) < 16
    assert 25 < float(strong) < 55


def test_impulses_are_for_the_network_with_a_mask() -> None:
    clean = coffee()
    before = peppered(noisy(clean, 10), 0.05)
    gains = {kind: psnr(filtered(kind, before), clean) - psnr(before, clean) for kind in ("masked", "dwnet")}
    assert gains["masked"] > 8
    assert gains["masked"] > gains["dwnet"] + 3


def test_impulses_alone_are_noise_too() -> None:
    clean = coffee()
    before = peppered(clean, 0.01)
    assert psnr(filtered("masked", before), clean) > psnr(before, clean) + 5


def test_a_higher_threshold_leaves_cleaner_areas_alone() -> None:
    clean = coffee()
    before, middle = halves(noisy(clean, 30), clean), clean.shape[-1] // 2
    changes = []
    for threshold in (0, 0.2, 0.5):
        change = (filtered(f"masked:threshold={threshold}", before) - before).abs()
        changes.append([float(change[..., : middle - 16].mean()), float(change[..., middle + 16 :].mean())])
    (all_noisy, all_clean), (some_noisy, some_clean), (few_noisy, few_clean) = changes
    assert all_clean > some_clean > few_clean
    assert few_clean < 0.5 * all_clean
    assert few_noisy > 0.8 * all_noisy
    assert some_noisy > 0.95 * all_noisy


@pytest.mark.parametrize("count", [3, 7])
def test_masks_are_fused_over_several_frames(count: int) -> None:
    pictures = [peppered(white(coffee(96, 96), NUMBER, source(seed)), 0.02)[0] for seed in range(count + 2)]
    frames = [Frame(image=picture, pts=i) for i, picture in enumerate(pictures)]
    alone, fused = (process(Chain.of(Masked(frames=n)), frames) for n in (1, count))
    assert [frame.pts for frame in fused] == [frame.pts for frame in frames]
    middle = count // 2
    assert not torch.equal(alone[middle].image, fused[middle].image)
    clean = coffee(96, 96)[0]
    assert psnr(fused[middle].image, clean) > psnr(alone[middle].image, clean) - 0.05


def test_missing_weights_are_named(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(weights, "FOLDER", tmp_path)
    weights.loaded.cache_clear()
    with pytest.raises(VidnoiseError, match=r"wavelet\.safetensors.*reinstall"):
        filtered("wavelet", noisy(coffee(), 25))
    weights.loaded.cache_clear()


@pytest.mark.parametrize("kind", ["dncnn", "wavelet"])
def test_they_can_be_written_for_other_engines(kind: str) -> None:
    subject = find(kind)
    assert [port.name for port in subject.inputs] == (["noisy"] if kind == "dncnn" else ["noisy", "sigma"])
    pictures = subject.examples(1, 5, 7)
    traced = torch.jit.trace(subject.network, subject.examples(2, 3, 4), check_trace=False)
    with torch.inference_mode():
        assert torch.allclose(traced(*pictures), subject(*pictures), atol=1e-5)


def test_no_level_is_written_into_a_blind_network() -> None:
    with pytest.raises(UsageError, match="by itself"):
        find("cbdnet", 25)
