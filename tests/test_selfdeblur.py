"""Blind deblurring of one picture: the kernel that is found, the network that is fitted, and the command."""

import cv2
import numpy as np
import pytest
import torch
from skimage import data
from streams import unfocused

from vidnoise import selfdeblur
from vidnoise.blind_kernel import deconvolve, find_kernel, find_path
from vidnoise.errors import UsageError
from vidnoise.kernels import linear_kernel


def blurred(side: int, length: float = 9, angle: float = 30) -> tuple[torch.Tensor, torch.Tensor]:
    """A sharp picture (3,side,side) and what a steady motion and a little noise make of it."""
    picture = data.astronaut()[:, :, ::-1].astype(np.float32) / 255
    whole = cv2.filter2D(picture, -1, linear_kernel(length, angle))
    whole = whole + np.random.default_rng(1).normal(0, 1 / 255, whole.shape)
    place = slice(40, 40 + side), slice(150, 150 + side)
    return tuple(
        torch.from_numpy(np.ascontiguousarray(p[place].transpose(2, 0, 1))).float() for p in (picture, whole)
    )


def psnr(a: torch.Tensor, b: torch.Tensor) -> float:
    """Without the borders, whose surroundings nobody saw, and whatever the shift of a pixel: no kernel tells it."""
    inner = (..., slice(8, -8), slice(8, -8))
    shifts = [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1)]
    return max(float(-10 * (a.roll(s, (1, 2)) - b)[inner].square().mean().log10()) for s in shifts)


def test_the_kernel_that_is_found_has_the_length_and_direction_of_the_blur():
    _, seen = blurred(192)
    kernel = find_kernel(seen.mean(0), find_path(seen.mean(0)), 21)
    assert float(kernel.sum()) == pytest.approx(1, abs=1e-4)
    assert (kernel >= 0).all()
    places = torch.arange(21.0) - 10
    x, y = (kernel.sum(0) * places).sum(), (kernel.sum(1) * places).sum()
    assert max(abs(float(x)), abs(float(y))) < 0.6
    across, down, both = (
        float((kernel * product).sum())
        for product in (places**2 + 0 * places[:, None], places[:, None] ** 2, places * places[:, None])
    )
    assert np.degrees(0.5 * np.arctan2(-2 * both, across - down)) == pytest.approx(30, abs=8)
    assert np.sqrt(12 * (across + down)) == pytest.approx(9, rel=0.3)


def test_the_first_guess_gains_two_decibels():
    sharp, seen = blurred(192)
    restored = selfdeblur.restore(seen, 0, seconds=0)
    assert restored.losses == []
    assert psnr(restored.picture, sharp) > psnr(seen, sharp) + 2


def test_a_known_kernel_is_undone():
    sharp, seen = blurred(128)
    kernel = torch.from_numpy(linear_kernel(9, 30).copy())
    assert psnr(deconvolve(seen, kernel), sharp) > psnr(seen, sharp) + 4


def test_the_network_is_fitted_and_repeats():
    _, seen = blurred(64)
    heard = []
    first, second = (
        selfdeblur.restore(seen, 13, 1e6, steps=12, seed=3, tell=lambda *told: heard.append(told)) for _ in range(2)
    )  # fmt: skip
    assert np.mean(first.losses[-3:]) < 0.5 * first.losses[0]
    assert torch.equal(first.picture, second.picture)
    assert first.picture.shape == seen.shape
    assert float(first.kernel.sum()) == pytest.approx(1, abs=1e-4)
    assert heard[11][0] == pytest.approx(11 / 12)
    assert heard[11][1] == first.losses[-1]


def test_a_flat_picture_stays_flat():
    flat = torch.full((3, 48, 40), 0.5)
    assert torch.allclose(selfdeblur.restore(flat, 9, seconds=0).picture, flat, atol=1e-3)


@pytest.mark.parametrize(("shape", "side", "said"), [((30, 40), 31, "--size 13"), ((6, 6), 5, "16x16")])
def test_a_picture_too_small_for_the_kernel_is_refused(shape, side, said):
    with pytest.raises(UsageError, match=said):
        selfdeblur.restore(torch.zeros(3, *shape), side, seconds=0)


@pytest.mark.parametrize("across", [1, 15])
def test_where_no_motion_shows_the_picture_is_refused_unless_told_how_far_it_goes(across):
    sharp = torch.from_numpy(unfocused(data.astronaut()[:256, :256], across)).permute(2, 0, 1) / 255
    with pytest.raises(UsageError, match="no motion blur shows"):
        selfdeblur.restore(sharp, 0, seconds=0)
    assert selfdeblur.restore(sharp, 15, seconds=0).picture.shape == sharp.shape


