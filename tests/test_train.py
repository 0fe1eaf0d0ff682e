"""Training: degradations, motion with its true flow, recipes, and runs that repeat and resume exactly."""

import json
import math
import os
import re
import resource
import wave
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import clips
import cv2
import numpy as np
import pytest
import torch
from pictures import photographs, psnr

from vidnoise import dct
from vidnoise.errors import InputError, OutputError, UsageError
from vidnoise.flow import warp
from vidnoise.fusion import by_frequency, coloured, mix, opponent, spectrum
from vidnoise.nets.weights import FOLDER as WEIGHTS
from vidnoise.nets.weights import TIERED, build, read
from vidnoise.train import (
    Media,
    Mixture,
    Moves,
    Options,
    Recipe,
    Result,
    animate,
    degrade,
    load_recipe,
    read_folder,
    train,
)
from vidnoise.train.blur import Exposures
from vidnoise.train.data import Clips, Stills, generator
from vidnoise.train.inherit import load_into
from vidnoise.train.losses import ssim
from vidnoise.train.recipe import FOLDER, parse
from vidnoise.train.tasks import SpatialTask, make_task

CPU = torch.device("cpu")


def source(seed: int = 5) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def trained(
    recipe: Recipe,
    out: Path,
    data: Media | None = None,
    *,
    valid: Media | None = None,
    inherit: Sequence[Path] = (),
    report: Callable[[str], None] = lambda _: None,
    resume: bool = False,
    every: float = 60,
) -> Result:
    """A run on the CPU, on the photographs where no other data are given."""
    options = Options(device="cpu", resume=resume, every=every)
    data = data or Media(photographs(), [])
    return train(recipe, data, out, valid=valid, inherit=inherit, options=options, report=report)


def batch(count: int = 2, size: int = 64) -> torch.Tensor:
    return Stills(Media(photographs(), []), size, CPU)(count, source())


def test_white_noise_has_the_level_asked_for() -> None:
    clean = torch.full((2, 3, 128, 128), 0.5)
    level = torch.tensor([0.05, 0.2]).view(2, 1, 1, 1)
    noise = degrade.white(clean, level, source()) - clean
    assert torch.allclose(noise.std((1, 2, 3)), level.flatten(), rtol=0.02)


def test_sensor_noise_grows_with_brightness_as_it_should() -> None:
    clean = torch.tensor([0.1, 0.9]).view(2, 1, 1, 1).expand(2, 3, 128, 128)
    gain, read_noise = torch.full((2, 1, 1, 1), 0.01), torch.full((2, 1, 1, 1), 0.02)
    noise = degrade.poisson_gaussian(clean, gain, read_noise, source()) - clean
    assert torch.allclose(noise.var((1, 2, 3)), torch.tensor([0.0014, 0.0094]), rtol=0.05)


def test_correlated_noise_keeps_its_level_and_resembles_its_neighbour() -> None:
    clean = torch.zeros(1, 3, 128, 128)
    noise = degrade.correlated(clean, torch.full((1, 1, 1, 1), 0.1), torch.ones(1, 1, 1, 1), source())
    assert float(noise.std()) == pytest.approx(0.1, rel=0.01)
    assert float((noise[..., 1:] * noise[..., :-1]).mean()) > 0.005


def test_demosaiced_noise_is_weaker_and_resembles_its_neighbour() -> None:
    noise = torch.randn(1, 3, 128, 128, generator=source())
    left = degrade.demosaiced(noise)
    assert torch.equal(left[0, 0, ::2, ::2], noise[0, 0, ::2, ::2])  # what the sensor saw itself
    assert float(left.std()) < 0.9
    assert float((left[..., 1:] * left[..., :-1]).mean()) > 0.2


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_a_coded_clip_repeats_and_is_worse_at_a_higher_rate_factor(codec: str) -> None:
    clip = batch(1, 96).repeat(4, 1, 1, 1)
    fine, coarse = (degrade.code(clip, crf, codec) for crf in (18, 34))
    assert fine.shape == clip.shape
    assert torch.equal(fine, degrade.code(clip, 18, codec))
    assert psnr(fine, clip) > psnr(coarse, clip) + 3 > 25


