"""Which motion blur, the same everywhere, is in a single picture: a first guess and a sharp picture improve one another.

The guess is the steady motion that `motion_blur` reads from the spectrum, or where that is long the bent path of
`bent_motion`. Then kernel and picture are found in turns: a sharp picture has few strong edges and is flat between them, so
held to a small number of gradients that are not zero (Xu, Zheng & Jia, "Unnatural L0 Sparse Representation for Natural
Image Deblurring", CVPR 2013) it brings the kernel nearer with each round. The mean of guess and result is less often wrong
than either. With the kernel known, the picture is made once
more, held to sparse gradients (Krishnan & Fergus, "Fast Image Deconvolution using Hyper-Laplacian Priors", NIPS 2009).
All by Fourier transforms, in encoded values.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from vidnoise.bent_motion import find_paths
from vidnoise.gradients import fitted, slopes
from vidnoise.kernels import kernel
from vidnoise.motion_blur import blur_chances, likeliest
from vidnoise.ramps import rise
from vidnoise.spectra import power_of, transfer_of

LONG = 11.0
"""Pixels of straight motion, from which on its bend is believed."""
STRAIGHT, BENT = 1 / 3, 2 / 3
"""Share of a path in the kernel; the rest is what the rounds make of it."""
DOUBTFUL = 0.01
"""Least weight of the paths in parts of a picture, where they explain nothing."""
MOMENTS = 400
"""Of the exposure, of which a kernel is made."""
ROUNDS = 5
"""Of picture and kernel."""
EDGES, LEAST = 4e-3, 1e-4
"""Weight of the number of gradients that are not zero: in the first round, then 1/1.1 of the one before, to the least."""
STEEP = 1e5
"""Weight that ends a search for gradients; it doubles from twice that of their number."""
SMOOTH = 2.0
"""Weight of the kernel's squares."""
FAINT = 0.05
"""Kernel values below this share of the highest are none."""
SPECK = 0.1
"""Parts of the kernel that hang together but hold less light than this are none."""
NOISE = 1e-3
"""Weight of sparse gradients against squared differences in the final picture."""
POWER = 0.8
"""Of the gradients' distribution."""


def find_path(gray: Tensor) -> Tensor:
    """The path (4,) that blurred a picture (H,W), [0,1], see `bent_motion`: pixels; straight if it is too short to tell."""
    chances = blur_chances(gray[None])
    motion = likeliest(chances.mean((1, 2)))[0]
    straight = F.pad(motion, (0, 2))
    if motion.norm() < LONG:
        return straight
    found = find_paths(gray[None], chances)
    weight = ((1 - chances[..., 0]) * found.better.clamp(min=DOUBTFUL))[..., None]
    path: Tensor = (found.paths * weight).sum((0, 1, 2)) / weight.sum()
    return path


def extent(path: Tensor) -> float:
    """How far a path (4,) spreads the light of a point, pixels."""
    return float(path[:2].norm() + path[2:].norm() / 2)


def find_kernel(gray: Tensor, path: Tensor, side: int) -> Tensor:
    """The kernel of a blurred picture.

    Args:
        gray: (H,W), [0,1], H and W above twice `side`.
        path: what it is about, see `find_path`.
        side: of the kernel, pixels, odd: at least as long as the blur.

    Returns:
        (side,side), none negative, sum 1.
    """
    guess = _along(path, side)
    found = _refined(extend(gray, side), guess)
    return torch.lerp(found, guess, BENT if bool(path[2:].any()) else STRAIGHT)


