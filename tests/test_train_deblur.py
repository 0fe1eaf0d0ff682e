"""Training of the networks for motion blur: what they are shown, and that they learn from it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from pictures import photographs, psnr

from vidnoise.errors import UsageError
from vidnoise.nets.weights import read
from vidnoise.train import Media, Options, Recipe, load_recipe, train
from vidnoise.train.blur import Exposures
from vidnoise.train.data import generator
from vidnoise.train.deblur import average
from vidnoise.train.tasks import make_task

CPU = torch.device("cpu")
QUIET = Options(device="cpu", every=1e9)
DEBLUR = Recipe(
    task="deblur",
    tier="fast",
    steps=3,
    batch=4,
    size=64,
    synthetic=0.75,
    loss="logarithmic",
    blur=Exposures(longest=9),
)
MPRNET = replace(load_recipe("mprnet-deblur"), minutes=0, steps=2, batch=4, size=64, synthetic=0.75)


def media() -> Media:
    stills = photographs()
    return Media(stills, [[np.ascontiguousarray(stills[0][100:300, 3 * i : 3 * i + 200]) for i in range(8)]])


def test_samples_are_blurred_frames_with_neighbours_and_the_sharp_frame() -> None:
    task = make_task(replace(DEBLUR, batch=8), media(), None, CPU)
    batch = task.batch(generator(1, 0, CPU))
    assert {name: tuple(value.shape[1:]) for name, value in batch.items()} == {
        "blurred": (3, 64, 64),
        "undone": (3, 64, 64),
        "near": (6, 64, 64),
        "sharp": (3, 64, 64),
    }
    blurred, sharp = batch["blurred"], batch["sharp"]
    steps = [(v[..., 1:] - v[..., :-1]).abs().mean() for v in (blurred, sharp)]
    assert steps[0] < steps[1]
    alone = batch["near"].abs().amax((1, 2, 3)) == 0
    assert 0 < int(alone.sum()) < 8


def test_windows_that_the_network_would_pad_are_refused() -> None:
    with pytest.raises(UsageError, match=r"size=96 .* multiples of 64"):
        make_task(replace(DEBLUR, size=96), media(), None, CPU)


def test_samples_for_a_network_of_single_pictures_have_no_neighbours() -> None:
    batch = make_task(MPRNET, media(), None, CPU).batch(generator(1, 0, CPU))
    assert {name: tuple(value.shape) for name, value in batch.items()} == {
        "blurred": (4, 3, 64, 64),
        "undone": (4, 2, 64, 64),
        "sharp": (4, 3, 64, 64),
    }
    steps = [batch[name].diff(dim=3).abs().mean() for name in ("blurred", "sharp")]
    assert steps[0] < steps[1]


def test_mprnet_learns_to_deblur_from_the_pictures_of_both_stages() -> None:
    torch.manual_seed(1)
    task = make_task(replace(MPRNET, batch=2), media(), None, CPU)
    batch, optimizer = task.batch(generator(1, 0, CPU)), torch.optim.Adam(task.model.parameters(), 1e-3)
    losses = []
    for _ in range(20):
        optimizer.zero_grad()
        loss = task.loss(task.model, batch)
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.9 * losses[0]
    first, second = task.model.both(batch["blurred"], batch["undone"])
    whole = task.measure(first, batch["sharp"]) + task.measure(second, batch["sharp"])
    assert torch.allclose(task.loss(task.model, batch), whole)


def test_each_sample_is_a_function_of_seed_and_step() -> None:
    task = make_task(DEBLUR, media(), None, CPU)
    first, second, other = (task.batch(generator(1, step, CPU)) for step in (4, 4, 5))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["sharp"], other["sharp"])


def test_frames_of_a_clip_are_averaged_along_their_motion() -> None:
    (pan,) = media().clips
    clip = torch.stack([torch.from_numpy(frame).permute(2, 0, 1) / 255 for frame in pan[:5]])
    blurred = average(clip, 1.0, 1.0)[1]
    inside = (..., slice(16, -16), slice(16, -16))
    # A pan of 3 pixels a frame with the shutter always open: the mean over 3 pixels to the side.
    true = torch.nn.functional.conv2d(clip[2, :, None], torch.full((1, 1, 1, 3), 1 / 3), padding=(0, 1))[:, 0]
    assert psnr(blurred[inside], true[inside]) > psnr(clip[2][inside], true[inside]) + 6


@pytest.mark.parametrize("recipe", [DEBLUR, MPRNET, Recipe(task="blur", steps=2, batch=8)])
def test_a_run_gives_weights_that_load(recipe: Recipe, tmp_path: Path) -> None:
    options = replace(QUIET, tensorboard=True)
    result = train(recipe, media(), tmp_path, valid=media(), options=options)
    network, card = read(result.weights)
    assert card.kind == recipe.task
    assert card.steps == recipe.steps
    assert np.isfinite(result.figures["score"])
    events = b"".join(file.read_bytes() for file in tmp_path.rglob("events.out*"))
    assert (b"before, after, wanted" in events) == (recipe.task != "blur")
    assert sum(p.numel() for p in network.parameters()) == card.parameters


def test_the_motion_of_blur_is_learned(tmp_path: Path) -> None:
    recipe = Recipe(task="blur", steps=30, batch=8, rate=3e-3, warmup=5, ema=0.8)
    task = make_task(recipe, media(), media(), CPU)
    before = task.validate(task.model)["score"]
    assert train(recipe, media(), tmp_path, valid=media(), options=QUIET).figures["score"] > before + 0.3