def test_the_spectrum_of_noise_gives_its_power_back() -> None:
    clean, matrix = torch.zeros(1, 3, 256, 256), opponent(CPU)
    noise = degrade.correlated(clean, torch.full((1, 1, 1, 1), 0.1), torch.ones(1, 1, 1, 1), source())[0]
    level = torch.full((3, 32, 32), 0.1)
    found = spectrum(noise, level, matrix)
    assert (found[:, 0] > 2.5).all()
    assert (found[:, 2] < 0.5).all()
    assert torch.allclose(spectrum(torch.randn(3, 256, 256) / 10, level, matrix), torch.ones(3, 3), atol=0.1)
    power = dct.forward(mix(noise, matrix)).square().mean((2, 3))
    back = coloured(level, by_frequency(found), matrix).mean((2, 3))
    assert torch.allclose(back[:, 1:].mean(1), power[:, 1:].mean(1), rtol=0.01)
    assert (back[:, 0] > 1.5 * back[:, 1]).all()  # noise of cameras has more yet in the means of blocks


def test_gray_noise_is_the_same_in_all_channels() -> None:
    noise = degrade.gray(torch.zeros(1, 3, 32, 32), torch.full((1, 1, 1, 1), 0.1), source())
    assert torch.equal(noise[:, 0], noise[:, 2])


def test_salt_and_pepper_hits_its_share() -> None:
    clean = torch.full((1, 3, 200, 200), 0.5)
    hit = (degrade.salt_and_pepper(clean, torch.full((1, 1, 1, 1), 0.1), source()) != clean).all(1)
    assert float(hit.float().mean()) == pytest.approx(0.1, abs=0.01)


def test_jpeg_agrees_with_a_real_encoder() -> None:
    clean = batch(1, 128)
    picture = (clean[0].permute(1, 2, 0) * 255).byte().numpy()[..., ::-1]
    for quality in (30, 80):
        _, code = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
        real = (
            torch.from_numpy(cv2.imdecode(code, cv2.IMREAD_COLOR)[..., ::-1].copy()).permute(2, 0, 1)[None]
            / 255
        )
        ours = degrade.jpeg(clean, torch.full((1, 1, 1, 1), float(quality)))
        assert psnr(ours, real) > psnr(clean, real) + 3


def test_a_mixture_repeats_and_knows_its_levels() -> None:
    clean = batch(1, 64).repeat(24, 1, 1, 1)
    noisy, sigma = Mixture()(clean, source())
    again, _ = Mixture()(clean, source())
    assert torch.equal(noisy, again)
    measured, told = (noisy - clean).square().mean((1, 2, 3)).sqrt(), sigma.square().mean((1, 2, 3)).sqrt()
    close = (measured / told - 1).abs() < 0.2
    assert close.float().mean() > 0.75  # clipping and impulses take the rest off


def test_the_noise_of_a_camera_is_strongest_where_it_is_dark_and_told_for_each_pixel() -> None:
    dark = torch.full((16, 3, 64, 32), 0.15)
    clean = torch.cat([dark, dark + 0.7], 3)
    mixture = Mixture(sensor=0, blotchy=0, gray=0, channels=0, dark=0, impulse=0, camera=1, compressed=0)
    noisy, sigma = mixture(clean, source())
    left, right = ((noisy - clean)[..., part].std() for part in (slice(0, 30), slice(34, 64)))
    assert left > 1.3 * right
    told = sigma[..., :30].square().mean().sqrt() / sigma[..., 34:].square().mean().sqrt()
    assert told == pytest.approx(float(left / right), rel=0.25)


def test_frames_of_a_clip_share_their_level_and_not_their_noise() -> None:
    clean = torch.full((8, 3, 32, 32), 0.5)
    noisy, sigma = Mixture(sensor=0, blotchy=0, gray=0, channels=0, dark=0, impulse=0, rounded=0)(
        clean, source(), 4
    )
    assert torch.equal(sigma[0], sigma[3])
    assert not torch.equal(sigma[0], sigma[4])
    assert not torch.equal(noisy[0], noisy[1])


def test_white_noise_that_a_file_holds_has_lost_its_colours_finest_part() -> None:
    clean = torch.tensor([0.4, 0.5, 0.6]).view(1, 3, 1, 1).expand(4, 3, 64, 64)
    others = dict.fromkeys(("sensor", "blotchy", "gray", "channels", "dark", "impulse", "rounded"), 0.0)
    for filed in (0.0, 1.0):
        noisy, sigma = Mixture(**others, filed=filed)(clean, source())
        noise = noisy - clean
        assert torch.allclose(noise.std((1, 2, 3)), sigma[:, 0, 0, 0], rtol=0.05)
        matrix = opponent(CPU)
        found = torch.stack([spectrum(n, s[:, ::8, ::8], matrix) for n, s in zip(noise, sigma, strict=True)])
        finest = found.mean(0)[1:, -1] / found.mean(0)[0, -1]
        assert bool((finest < 0.5).all() if filed else (finest > 0.9).all())


