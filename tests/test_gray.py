"""Black-and-white video: what has no colours gets none."""

from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from clips import decoded
from numpy.typing import NDArray
from skimage import data

import vidnoise as vn
from vidnoise.io import OutputOptions
from vidnoise.kernels import linear_kernel


def saved(path: Path, brightness: NDArray[np.float64]) -> Path:
    """One picture (H,W), 0..255, as a file whose colours are all neutral."""
    picture = brightness.round().clip(16, 235).astype(np.uint8)
    neutral = np.full((picture.shape[0] // 2, picture.shape[1]), 128, np.uint8)
    with av.open(str(path), "w") as file:
        stream = file.add_stream("ffv1", rate=25)
        stream.height, stream.width = picture.shape
        stream.pix_fmt = "yuv420p"
        for _ in range(3):
            frame = av.VideoFrame.from_ndarray(np.concatenate([picture, neutral]), format="yuv420p")
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


def colours(path: Path) -> NDArray[np.uint8]:
    """All values of the colours in a file."""
    return np.concatenate([frame.to_ndarray()[frame.height :].ravel() for frame in decoded(path)])


def changed(path: Path, other: Path) -> bool:
    return any(
        (a.to_ndarray() != b.to_ndarray()).any() for a, b in zip(decoded(path), decoded(other), strict=True)
    )


@pytest.mark.parametrize(
    "chain", ["denoise", "denoise:quality=fast", "masked", "cbdnet", "dcae", "wavelet", "nlmeans"]
)
def test_noise_is_removed_from_black_and_white_video_without_tinting_it(chain: str, tmp_path: Path) -> None:
    film = data.camera()[128:320, 128:384].astype(float)
    noisy = saved(tmp_path / "noisy.mkv", film + 12 * np.random.default_rng(1).standard_normal(film.shape))
    vn.run(noisy, chain, tmp_path / "clean.mkv", output=OutputOptions(codec="ffv1"))
    assert changed(noisy, tmp_path / "clean.mkv")
    assert (colours(tmp_path / "clean.mkv") == 128).all()


def test_blur_is_removed_from_black_and_white_video_without_tinting_it(tmp_path: Path) -> None:
    film = cv2.filter2D(data.camera().astype(float), -1, linear_kernel(15, 20))
    blurred = saved(tmp_path / "blurred.mkv", film)
    vn.run(blurred, "deblur", tmp_path / "sharp.mkv", output=OutputOptions(codec="ffv1"))
    assert changed(blurred, tmp_path / "sharp.mkv")
    assert (colours(tmp_path / "sharp.mkv") == 128).all()
