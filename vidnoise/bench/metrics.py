"""How near a cleaned clip is to the clean one, and how steady it is over time.

Pictures are (H,W,3) arrays, uint8 or float in 0..255; all figures are in these units unless said.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    Picture = NDArray[Any]
    Mask = NDArray[np.bool_]

PEAK = 255.0
WINDOW = 11
"""Side of the Gaussian window of the structural similarity, in pixels; its deviation is 1.5."""


def mse(a: Picture, b: Picture) -> float:
    """Mean squared difference over pixels and channels."""
    import cv2

    return float(cv2.norm(_float(a), _float(b), cv2.NORM_L2SQR)) / a.size


def psnr(error: float) -> float:
    """Peak signal-to-noise ratio in dB of a mean squared error; infinite where there is none."""
    return 10 * math.log10(PEAK**2 / error) if error > 0 else math.inf


def ssim(a: Picture, b: Picture) -> float:
    """Structural similarity, the mean over channels and over the pixels whose whole window lies in the picture.

    Wang, Bovik, Sheikh & Simoncelli, "Image quality assessment: from error visibility to structural similarity",
    IEEE TIP 2004: 11x11 Gaussian window of deviation 1.5, K1 = 0.01, K2 = 0.03.

    Raises:
        ValueError: the pictures are smaller than the window.
    """
    import cv2

    if min(a.shape[:2]) < WINDOW:
        raise ValueError(f"structural similarity needs pictures of {WINDOW}x{WINDOW} or more")
    kernel = cv2.getGaussianKernel(WINDOW, 1.5, cv2.CV_32F)
    edge = WINDOW // 2

    def mean(x: Picture) -> Picture:
        smooth: Picture = cv2.sepFilter2D(x, cv2.CV_32F, kernel, kernel)[edge:-edge, edge:-edge]
        return smooth

    # Around the mid level float32 keeps the variances exact enough: they are differences of large squares.
    x, y = _float(a) - PEAK / 2, _float(b) - PEAK / 2
    mx, my = mean(x), mean(y)
    vx, vy, vxy = mean(x * x) - mx * mx, mean(y * y) - my * my, mean(x * y) - mx * my
    mx, my = mx + PEAK / 2, my + PEAK / 2
    c1, c2 = (0.01 * PEAK) ** 2, (0.03 * PEAK) ** 2
    likeness = (2 * mx * my + c1) * (2 * vxy + c2) / ((mx * mx + my * my + c1) * (vx + vy + c2))
    return float(likeness.mean())


@dataclass(frozen=True)
class Motion:
    """What the clean clip says of one step in time, from frame t to t + 1.

    `flow` is (2,H,W) in pixels from t to t + 1, `seen` where it can be trusted, `still` where nothing moves or changes.
    """

    flow: Tensor
    seen: Mask
    still: Mask


STILL_CHANGE = 2.0
"""A pixel is still where the clean clip changes by no more than this within 5x5 pixels."""
STILL_SHARE = 0.01
"""Where a smaller share of a frame is still, its flicker is not measured."""


def motions(clean: Sequence[Picture]) -> list[Motion]:
    """The motion of a clean clip, one entry for each step; flow by `vidnoise.flow`."""
    from vidnoise.flow import SharedFlow
    from vidnoise.frame import Frame

    shared = SharedFlow()
    frames = [Frame(pts=i, image=tensor(picture)) for i, picture in enumerate(clean)]
    found = []
    for i in range(len(clean) - 1):
        a, b = frames[i], frames[i + 1]
        forward = shared.between(a, b)
        hidden = shared.occluded(a, b)[0].numpy() | _motion_edges(forward)
        found.append(Motion(forward, ~hidden, _still(clean[i], clean[i + 1])))
    return found


def tensor(picture: Picture) -> Tensor:
    """(H,W,3) in 0..255 as a float tensor (3,H,W) in 0..1."""
    import numpy as np
    import torch

    planes = np.ascontiguousarray(picture.transpose(2, 0, 1), dtype=np.float32)
    return torch.from_numpy(planes / np.float32(PEAK))


def warping_error(now: Picture, after: Picture, motion: Motion) -> float:
    """Mean squared difference between a frame and the next one warped to it, where both show the same, in 0..1 squared.

    Lai, Huang, Wang, Shechtman, Yumer & Yang, "Learning blind video temporal consistency", ECCV 2018; occlusions and
    motion boundaries are left out after Ruder, Dosovitskiy & Brox, GCPR 2016.
    """
    import torch

    from vidnoise.flow import warp

    gap = (tensor(now) - warp(tensor(after), motion.flow)).square().mean(0)
    seen = torch.from_numpy(motion.seen)
    return float(gap[seen].mean()) if bool(seen.any()) else math.nan


def flicker(now: Picture, after: Picture, clean_now: Picture, clean_after: Picture, still: Mask) -> float:
    """Root mean square of the change from frame to frame that the clean clip does not have, over still pixels.

    Not a number where too little of the frame is still.
    """
    if still.mean() < STILL_SHARE:
        return math.nan
    change = (_float(after) - _float(now)) - (_float(clean_after) - _float(clean_now))
    return math.sqrt(float((change[still] ** 2).mean()))


def judge(
    clean: Sequence[Picture], out: Sequence[Picture], steps: Sequence[Motion], skip: int
) -> dict[str, float]:
    """Means over the frames of a cleaned clip from frame `skip` on, and over the steps between them.

    Gives `psnr` (dB), `ssim`, `flicker` (of 255) and `warping` (the warping error in thousandths).
    """
    frames, pairs = range(skip, len(clean)), range(skip, len(clean) - 1)
    steady = [flicker(out[i], out[i + 1], clean[i], clean[i + 1], steps[i].still) for i in pairs]
    return {
        "psnr": mean([psnr(mse(clean[i], out[i])) for i in frames]),
        "ssim": mean([ssim(clean[i], out[i]) for i in frames]),
        "flicker": mean(steady),
        "warping": 1000 * mean([warping_error(out[i], out[i + 1], steps[i]) for i in pairs]),
    }


def mean(values: Sequence[float]) -> float:
    """The mean of the values that are numbers; not a number where there is none."""
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan


def _float(picture: Picture) -> Picture:
    import numpy as np

    return picture.astype(np.float32, copy=False)


def _still(now: Picture, after: Picture) -> Mask:
    import cv2
    import numpy as np

    change = np.abs(_float(after) - _float(now)).max(2)
    still: Mask = cv2.dilate(change, np.ones((5, 5), np.uint8)) <= STILL_CHANGE
    return still


def _motion_edges(flow: Tensor) -> Mask:
    """Where the flow changes abruptly: squared gradient over 0.01 |flow|^2 + 0.002 (Ruder et al.)."""
    import numpy as np

    u, v = flow.numpy()
    slope = sum((d * d for part in (u, v) for d in np.gradient(part)), np.zeros_like(u))
    edges: Mask = slope > 0.01 * (u * u + v * v) + 0.002
    return edges
