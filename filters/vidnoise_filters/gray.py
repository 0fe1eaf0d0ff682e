"""Pictures without colours, which networks for colour pictures would tint: old films, and cameras at night."""

from __future__ import annotations

from os.path import isfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

SAMPLED = 8
"""Pixels from one to the next that are looked at before all are."""


def is_gray(image: Tensor) -> bool:
    """Whether R, G and B of (3,H,W) are the same everywhere."""
    sample = image[:, ::SAMPLED, ::SAMPLED]
    return bool((sample == sample[:1]).all()) and bool((image[1:] == image[:1]).all())


def as_gray_as(image: Tensor, given: Tensor) -> Tensor:
    """A picture (3,H,W) without colours if what it was made of (3,H,W) has none: the mean of R, G and B."""
    return image.mean(0, keepdim=True).expand_as(image) if is_gray(given) else image


def read_gray(path: str) -> NDArray[np.uint8] | None:
    """The brightness (H,W) of a picture file; None where it is none."""
    import cv2

    # Of a file that is not there OpenCV would print a warning of its own.
    picture: NDArray[np.uint8] | None = cv2.imread(path, cv2.IMREAD_GRAYSCALE) if isfile(path) else None  # type: ignore[assignment]
    return picture
