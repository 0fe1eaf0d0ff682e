"""Undoing motion blur that is roughly known, by Wiener filters: of a path, or of all motions that may have been at once.

Where a steady motion (x, y) blurred a picture, the frequency (u, v) keeps a share of sinc(xu + yv). The linear filter
of least expected squared error, when the motion is only known by its chances, divides the mean of that share by the mean
of its square (N. Wiener, "Extrapolation, Interpolation, and Smoothing of Stationary Time Series", 1949), for a picture
whose spectrum falls with the square of the frequency. The less sure the motion, the less is changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache, partial
from typing import TYPE_CHECKING

from vidnoise.areas import HOP, REACH, blend, inside, split
from vidnoise.bent_motion import transfer
from vidnoise.gradients import fitted, slopes
from vidnoise.motion_blur import expected_length
from vidnoise.ramps import fade, ramp
from vidnoise.spectra import power_of
from vidnoise.strips import at_once

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from vidnoise.bent_motion import Paths

NOISES = (0.03, 0.25)
"""Power of the noise against the picture's, of a bold and of a cautious filter."""

FLOORS = ((0.016, 0.045), (0.03, 0.5))
"""The same where the path is known: at all frequencies, and growing with their square."""
DOUBTED, TRUSTED = 0.1, 0.25
"""How much better than no motion a path has to explain an area to count at all, and to count in full."""
SHORT, LONG = 6.0, 12.0
"""Pixels of straight motion: at the first a path is not told from another, at the second it counts in full."""
SURE = 0.98
"""Chance of no motion: where it is higher, nothing is undone."""
SPARSE = 0.0015, 0.005
"""Weight of the sum of all slopes, and power of the noise against the picture's, where the path is known."""
STEEP = 16.0, 128.0
"""By how much more the slopes that are kept count in each round of the search for them."""
TOGETHER, TABLED = 16, 32
"""Areas whose spectra are worked on at once: few enough for the caches; more where a large table is read for each."""


def deconvolve(gray: Tensor, chances: Tensor, noises: Sequence[float] = NOISES) -> Tensor:
    """Sharpen pictures by what may have blurred them.

    Args:
        gray: (B,H,W), brightness, [0,1], any size.
        chances: (B,rows,columns,M), of the motions of `nets.blur`, in the areas that `areas.split` gives.
        noises: power of the noise against the picture's, of one filter each.

    Returns:
        What to add to the pictures (B,N,H,W), by each filter.
    """
    places = _blurred(chances)
    likely = chances[places]
    shares, squares, falling = _table(gray.device)

    def guesses(_: Tensor, spectrum: Tensor, some: slice) -> Iterator[Tensor]:
        kept, power = likely[some] @ shares, likely[some] @ squares
        doubt = falling * (1 - likely[some, :1])
        for noise in noises:
            yield _change(spectrum, kept / power.add(doubt, alpha=noise))

    return _changes(gray, places, len(noises), guesses, TABLED)


def undo(gray: Tensor, chances: Tensor, found: Paths, steady: Tensor, *, best_alone: bool = False) -> Tensor:
    """Sharpen pictures by the paths that they moved along, and where those explain little, by what else may have been.

    Args:
        gray: (B,H,W), brightness, [0,1], any size.
        chances: (B,rows,columns,M), of the motions of `nets.blur`, in the areas that `areas.split` gives.
        found: what `bent_motion.find_paths` gives.
        steady: (B,1,H,W), what `deconvolve` adds with the first of the `NOISES`.
        best_alone: whether the first of the guesses is enough.

    Returns:
        What to add to the pictures (B,4,H,W): the best guess, held to few slopes; the same by a Wiener filter, as training
        shows it; by the path cautiously; and `steady`.
    """
    import torch

    places = _blurred(chances)
    likely, paths, better = chances[places], found.paths[places], found.better[places]
    trust = (1 - likely[:, 0]) * ramp(better, DOUBTED, TRUSTED) * ramp(expected_length(likely), SHORT, LONG)
    otherwise, falling = split(steady[:, 0]), _table(gray.device)[2]

    def guesses(seen: Tensor, spectrum: Tensor, some: slice) -> Iterator[Tensor]:
        blur, share = transfer(paths[some], 2 * REACH), trust[some, None]
        power, back = power_of(blur), blur.flatten(1).conj()
        doubts = (power.flatten(1) + floor + slope * falling for floor, slope in FLOORS)
        bold, careful = (back * doubt.reciprocal() for doubt in doubts)
        without = otherwise[_part(places, some)]
        linear = without.lerp(_change(spectrum, bold), share[..., None])
        yield without.lerp(_sparse(linear + seen, spectrum, blur, power) - seen, share[..., None])
        if not best_alone:
            yield linear
            yield _change(spectrum, 1 + share * (careful - 1))

    changes = _changes(gray, places, 1 if best_alone else 3, guesses)
    return changes if best_alone else torch.cat([changes, steady], 1)