@pytest.mark.parametrize("surrounded", [torch.inference_mode, lambda: torch.autocast("cpu", torch.bfloat16)])
def test_whatever_is_switched_on_around_it_gives_the_same(surrounded):
    _, seen = blurred(48)
    expected = selfdeblur.restore(seen, 9, 1e6, steps=2).picture
    with surrounded():
        picture = seen.double().requires_grad_(not torch.is_inference_mode_enabled())
        assert torch.equal(selfdeblur.restore(picture, 9, 1e6, steps=2).picture, expected)


@pytest.mark.parametrize(
    ("picture", "side", "said"),
    [
        (np.zeros((48, 48, 3)), 9, "this is ndarray"),
        (
            torch.zeros(48, 48, 3),
            9,
            r"a picture is a tensor of floats \(3,H,W\).*this is torch.float32 \(48, 48, 3\)",
        ),
        (torch.zeros(3, 48, 48, dtype=torch.uint8), 9, "this is torch.uint8"),
        (torch.full((3, 48, 48), torch.nan), 9, "a picture holds NaN or infinity"),
        (torch.zeros(3, 48, 48), 8, "side=8 is out of range; it takes at least 5 in steps of 2 pixels"),
        (torch.zeros(3, 48, 48), -3, "side=-3 is out of range"),
        (torch.zeros(3, 48, 48), 9.0, "it takes a whole number"),
    ],
)
def test_what_is_no_picture_or_no_side_is_told_with_what_one_is(picture, side, said):
    with pytest.raises(UsageError, match=said):
        selfdeblur.restore(picture, side, seconds=0)


def test_a_picture_too_large_is_refused():
    with pytest.raises(UsageError, match="2 million"):
        selfdeblur.restore(torch.zeros(3, 1500, 1500), 31, seconds=0)


# The command


def test_the_command_writes_a_sharper_picture(vidnoise, tmp_path):
    sharp, seen = blurred(160)
    cv2.imwrite(str(tmp_path / "in.png"), seen.permute(1, 2, 0).mul(255).round().clamp(0, 255).numpy())
    words = tmp_path / "in.png", "-o", tmp_path / "out.png", "--size", 16, "--minutes", 0, "--device", "cpu"
    vidnoise("selfdeblur", *words).done()
    restored = torch.from_numpy(cv2.imread(str(tmp_path / "out.png"))).permute(2, 0, 1) / 255
    assert psnr(restored, sharp) > psnr(seen, sharp) + 2
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.png", "out.png"]
    refused = vidnoise("selfdeblur", *words)
    assert "--overwrite" in refused.failed(2)
    assert (refused.out, len(refused.err.splitlines())) == ("", 1)
    vidnoise("selfdeblur", *words, "--overwrite", "--minutes", 0.002).done()
    fitted = torch.from_numpy(cv2.imread(str(tmp_path / "out.png"))).permute(2, 0, 1) / 255
    assert not torch.equal(fitted, restored)


def test_what_is_no_single_picture_is_refused(vidnoise, tmp_path):
    for i in range(2):
        cv2.imwrite(str(tmp_path / f"{i}.png"), np.zeros((64, 64, 3), np.uint8))
    (tmp_path / "text.png").write_text("not a picture")
    for source, said in (("%d.png", "one picture"), ("text.png", "text.png"), ("missing.png", "missing.png")):
        words = tmp_path / source, "-o", tmp_path / "out.png", "--device", "cpu"
        err = vidnoise("selfdeblur", *words).failed(1, 2)
        assert said in err
        assert "bug" not in err
        assert not (tmp_path / "out.png").exists()
    several = vidnoise("selfdeblur", tmp_path / "%d.png", "-o", tmp_path / "out%d.png", "--device", "cpu")
    assert "for video and sequences: vidnoise INPUT -o OUTPUT -f deblur" in several.failed(2)


def test_what_the_picture_file_cannot_hold_is_said(vidnoise, tmp_path):
    _, seen = blurred(64)
    colours = seen.permute(1, 2, 0).mul(65535).round().clamp(0, 65535).numpy().astype(np.uint16)
    cv2.imwrite(str(tmp_path / "in.png"), np.dstack([colours, np.full((64, 64), 40000, np.uint16)]))
    words = tmp_path / "in.png", "--size", 9, "--device", "cpu", "-o"
    answer = vidnoise("selfdeblur", *words, tmp_path / "out.jpg")
    assert answer.status == 0
    assert "warning: JPEG cannot hold transparency" in answer.err
    assert "8 of 16 bits" in answer.err
    for name in ("out.xyz", "out.gif", "out.mp4"):
        assert "give one of .png, .jpg" in vidnoise("selfdeblur", *words, name).failed(2)