def test_a_gray_picture_stays_gray_under_impulses() -> None:
    clean = batch(2).mean(1, keepdim=True).expand(-1, 3, -1, -1)
    noisy, _ = Mixture(sensor=0, blotchy=0, gray=0, channels=0, dark=0, impulse=1)(clean, source())
    assert torch.allclose(noisy, noisy[:, :1].expand_as(noisy), atol=1e-6)
    assert not torch.allclose(noisy, clean, atol=1e-2)


def test_a_gray_picture_gets_white_noise_of_a_gray_camera() -> None:
    pictures = torch.cat([batch(1, 32), batch(1, 32).mean(1, keepdim=True).expand(-1, 3, -1, -1)])
    noisy, _ = Mixture(sensor=0, blotchy=0, gray=0, channels=0, dark=0, impulse=0, rounded=0)(
        pictures, source()
    )
    colourful, gray = (noisy - pictures).unbind()
    assert torch.allclose(gray[0], gray[2], atol=1e-6)
    assert gray.std() > 0.01
    assert (colourful[0] - colourful[2]).std() > 0.01


def test_the_flow_of_a_still_in_motion_is_the_true_one() -> None:
    stills = batch(2, 256)
    clips, flows, hidden = animate(stills, stills.flip(0), 128, 3, Moves(speed=6, layers=1), source(8))
    moved = torch.stack([warp(c, f) for c, f in zip(clips[:, 1], flows[:, 2], strict=True)])
    seen = (hidden[:, 2] == 0).expand(-1, 3, -1, -1)
    seen = seen & (torch.arange(128).sub(63.5).abs() < 50)
    still = (clips[:, 1] - clips[:, 2])[seen].abs().mean()
    assert (moved - clips[:, 2])[seen].abs().mean() < 0.5 * still
    assert (hidden[:, 0] == 0).all()


def test_clips_are_runs_of_one_place() -> None:
    ramp = [np.full((40, 40, 3), 10 * t, np.uint8) for t in range(9)]
    made = Clips(Media([], [ramp]), 32, 4, CPU)(6, source()) * 255
    steps = (made[:, 1:] - made[:, :-1]).amax((2, 3, 4)).round()
    assert set(steps.abs().flatten().tolist()) <= {10.0, 20.0}
    assert torch.equal(steps, steps[:, :1].expand_as(steps))


def test_each_batch_is_a_function_of_seed_and_step() -> None:
    stills = Stills(Media(photographs(), []), 48, CPU)
    assert torch.equal(stills(4, generator(1, 7, CPU)), stills(4, generator(1, 7, CPU)))
    assert not torch.equal(stills(4, generator(1, 7, CPU)), stills(4, generator(1, 8, CPU)))
    assert not torch.equal(stills(4, generator(1, 7, CPU)), stills(4, generator(2, 7, CPU)))


