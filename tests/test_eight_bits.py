"""Training for 8 bits: what is rounded, how, and that a network learns with it."""

from dataclasses import replace
from pathlib import Path

import torch
from pictures import photographs
from test_train import CPU, small, source
from torch import nn

from vidnoise.nets.residual import Block
from vidnoise.nets.weights import build, read
from vidnoise.train import Media, Options, train
from vidnoise.train.eight_bits import (
    EightBitConvolution,
    EightBitTransposed,
    round_activations,
    round_weights,
    to_eight_bits,
)
from vidnoise.train.tasks import make_task

MEDIA = Media(photographs(), [])


def test_weights_have_at_most_127_values_a_channel_and_keep_their_largest() -> None:
    weight = torch.randn(4, 64, 3, 3, generator=source())
    rounded = round_weights(weight, 0)
    assert all(len(channel.unique()) <= 127 for channel in rounded)
    assert torch.allclose(rounded.abs().amax((1, 2, 3)), weight.abs().amax((1, 2, 3)), rtol=1e-5)
    assert (rounded - weight).abs().max() <= weight.abs().max() / 126 + 1e-6
    across = round_weights(weight, 1)
    assert all(len(channel.unique()) <= 127 for channel in across.unbind(1))
    assert not torch.equal(across, rounded)


def test_activations_have_256_values_at_most_and_zero_stays_zero() -> None:
    x = torch.randn(2, 8, 32, 32, generator=source()).relu()
    x[1] *= 3
    rounded = round_activations(x)
    for before, after in zip(x, rounded, strict=True):
        assert 150 < len(after.unique()) <= 256
        assert (after[before == 0] == 0).all()
        assert (after - before).abs().max() <= before.max() / 509
    assert not round_activations(torch.zeros(1, 1, 4, 4)).any()


def test_the_gradient_passes_the_rounding() -> None:
    x = torch.randn(1, 2, 8, 8, generator=source()).requires_grad_()
    round_activations(x).square().sum().backward()
    assert torch.allclose(x.grad, 2 * round_activations(x).detach(), atol=1e-5)


def test_all_layers_but_those_that_see_pictures_round_and_names_stay() -> None:
    for kind in ("spatial", "temporal"):
        plain, rounded = build(kind, "balanced"), to_eight_bits(build(kind, "balanced"))
        assert list(plain.state_dict()) == list(rounded.state_dict())
        eight = {
            name
            for name, m in rounded.named_modules()
            if isinstance(m, EightBitConvolution | EightBitTransposed)
        }
        convolutions = {name.removesuffix(".weight") for name in plain.state_dict()}
        assert convolutions - eight <= {"present.conv", "doubt"}
        assert not eight & {"present.conv", "doubt"}


def test_a_rounded_network_learns_and_its_weights_load(tmp_path: Path) -> None:
    recipe = replace(small(30), int8=True)
    result = train(recipe, MEDIA, tmp_path, options=Options(device="cpu"), report=lambda _: None)
    task = make_task(recipe, MEDIA, None, CPU)
    torch.manual_seed(recipe.seed)
    untrained, trained = (to_eight_bits(n) for n in (build("spatial", "fast"), read(result.weights)[0]))
    batch = task.batch(source(9))
    with torch.no_grad():
        assert task.loss(trained, batch) < task.loss(untrained, batch)
        exact = read(result.weights)[0](batch["noisy"], batch["sigma"])
        assert not torch.equal(trained(batch["noisy"], batch["sigma"]), exact)


def test_sums_are_rounded_as_files_have_them() -> None:
    block = to_eight_bits(nn.Sequential(nn.Conv2d(4, 4, 3), Block(4)))
    result = block(torch.randn(1, 4, 20, 20, generator=source()))
    assert len(result.unique()) <= 256