def _along(path: Tensor, side: int) -> Tensor:
    """The kernel (side,side) of a path (4,), made smaller where it would not fit."""
    x, y, u, w = path.tolist()
    time = np.linspace(-0.5, 0.5, MOMENTS)
    places = np.stack([x * time + u * time**2, y * time + w * time**2], 1)
    places *= min(1, (side // 2 - 1) / max(float(np.abs(places).max()), 1e-6))
    maps = np.zeros((MOMENTS, 2, 3), np.float32)
    maps[:, :, 2] = -places  # what the camera passes on the way moves the other way in the picture
    spread = torch.from_numpy(kernel(maps)).to(path.device)
    return F.pad(spread, ((side - len(spread)) // 2,) * 4)


def deconvolve(picture: Tensor, kernel: Tensor, noise: float = NOISE) -> Tensor:
    """The sharp picture behind a blurred one.

    Args:
        picture: (C,H,W), [0,1].
        kernel: (K,K), K odd, sum 1; H and W above K.
        noise: weight of sparse gradients: more for noisier pictures.

    Returns:
        (C,H,W), [0,1].
    """
    margin = kernel.shape[-1]
    sharp = torch.stack([_sparse(extend(channel, margin), kernel, noise) for channel in picture])
    return sharp[:, margin:-margin, margin:-margin].clamp(0, 1)


def extend(gray: Tensor, margin: int) -> Tensor:
    """A picture (H,W) mirrored by `margin` at its borders, which fade until opposite ones meet."""
    wide = F.pad(gray[None, None], (margin,) * 4, mode="reflect")[0, 0]
    rows, columns = (rise(n, margin, gray.device) for n in wide.shape)
    height, width = wide.shape
    down, across = (
        torch.fft.fftfreq(height, device=gray.device),
        torch.fft.rfftfreq(width, device=gray.device),
    )
    soft = torch.exp(-0.5 * (down[:, None].square() + across.square()) * (2 * math.pi * margin / 3) ** 2)
    return torch.lerp(_filtered(wide, soft), wide, rows[:, None] * columns)


def _refined(seen: Tensor, kernel: Tensor) -> Tensor:
    weight = EDGES
    for _ in range(ROUNDS):
        kernel = _kernel(_few_edges(seen, kernel, weight), seen, kernel.shape[-1])
        weight = max(weight / 1.1, LEAST)
    return kernel


def _few_edges(seen: Tensor, kernel: Tensor, weight: float) -> Tensor:
    """The picture (H,W) of few gradients that looks as seen once it is blurred."""
    steepness, sharp = 2 * weight, seen
    known = _known(seen, kernel)
    while steepness < STEEP:
        right, down = slopes(sharp)
        strong = right.square() + down.square() >= weight / steepness
        sharp = fitted(*known, right * strong, down * strong, steepness)
        steepness *= 2
    return sharp


def _sparse(seen: Tensor, kernel: Tensor, noise: float) -> Tensor:
    """The picture (H,W) of sparse gradients that looks as seen once it is blurred."""
    sharp, steepness = seen, 1.0
    known = _known(seen, kernel)
    while steepness < 600:
        right, down = (_shrunk(slope, steepness) for slope in slopes(sharp))
        sharp = fitted(*known, right, down, steepness * noise)
        steepness *= 2
    return sharp


def _shrunk(slope: Tensor, steepness: float) -> Tensor:
    # One step of reweighted shrinkage towards the minimum of |v|^POWER + steepness/2 (v - slope)^2.
    size = slope.abs()
    return slope.sign() * (size - POWER / steepness * (size + 1e-6) ** (POWER - 1)).clamp(min=0)


def _known(seen: Tensor, kernel: Tensor) -> tuple[Tensor, Tensor]:
    """What is wanted of the frequencies of a sharp picture, and how strong they are seen; see `gradients.fitted`."""
    blur = transfer_of(kernel, *seen.shape)
    return blur.conj() * torch.fft.rfft2(seen), power_of(blur)


def _kernel(sharp: Tensor, seen: Tensor, side: int) -> Tensor:
    """The kernel (side,side) that makes the slopes of a sharp picture those that are seen."""
    pairs = [
        (torch.fft.rfft2(a), torch.fft.rfft2(b)) for a, b in zip(slopes(sharp), slopes(seen), strict=True)
    ]
    power = torch.stack([power_of(a) for a, _ in pairs]).sum(0)
    wanted = torch.stack([a.conj() * b for a, b in pairs]).sum(0)
    whole = torch.fft.irfft2(wanted / (power + SMOOTH), seen.shape).roll((side // 2, side // 2), (0, 1))
    found = whole[:side, :side].clamp(min=0)
    found = torch.where(found < FAINT * found.max(), 0, found)
    if found.max() <= 0:
        found[side // 2, side // 2] = 1  # nothing is seen that could tell
    return _centred(_whole(_normal(found)))


def _whole(kernel: Tensor) -> Tensor:
    """Without what hangs together with little else."""
    import cv2
    import numpy as np

    count, parts = cv2.connectedComponents((kernel > 0).cpu().numpy().astype(np.uint8), connectivity=8)
    labels = torch.from_numpy(parts).to(kernel.device)
    light = torch.stack([kernel[labels == part].sum() for part in range(count)])
    return _normal(torch.where(light[labels] < SPECK * light.max(), 0, kernel))


def _centred(kernel: Tensor) -> Tensor:
    places = torch.arange(len(kernel), device=kernel.device) - len(kernel) // 2
    shift = [-round(float((kernel.sum(1 - axis) * places).sum())) for axis in (0, 1)]
    return kernel.roll(shift, (0, 1))


def _normal(kernel: Tensor) -> Tensor:
    return kernel / kernel.sum()


def _filtered(picture: Tensor, gain: Tensor) -> Tensor:
    filtered: Tensor = torch.fft.irfft2(torch.fft.rfft2(picture) * gain, picture.shape)
    return filtered