def test_a_folder_is_read_as_stills_and_clips(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    for t in range(4):
        cv2.imwrite(str(tmp_path / "run" / f"{t}.png"), np.full((20, 30, 3), t, np.uint8))
    cv2.imwrite(str(tmp_path / "still.png"), np.zeros((10, 12, 3), np.uint8))
    media = read_folder(tmp_path)
    assert [s.shape for s in media.stills] == [(10, 12, 3)]
    assert [f[0, 0, 0] for f in media.clips[0]] == [0, 1, 2, 3]


def test_linked_folders_are_read_too_and_a_circle_of_links_ends(tmp_path: Path) -> None:
    elsewhere, data = tmp_path / "elsewhere", tmp_path / "data"
    elsewhere.mkdir()
    data.mkdir()
    for t in range(4):
        cv2.imwrite(str(elsewhere / f"{t}.png"), np.full((20, 30, 3), t, np.uint8))
    (data / "run").symlink_to(elsewhere)
    (elsewhere / "back").symlink_to(data)
    assert [len(clip) for clip in read_folder(data).clips] == [4]


def test_a_picture_of_one_pixel_among_the_data_does_no_harm() -> None:
    media = Media([np.zeros((1, 1, 3), np.uint8), *photographs()], [])
    assert Stills(media, 48, CPU)(2, source()).shape == (2, 3, 48, 48)


@pytest.mark.parametrize(
    ("stills", "clips", "said"),
    [
        (
            [np.zeros((64, 64, 3), np.float32)],
            [],
            r"arrays \(H,W,3\) of uint8, RGB; this is float32 \(64, 64, 3\)",
        ),
        ([], [[np.zeros((64, 64), np.uint8)] * 3], r"this is uint8 \(64, 64\)"),
        ([torch.zeros(64, 64, 3, dtype=torch.uint8)], [], "this is Tensor"),
        ([], [[np.zeros((64, side, 3), np.uint8) for side in (64, 48)]], "frames of a clip differ in size"),
    ],
)
def test_what_are_no_pictures_to_train_on_is_told(stills: Any, clips: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Media(stills, clips)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no picture"):
        read_folder(tmp_path)


@pytest.mark.parametrize(
    ("task", "media", "message"),
    [
        ("spatial", Media([], [photographs()[:1] * 15]), "no validation picture has 256 pixels"),
        ("temporal", Media(photographs(), []), "no validation clip has 5 frames"),
        ("temporal", Media([], [photographs()[:1] * 3]), "no validation clip has 5 frames"),
        ("level", Media([photographs()[0][:20]], []), "no picture has 32 pixels"),
    ],
)
def test_validation_data_that_measures_nothing_is_refused(
    task: str, media: Media, message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        trained(small(1, task), tmp_path, valid=media)


def test_a_video_file_without_pictures_is_named(tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "sound.mkv"), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(bytes(800))
    with pytest.raises(InputError, match=r"sound\.mkv holds no video; take it out"):
        read_folder(tmp_path)


def test_a_video_file_is_a_clip_of_half_its_size(tmp_path: Path) -> None:
    clips.Clip(frames=6).save(tmp_path / "clip.mkv")
    media = read_folder(tmp_path)
    assert [[frame.shape for frame in clip] for clip in media.clips] == [[(32, 48, 3)] * 6]
    small = cv2.resize(clips.picture(5), (48, 32), interpolation=cv2.INTER_AREA)
    assert float(np.abs(media.clips[0][5] - small.astype(float)).mean()) < 10


CUT_OFF = cv2.imencode(".jpg", clips.picture(0))[1].tobytes()[:-9]


@pytest.mark.parametrize(
    ("name", "data"),
    [("clip.mkv", b"junk"), ("still.png", b"junk"), ("still.png", b""), ("still.jpg", CUT_OFF)],
)
def test_a_damaged_file_is_named(name: str, data: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match=rf"{name} .*take it out"):
        read_folder(tmp_path)


def test_a_link_that_leads_nowhere_is_named(tmp_path: Path) -> None:
    (tmp_path / "still.png").symlink_to(tmp_path / "gone.png")
    with pytest.raises(
        InputError, match=r"still\.png cannot be read \(No such file.*; mend it or take it out"
    ):
        read_folder(tmp_path)


@pytest.mark.parametrize("name", ["still.png", "clip.mp4"])
def test_a_named_pipe_among_the_data_is_refused_and_not_waited_for(name: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises(InputError, match=rf"{name} is no regular file; take it out"):
        read_folder(tmp_path)


def test_ssim_is_one_for_equal_pictures_and_less_for_noisy_ones() -> None:
    clean = batch(1)
    assert float(ssim(clean, clean)) == pytest.approx(1, abs=1e-4)
    assert float(ssim(clean, degrade.white(clean, torch.full((1, 1, 1, 1), 0.1), source()))) < 0.9


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.toml")), ids=lambda p: p.stem)
def test_every_shipped_recipe_can_be_read(path: Path) -> None:
    assert load_recipe(path.stem).tier in ("fast", "balanced", "")


def test_a_wrong_setting_is_named() -> None:
    with pytest.raises(UsageError, match="btach"):
        parse('task="spatial"\ntier="fast"\nsteps=1\nbtach=3', "mine")
    with pytest.raises(UsageError, match="minutes or steps"):
        parse('task="spatial"\ntier="fast"', "mine")


def small(steps: int, task: str = "spatial") -> Recipe:
    tier = "fast" if task in TIERED else ""
    return replace(
        load_recipe("tiny"), task=task, tier=tier, steps=steps, batch=4, size=32, frames=3, warmup=2
    )


def test_a_run_learns_and_its_weights_load(tmp_path: Path) -> None:
    media = Media(photographs(), [])
    recipe = replace(load_recipe("tiny"), steps=200, batch=8, size=48)
    result = trained(recipe, tmp_path, valid=media)
    network, card = read(result.weights)
    assert card.steps == 200
    clean = batch(4)
    noisy = degrade.white(clean, torch.full((1, 1, 1, 1), 50 / 255), source())
    with torch.inference_mode():
        assert psnr(network(noisy, torch.full((1, 1, 1, 1), 50 / 255)), clean) > psnr(noisy, clean) + 1


@pytest.mark.parametrize("surrounded", [torch.no_grad, torch.inference_mode])
def test_training_takes_paths_as_text_learns_wherever_gradients_are_off_and_leaves_settings_alone(
    surrounded: Callable[[], AbstractContextManager[None]], tmp_path: Path
) -> None:
    cv2.imwrite(str(tmp_path / "still.png"), photographs()[0])
    before = torch.get_rng_state(), torch.get_float32_matmul_precision(), torch.backends.cudnn.benchmark
    with surrounded():
        first = train(
            small(1), str(tmp_path), f"{tmp_path}/first", options=Options(device="cpu"), report=lambda _: None
        )
        result = train(
            small(3),
            tmp_path,
            tmp_path / "next",
            inherit=[str(first.weights)],
            options=Options(device="cpu"),
            report=lambda _: None,
        )
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (torch.get_float32_matmul_precision(), torch.backends.cudnn.benchmark) == before[1:]
    assert read(result.weights)[1].inherited.startswith("spatial-fast.safetensors")
    old, new = (read(path)[0].state_dict() for path in (first.weights, result.weights))
    assert any(not torch.equal(old[name], new[name]) for name in old)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"recipe": "dwnet"}, "recipe is of type str; write recipe=vidnoise.train.load_recipe('dwnet')"),
        (
            {"data": [np.zeros((64, 64, 3), np.uint8)]},
            "data is of type list; write data='folder', or vidnoise.train.Media(",
        ),
        ({"valid": 5}, "valid is of type int; write valid='folder', or"),
        ({"out": None}, "out is of type NoneType; write out='folder'"),
        (
            {"inherit": "a.safetensors"},
            "inherit is of type str; write inherit=['weights.safetensors'], a list",
        ),
        ({"inherit": [5]}, "inherit is of type int; write inherit=['weights.safetensors'], a list"),
        (
            {"options": {"device": "cpu"}},
            "options is of type dict; write options=vidnoise.train.Options(device='cpu')",
        ),
        ({"report": 5}, "report=5 cannot be called; give a function, or None"),
    ],
)
def test_an_argument_of_the_wrong_kind_is_answered_with_what_to_write(
    given: dict[str, Any], told: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=re.escape(told)):
        train(**({"recipe": small(1), "data": Media(photographs(), []), "out": tmp_path / "out"} | given))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"batch": 0}, r"the recipe: batch=0 is out of range; it takes 1\.\.4096"),
        ({"task": "spatiall"}, "the recipe: task='spatiall' is not one of spatial"),
        ({"tier": ""}, "the recipe has task='spatial' and tier=''"),
        ({"minutes": 1}, "the recipe must set either minutes or steps"),
        ({"noise": Mixture(sensor=2)}, r"\[noise\] of the recipe: sensor=2 is out of range"),
        ({"moves": {"speed": 3}}, r"the recipe: moves=\{'speed': 3\} is no Moves"),
        ({"blur": Exposures(open=0.5)}, r"\[blur\] of the recipe: open=0.5 is not a pair"),  # type: ignore[arg-type]
    ],
)
def test_a_recipe_made_in_python_is_held_against_what_its_settings_take(
    changes: dict[str, Any], told: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=told):
        train(replace(small(1), **changes), Media(photographs(), []), tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_a_recipe_may_hold_the_numbers_of_numpy_and_lists(tmp_path: Path) -> None:
    recipe, options = replace(small(1), steps=np.int64(1), rate=np.float32(1e-3)), Options(device="cpu")
    recipe = replace(recipe, blur=Exposures(open=[0.5, 1]))  # type: ignore[arg-type]
    result = train(recipe, Media(photographs(), []), tmp_path, options=options, report=lambda _: None)
    assert json.loads(read(result.weights)[1].recipe)["rate"] == pytest.approx(1e-3)
    options = replace(options, resume=True)
    again = train(recipe, Media(photographs(), []), tmp_path, options=options, report=lambda _: None)
    assert again.steps == 1


@pytest.mark.parametrize("muon", [0, 2])
def test_a_stopped_run_resumes_to_the_same_weights(muon: float, tmp_path: Path) -> None:
    recipe = replace(small(6), muon=muon)
    whole = trained(recipe, tmp_path / "a")

    class KilledError(Exception):
        pass

    def kill(line: str) -> None:
        if "step 3" in line:
            raise KilledError

    with pytest.raises(KilledError):
        trained(recipe, tmp_path / "b", report=kill, every=0)
    rest = trained(recipe, tmp_path / "b", resume=True, every=0)
    assert rest.weights.read_bytes() == whole.weights.read_bytes()


def test_muon_learns_more_in_as_many_steps(tmp_path: Path) -> None:
    losses = []
    for muon in (0, 2):
        folder = tmp_path / str(muon)
        trained(replace(small(40), muon=muon), folder)
        losses.append(json.loads((folder / "log.jsonl").read_text().splitlines()[-1])["loss"])
    assert losses[1] < 0.9 * losses[0]


def test_a_card_says_what_the_weights_began_with(tmp_path: Path) -> None:
    first = trained(small(1), tmp_path / "a")
    second = trained(small(1), tmp_path / "b", inherit=[first.weights])
    assert read(first.weights)[1].inherited == ""
    assert read(second.weights)[1].inherited.startswith(first.weights.name)


def test_a_run_that_is_refused_leaves_no_folder(tmp_path: Path) -> None:
    media = Media([np.zeros((20, 20, 3), np.uint8)], [])
    with pytest.raises(InputError, match=r"no picture has \d+ pixels a side"):
        trained(small(1), tmp_path / "run", media)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("room", [1_000, 700_000])
def test_a_disk_without_room_is_named_and_leaves_what_was_learned_before(room: int, tmp_path: Path) -> None:
    trained(small(1), tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, limit[1]))
    try:
        with pytest.raises(
            OutputError, match=rf"{tmp_path}/checkpoint\.pt cannot be written \(File too large\); .*--resume"
        ):
            trained(small(2), tmp_path, resume=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert trained(small(2), tmp_path, resume=True).steps == 2


def test_a_resumed_run_remembers_what_it_began_with(tmp_path: Path) -> None:
    first = trained(small(1), tmp_path / "a").weights
    begun = trained(small(1), tmp_path / "b", inherit=[first]).weights
    inherited = read(begun)[1].inherited
    trained(small(2), tmp_path / "b", resume=True)
    assert read(begun)[1].inherited == inherited != ""


def test_weights_of_a_network_that_has_nothing_in_common_are_refused(tmp_path: Path) -> None:
    shipped = WEIGHTS / "dncnn.safetensors"
    with pytest.raises(UsageError, match=r"holds the weights of dncnn, and the recipe trains spatial-fast"):
        trained(small(1), tmp_path, inherit=[shipped])


def test_a_part_of_a_network_is_passed_on_to_another(tmp_path: Path) -> None:
    first = trained(small(1), tmp_path).weights
    network = build("temporal", "fast")
    found = load_into(network, "temporal-fast", [first])
    passed, now = read(first)[0].state_dict(), network.state_dict()
    assert 0 < len(found) < len(now)
    assert all(torch.equal(now[name], passed[name]) for name in found)


@pytest.mark.parametrize("content", [b"junk", b"\x89PNG\r\n\x1a\n" + bytes(99), None])
def test_a_file_that_holds_no_whole_weights_cannot_be_inherited_from(
    content: bytes | None, tmp_path: Path
) -> None:
    path = tmp_path / "mine.safetensors"
    path.write_bytes(content or (WEIGHTS / "dncnn.safetensors").read_bytes()[:-100])
    with pytest.raises(InputError, match=r"mine\.safetensors cannot be inherited from"):
        trained(small(1), tmp_path, inherit=[path])


@pytest.mark.parametrize("part", [0, 0.5, 0.999, -1])
def test_a_damaged_checkpoint_is_named_with_what_to_do(part: float, tmp_path: Path) -> None:
    trained(small(1), tmp_path)
    path = tmp_path / "checkpoint.pt"
    content = path.read_bytes()
    path.write_bytes(b"junk" if part < 0 else content[: int(part * len(content))])
    with pytest.raises(InputError, match=r"checkpoint\.pt is damaged.* delete it to begin again"):
        trained(small(1), tmp_path, resume=True)


def test_resuming_a_run_that_had_ended_tells_of_no_loss(tmp_path: Path) -> None:
    lines: list[str] = []
    trained(small(2), tmp_path, report=lines.append)
    result = trained(small(2), tmp_path, report=lines.append, resume=True)
    assert result.steps == 2
    assert "loss 0." in lines[0]
    assert lines[1].endswith("goes on from step 2")
    assert "loss" not in lines[2]


def test_resuming_where_there_is_no_checkpoint_begins_and_says_so(tmp_path: Path) -> None:
    lines: list[str] = []
    result = trained(small(1), tmp_path, report=lines.append, resume=True)
    assert "holds no checkpoint: spatial-fast begins at step 0" in lines[0]
    assert result.steps == 1


def test_a_folded_dncnn_goes_on_from_its_own_weights(tmp_path: Path) -> None:
    recipe = replace(load_recipe("dncnn-folded"), minutes=0, steps=1, batch=1, size=32, rate=1e-9)
    shipped = WEIGHTS / "dncnn.safetensors"
    result = trained(recipe, tmp_path, inherit=[shipped])
    noisy = batch(1)
    with torch.inference_mode():
        before, after = (read(path)[0](noisy, noisy) for path in (shipped, result.weights))
    assert torch.allclose(before, after, atol=1e-3)


def test_a_checkpoint_of_another_recipe_is_refused(tmp_path: Path) -> None:
    trained(small(1), tmp_path)
    with pytest.raises(UsageError, match="another recipe"):
        trained(replace(small(1), rate=1e-5), tmp_path, resume=True)


@pytest.fixture
def endless_sensor_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(degrade, "poisson_gaussian", lambda clean, *_: clean + math.inf)


@pytest.mark.usefixtures("endless_sensor_noise")
def test_a_bad_step_is_left_out(tmp_path: Path) -> None:
    # Of single pictures, some have a sensor's noise and others a white one.
    recipe = replace(small(6), batch=1, noise=replace(small(6).noise, sensor=0.5))
    lines: list[str] = []
    result = trained(recipe, tmp_path, report=lines.append)
    assert 0 < int(lines[-1].split("skipped ")[1].split()[0]) < 6
    assert math.isfinite(float(lines[-1].split("loss ")[1].split()[0]))
    assert all(p.isfinite().all() for p in read(result.weights)[0].parameters())


@pytest.mark.parametrize(
    "changes",
    [
        {"muon": 1e9, "warmup": 0},
        {"rate": 1.0, "warmup": 0, "steps": 40},
        {"noise": Mixture(sensor=1, compressed=0, rounded=0)},
    ],
)
@pytest.mark.usefixtures("endless_sensor_noise")
def test_a_run_that_comes_to_nothing_writes_no_weights(changes: dict[str, object], tmp_path: Path) -> None:
    recipe = replace(small(4), **changes)
    with pytest.raises(UsageError, match="not finite; lower the rate"):
        trained(recipe, tmp_path)
    assert not list(tmp_path.glob("*.safetensors"))
    assert not (tmp_path / "checkpoint.pt").exists()


def test_weights_from_before_a_run_came_to_nothing_are_kept(tmp_path: Path) -> None:
    good = trained(small(2), tmp_path).weights
    before = good.read_bytes()
    with pytest.raises(UsageError, match="is as it was before"):
        trained(replace(small(2), muon=1e9), tmp_path)
    assert good.read_bytes() == before
    assert read(good)[1].steps == 2


@pytest.mark.parametrize(("feature", "precision"), [("avx2", "32-true"), ("avx512_bf16", "bf16-mixed")])
def test_training_computes_in_bfloat16_where_the_cpu_does(
    feature: str, precision: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vidnoise.device.cpu_features", lambda: {feature})
    result = trained(small(1), tmp_path)
    assert read(result.weights)[1].hardware.endswith(precision)


def test_video_networks_train_from_stills(tmp_path: Path) -> None:
    media = Media([p for p in photographs() if min(p.shape[:2]) >= 288], [])
    recipe = replace(small(2, "temporal"), batch=2, size=64)
    result = trained(recipe, tmp_path, media)
    assert result.steps == 2
    assert result.weights.stat().st_size > 50_000


def runs(count: int = 8) -> Media:
    """One clip, of a picture that moves, and no still that is large enough to be set in motion."""
    picture = photographs()[0]
    return Media([], [[np.ascontiguousarray(picture[:96, 3 * i : 3 * i + 96]) for i in range(count)]])


def test_video_networks_train_from_clips_alone_and_are_measured_with_and_without_the_next_frame() -> None:
    task = make_task(replace(load_recipe("temporal-fast"), batch=2, size=64), runs(), runs(), CPU)
    batch = task.batch(source())
    assert batch["noisy"].shape == batch["target"].shape == (10, 3, 64, 64)
    steady = task.loss(task.model, batch)
    task.recipe = replace(task.recipe, steady=0.0)
    with torch.inference_mode():
        assert task.loss(task.model, batch) < steady
        figures, shown = task.validate(task.model.eval()), task.picture(task.model)
    assert set(figures) == {f"psnr{level}_ahead{n}" for level in (10, 30, 50) for n in (0, 1)} | {"score"}
    assert figures["psnr10_ahead0"] > figures["psnr30_ahead0"] > figures["psnr50_ahead0"] > 15
    noisy, clean = (shown[..., start : start + 96] for start in (0, 192))
    assert psnr(noisy, clean) == pytest.approx(14.5, abs=1)


def test_pairs_of_noisy_versions_show_the_same_with_other_noise() -> None:
    recipe = replace(load_recipe("pairs-noisy"), batch=4, size=48)
    batch = make_task(recipe, Media(photographs(), []), None, CPU).batch(source())
    sigma, apart = batch["sigma"].square().mean().sqrt(), batch["noisy"] - batch["target"]
    assert float(apart.square().mean().sqrt()) == pytest.approx(2**0.5 * float(sigma), rel=0.2)
    assert abs(float(apart.mean())) < 0.02


@pytest.mark.parametrize(
    "name",
    ["tiny", "temporal-fast", "deblur-balanced", "mprnet-deblur", "blur", "level", "change", "shrinkage"],
)
def test_without_data_to_validate_on_nothing_is_measured(name: str) -> None:
    task = make_task(replace(load_recipe(name), batch=2), Media(photographs(), runs().clips), None, CPU)
    assert task.validate(task.model) == {}
    assert task.picture(task.model) is None


def test_a_run_that_gets_no_better_stops_when_its_patience_is_over(tmp_path: Path) -> None:
    said: list[str] = []
    result = trained(replace(small(50), patience=2), tmp_path, report=said.append, every=0)
    assert result.steps == 2
    assert "stopped after 2 steps: no better for 2 validations" in said


@pytest.mark.parametrize("name", ["level", "change"])
def test_a_network_that_hears_noise_learns(name: str, tmp_path: Path) -> None:
    pictures = [np.ascontiguousarray(p[:400, :400]) for p in photographs() if min(p.shape[:2]) >= 300]
    media = Media(pictures, runs().clips if name == "change" else [])
    # The last half sees again what the first has seen.
    recipe = replace(load_recipe(name), minutes=0, steps=40, batch=8, size=96, warmup=5, ema=0.9, again=20)
    result = trained(recipe, tmp_path, media, valid=media)
    network, card = read(result.weights)
    assert (card.kind, card.tier) == (name, "")
    task = make_task(recipe, media, None, CPU)
    batches = [task.batch(source(seed)) for seed in range(8)]
    assert network(batches[0]["features"]).shape == batches[0]["target"].shape
    with torch.inference_mode():
        before, after = (sum(float(task.loss(n, b)) for b in batches) for n in (build(name, ""), network))
    assert after < 0.85 * before


def test_a_network_that_shrinks_noise_learns_from_clips(tmp_path: Path) -> None:
    recipe = replace(
        load_recipe("shrinkage"),
        minutes=0,
        steps=150,
        batch=2,
        size=64,
        frames=3,
        warmup=10,
        ema=0.9,
        again=8,
    )
    result = trained(recipe, tmp_path, runs(), valid=runs())
    network, _ = read(result.weights)
    task = make_task(recipe, runs(), runs(), CPU)
    with torch.inference_mode():
        before, after = (task.validate(n)["score"] for n in (build("shrinkage", ""), network))
        shown = task.picture(network)
    assert after > before + 0.1
    averaged, done, wanted = torch.chunk(shown, 3, dim=2)
    assert psnr(done, wanted) > psnr(averaged, wanted) + 2


def test_samples_come_again_after_as_many_steps_as_the_recipe_says_and_are_made_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeds: list[int] = []
    seen: list[float] = []
    batch, loss = SpatialTask.batch, SpatialTask.loss
    monkeypatch.setattr(
        SpatialTask, "batch", lambda task, g: (seeds.append(g.initial_seed()), batch(task, g))[1]
    )
    monkeypatch.setattr(
        SpatialTask, "loss", lambda task, m, b: (seen.append(float(b["noisy"].sum())), loss(task, m, b))[1]
    )
    trained(replace(small(6), again=3), tmp_path)
    assert seen[:3] == seen[3:6]
    assert len(set(seen)) == len(set(seeds)) == len(seeds) == 3
