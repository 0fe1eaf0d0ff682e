"""Motion blur as it is made for training and measuring, and the filter that undoes a known one."""

import cv2
import numpy as np
import pytest
import torch
from streams import CPU, process

from vidnoise.errors import FilterError, UsageError
from vidnoise.filters import Wiener
from vidnoise.frame import Frame
from vidnoise.train.blur import Exposures, Scene, expose, kernel, linear_kernel, moments, move, shake


def photograph() -> np.ndarray:
    from skimage import data

    return (data.astronaut() / 255).astype(np.float32)


def blurred(picture: np.ndarray, spread: np.ndarray, gamma: float = 2.2) -> np.ndarray:
    """A picture blurred in linear light by a kernel, as convolution has it."""
    light = cv2.filter2D(picture**gamma, -1, spread[::-1, ::-1].copy(), borderType=cv2.BORDER_REFLECT_101)
    return light.clip(0, 1) ** (1 / gamma)


def deconvolved(filter: Wiener, picture: np.ndarray) -> np.ndarray:
    image = torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))
    (done,) = process(filter, [Frame(image=image, pts=0)])
    return done.image.permute(1, 2, 0).numpy()


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(-10 * np.log10(((a.clip(0, 1) - b) ** 2).mean()))


@pytest.mark.parametrize(("length", "angle", "shape"), [(9, 0, (1, 9)), (9, 90, (9, 1)), (8, 45, (7, 7))])
def test_a_steady_motion_spreads_a_point_along_its_way(length, angle, shape):
    spread = linear_kernel(length, angle)
    assert spread.sum() == pytest.approx(1)
    rows, columns = (np.flatnonzero(spread.sum(axis) > 0.02) for axis in (1, 0))
    assert abs(len(rows) - shape[0]) <= 1
    assert abs(len(columns) - shape[1]) <= 1
    if angle == 45:  # counter-clockwise from the right: up on the right
        half = len(spread) // 2
        assert spread[:half, half + 1 :].sum() > 0.35


def test_no_motion_leaves_a_point():
    assert linear_kernel(0, 30).max() == 1


def test_a_shake_is_as_long_as_it_is_asked_to_be():
    motion = shake(np.random.default_rng(3))
    path = motion.at(np.linspace(-0.5, 0.5, 200), 20 / motion.length(1))
    steps = np.linalg.norm(np.diff(path[:, :, 2], axis=0), axis=1)
    assert steps.sum() == pytest.approx(20, rel=0.03)
    assert np.allclose(motion.at(np.zeros(1))[0], [[1, 0, 0], [0, 1, 0]])


def test_blur_by_a_path_is_convolution_with_its_kernel():
    picture = photograph()
    time = np.linspace(-0.5, 0.5, 41)
    path = shake(np.random.default_rng(5), turn=0, zoom=0).at(time, 12)
    moved = expose([(picture, path)], 200, 200)
    folded = cv2.filter2D(picture, -1, kernel(path)[::-1, ::-1].copy())[156:356, 156:356]
    assert psnr(moved, folded) > 38  # the camera's positions are rounded to 1/32 of a pixel


def test_the_middle_of_an_exposure_is_the_sharp_frame():
    picture = photograph()
    still = move(picture, np.eye(2, 3, dtype=np.float32), *picture.shape[:2])
    assert np.abs(still - picture).max() < 1e-6


def test_scenes_repeat_and_their_blur_takes_light_away_from_nowhere():
    first, second = (
        Scene(photograph(), photograph()[::-1].copy(), 128, Exposures(), np.random.default_rng(8))
        for _ in range(2)
    )
    assert np.array_equal(first.blurred(0), second.blurred(0))
    assert first.length > 1
    still, motion = first.sharp(), first.blurred(0)
    assert motion.std() < still.std()
    assert np.abs(np.diff(motion, axis=1)).mean() < np.abs(np.diff(still, axis=1)).mean()


def test_a_longer_blur_is_sampled_more_often():
    assert len(moments(0, 1, 30)) > len(moments(0, 1, 5))
    assert moments(2, 0.5, 10).min() > 1.75
    assert moments(2, 0.5, 10).max() < 2.25


@pytest.mark.parametrize(("length", "angle"), [(8, 0), (12, 30), (16, -70)])
def test_a_known_motion_is_undone(length, angle):
    sharp = photograph()
    seen = blurred(sharp, linear_kernel(length, angle))
    done = deconvolved(Wiener(length=length, angle=angle), seen)
    assert psnr(done, sharp) > psnr(seen, sharp) + 3
    wrong = deconvolved(Wiener(length=length, angle=angle - 90), seen)
    assert psnr(wrong, sharp) < psnr(seen, sharp)


def test_borders_ring_no_more_than_the_rest():
    sharp = photograph()
    seen = blurred(sharp, linear_kernel(12, 20))
    error = (deconvolved(Wiener(length=12, angle=20), seen).clip(0, 1) - sharp) ** 2
    edge = np.concatenate(
        [error[:24].ravel(), error[-24:].ravel(), error[:, :24].ravel(), error[:, -24:].ravel()]
    )
    assert edge.mean() < 2 * error[24:-24, 24:-24].mean()


def test_a_kernel_may_be_a_picture(tmp_path):
    spread = kernel(shake(np.random.default_rng(2), turn=0, zoom=0).at(np.linspace(-0.5, 0.5, 60), 14))
    path = tmp_path / "kernel.png"
    cv2.imwrite(str(path), np.rint(255 * spread / spread.max()))
    sharp = photograph()
    seen = blurred(sharp, spread)
    done = deconvolved(Wiener(kernel=str(path), noise=0.003), seen)
    assert psnr(done, sharp) > psnr(seen, sharp) + 3


@pytest.mark.parametrize(("height", "width"), [(1, 1), (5, 9), (4, 6), (6, 5), (3, 12)])
def test_a_kernel_of_any_sides_that_is_a_point_in_its_middle_moves_nothing(tmp_path, height, width):
    point = np.zeros((height, width), np.uint8)
    point[height // 2, width // 2] = 255
    cv2.imwrite(str(tmp_path / "point.png"), point)
    sharp = photograph()
    assert psnr(deconvolved(Wiener(kernel=str(tmp_path / "point.png"), noise=0.00001), sharp), sharp) > 60


def test_what_is_darker_than_black_is_taken_for_black():
    sharp = photograph()
    below, at = (deconvolved(Wiener(length=6), dark) for dark in (sharp - 0.1, (sharp - 0.1).clip(0)))
    assert np.array_equal(below, at)


def test_no_blur_and_no_noise_change_little():
    sharp = photograph()
    assert psnr(deconvolved(Wiener(length=0, noise=0.00001), sharp), sharp) > 60


def test_a_kernel_that_is_no_picture_is_refused(tmp_path):
    (tmp_path / "k.png").write_text("nothing")
    large = tmp_path / "large.png"
    cv2.imwrite(str(large), np.full((300, 10), 255, np.uint8))
    cv2.imwrite(str(tmp_path / "black.png"), np.zeros((9, 9), np.uint8))
    refused = [(name, "no picture of a blur") for name in ("k.png", "none.png", "black.png")]
    for name, found in (*refused, ("large.png", "10x300")):
        with pytest.raises(FilterError, match=found):
            process(Wiener(kernel=str(tmp_path / name)), [Frame(image=torch.zeros(3, 32, 32), pts=0)], CPU)


def test_options_are_held_to_their_ranges():
    with pytest.raises(UsageError, match="length"):
        Wiener(length=500)
