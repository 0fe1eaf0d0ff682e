"""Undoing motion blur that is roughly known, by Wiener filters: of a path, or of all motions that may have been at once.

Where a steady motion (x, y) blurred a picture, the frequency (u, v) keeps a share of sinc(xu + yv). The linear filter
of least expected squared error, when the motion is only known by its chances, divides the mean of that share by the mean
of its square (N. Wiener, "Extrapolation, Interpolation, and Smoothing of Stationary Time Series", 1949), for a picture
whose spectrum falls with the square of the frequency. The less sure the motion, the less is changed.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from vidnoise.areas import REACH, blend, split
from vidnoise.bent_motion import find_paths, transfer

if TYPE_CHECKING:
    import torch
    from torch import Tensor

NOISES = (0.03, 0.25)
"""Power of the noise against the picture's, of a bold and of a cautious filter."""

FLOORS = ((0.016, 0.045), (0.03, 0.5))
"""The same where the path is known: at all frequencies, and growing with their square."""
SURE = 0.98
"""Chance of no motion: where it is higher, nothing is undone."""


def deconvolve(gray: Tensor, chances: Tensor) -> Tensor:
    """Sharpen pictures by what may have blurred them.

    Args:
        gray: (B,H,W), brightness, [0,1], any size.
        chances: (B,rows,columns,M), of the motions of `nets.blur`, in the areas that `areas.split` gives.

    Returns:
        (B,2,H,W): what to add to the pictures, by each of the `NOISES`.
    """
    moved = chances.flatten(0, 2)[:, 0] < SURE
    likely = chances.flatten(0, 2)[moved]
    return _changes(gray, moved, [_wiener(likely, noise) for noise in NOISES])


def undo(gray: Tensor, chances: Tensor) -> Tensor:
    """Sharpen pictures by the paths that they moved along, and where those explain little, by what else may have been.

    Args:
        gray: (B,H,W), brightness, [0,1], any size.
        chances: (B,rows,columns,M), of the motions of `nets.blur`, in the areas that `areas.split` gives.

    Returns:
        (B,3,H,W): what to add to the pictures: the best guess, by the path cautiously, and as `deconvolve` does boldly.
    """
    moved = chances.flatten(0, 2)[:, 0] < SURE
    likely = chances.flatten(0, 2)[moved]
    paths, trust = (value.flatten(0, 2)[moved] for value in find_paths(gray, chances))
    blur = transfer(paths, 2 * REACH).flatten(1)
    power, falling = blur.abs().square(), _table(gray.device)[2]
    bold, cautious = (blur.conj() / (power + floor + slope * falling) for floor, slope in FLOORS)
    steady, share = _wiener(likely, NOISES[0]), trust * (1 - likely[:, :1])
    best = steady + share * (bold - steady)
    return _changes(gray, moved, [best, 1 + share * (cautious - 1), steady])


def _wiener(likely: Tensor, noise: float) -> Tensor:
    """The gains (N,F) of the linear filter of least error for chances (N,M), none of them all of no motion."""
    import torch

    shares, squares, falling = _table(likely.device)
    doubt = (1 - likely[:, :1]) * falling
    return (likely @ shares) / torch.add(likely @ squares, doubt, alpha=noise)


def _changes(gray: Tensor, moved: Tensor, gains: list[Tensor]) -> Tensor:
    """What gains (N,F) of the frequencies of areas, where they `moved` (B rows columns,), add to pictures: (B,G,H,W)."""
    import torch

    if not bool(moved.any()):
        return gray.new_zeros(len(gray), len(gains), *gray.shape[1:])
    areas = split(gray)
    flat = areas.flatten(0, 2)[moved]
    mean = flat.mean((1, 2), keepdim=True)
    spectrum = torch.fft.rfft2(flat - mean)
    found = []
    for gain in gains:
        change = gray.new_zeros(len(moved), *flat.shape[1:])
        change[moved] = torch.fft.irfft2(spectrum * (gain - 1).view(spectrum.shape), flat.shape[1:])
        found.append(blend(change.view(areas.shape), *gray.shape[1:]))
    return torch.stack(found, 1)


def transfer_of(kernel: Tensor, height: int, width: int) -> Tensor:
    """What a kernel (K,K) does to each frequency of a picture that repeats itself: complex, (height,width//2+1)."""
    import torch

    side = kernel.shape[-1]
    whole = kernel.new_zeros(height, width)
    whole[:side, :side] = kernel
    spectrum: Tensor = torch.fft.rfft2(whole.roll((-(side // 2), -(side // 2)), (0, 1)))
    return spectrum


def rise(count: int, margin: int, device: torch.device) -> Tensor:
    """From 0 at both ends to 1 within `margin`, (count,)."""
    import torch

    line = torch.arange(count, device=device)
    return (torch.minimum(line, count - 1 - line) / margin).clamp(0, 1)


@cache
def _table(device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """For each motion what it leaves of each frequency (M,F), the square of it, and how natural pictures fall off (F,)."""
    import torch

    from vidnoise.nets.blur import frequencies, motions

    places = frequencies(device)
    shares = torch.sinc(motions(device) @ places)
    return shares, shares.square(), 16 * places.square().sum(0)