def _sparse(sharp: Tensor, spectrum: Tensor, blur: Tensor, power: Tensor) -> Tensor:
    """The pictures (N,S,S) whose slopes have the least sum among those that look as seen once they are blurred.

    Found as by Wang, Yang, Yin, Zhang, "A New Alternating Minimization Algorithm for Total Variation Image Reconstruction",
    SIAM J. Imaging Sciences 2008.

    Args:
        sharp: where the search begins.
        spectrum: of what is seen (N,S,S//2+1).
        blur: what is left of each frequency, in the same order.
        power: of the blur, see `power_of`.
    """
    import torch.nn.functional as F

    weight, floor = SPARSE
    wanted, power = blur.conj() * spectrum, power + floor
    for steep in STEEP:
        right, down = (F.softshrink(slope, 1 / steep) for slope in slopes(sharp))
        sharp = fitted(wanted, power, right, down, steep * weight)
    return sharp


def _change(spectrum: Tensor, gain: Tensor) -> Tensor:
    """What gains (N,F) of frequencies add to pictures (N,S,S) of a spectrum (N,S,S//2+1)."""
    import torch

    size = spectrum.shape[1], spectrum.shape[1]
    added: Tensor = torch.fft.irfft2(spectrum * (gain - 1).view(spectrum.shape), size)
    return added


def _blurred(chances: Tensor) -> tuple[Tensor, ...]:
    """Which of the areas (B,rows,columns) anything is undone in."""
    places: tuple[Tensor, ...] = (chances[..., 0] < SURE).nonzero(as_tuple=True)
    return places


def _part(places: tuple[Tensor, ...], some: slice) -> tuple[Tensor, ...]:
    return tuple(axis[some] for axis in places)


def _changes(
    gray: Tensor,
    places: tuple[Tensor, ...],
    kinds: int,
    guesses: Callable[[Tensor, Tensor, slice], Iterable[Tensor]],
    together: int = TOGETHER,
) -> Tensor:
    """What some kinds of guesses add to pictures (B,H,W): (B,kinds,H,W).

    Args:
        gray: the pictures.
        places: of the areas that anything is added to.
        kinds: how many `guesses` gives.
        guesses: what each kind adds to some of those areas (N,S,S), from what is seen there without its mean and fading at
            the border, the spectrum of that (N,S,S//2+1), and which they are.
        together: areas that are worked on at once.
    """
    import torch

    areas, edge = split(gray), fade(2 * REACH, REACH - HOP, gray.device)
    changes = [gray.new_zeros(*areas.shape[:3], 2 * HOP, 2 * HOP) for _ in range(kinds)]

    def work(some: slice) -> None:
        where = _part(places, some)
        seen = areas[where]
        seen = (seen - seen.mean((1, 2), keepdim=True)) * edge
        for change, added in zip(changes, guesses(seen, torch.fft.rfft2(seen), some), strict=True):
            change[where] = inside(added)

    parts = [slice(start, start + together) for start in range(0, len(places[0]), together)]
    at_once(gray, *(partial(work, some) for some in parts))
    return torch.stack([blend(change, *gray.shape[1:]) for change in changes], 1)


@cache
def _table(device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """What each motion leaves of each frequency (M,F), the square of it, and how natural pictures fall off (F,)."""
    import torch

    from vidnoise.nets.blur import frequencies, motions

    places = frequencies(device)
    shares = torch.sinc(motions(device) @ places)
    return shares, shares.square(), 16 * places.square().sum(0)
