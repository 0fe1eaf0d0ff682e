"""Point spread functions of motion: how a moving camera shows a point of light."""

import math

import numpy as np
from numpy.typing import NDArray


def kernel(path: NDArray[np.float32]) -> NDArray[np.float32]:
    """The point spread function (K,K), K odd, sum 1, of the shifts of a path of affine maps (N,2,3), see `train.blur`."""
    shifts = path[:, :, 2]
    reach = math.ceil(float(np.abs(shifts).max())) + 1
    spread = np.zeros((2 * reach + 1, 2 * reach + 1), np.float32)
    # Content seen at +shift appears moved by -shift; each moment is shared by the four pixels around it.
    x, y = reach - shifts[:, 0], reach - shifts[:, 1]
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    for dx in (0, 1):
        for dy in (0, 1):
            share = np.abs(1 - dx - (x - left)) * np.abs(1 - dy - (y - top))
            np.add.at(spread, (top + dy, left + dx), share)
    return np.asarray(spread / spread.sum(), np.float32)


def linear_kernel(length: float, angle: float) -> NDArray[np.float32]:
    """The point spread function of a steady motion: `length` pixels, `angle` degrees, counter-clockwise from the right."""
    turned = math.radians(angle)
    time = np.linspace(-0.5, 0.5, max(int(length * 8), 1) + 1) if length else np.zeros(1)
    path = np.zeros((len(time), 2, 3), np.float32)
    path[:, 0, 2] = time * length * math.cos(turned)
    path[:, 1, 2] = -time * length * math.sin(turned)
    return kernel(path)
