"""The spectrum of noise: how its power lies in the three opponent colours and in bands of frequencies.

Both functions start from what the high frequencies gave and say how much more there is at the others. Where that is
little, the noise is taken to be white.
"""

from __future__ import annotations

import math
from functools import cache
from statistics import NormalDist
from typing import NamedTuple

import torch
from torch import Tensor

from vidnoise import dct
from vidnoise.fusion import BANDS, band_of, mix, opponent
from vidnoise.ramps import ramp

# Noise of all frequencies over that of the high ones: from the first on in part, then whole.
_CLEAR, _SURE = 1.15, 1.4
_FAINT, _PLAIN = 0.4 / 255, 0.9 / 255  # noise of all frequencies: the same
_EVEN = 0.5  # deviation of the spectrum from white noise's 1: from there on in part, at twice as much whole
_FEWEST = 256  # blocks, for the network to say anything
_EVERY = 3  # a third of the blocks is described
_FLAT = 0.1  # share of the blocks that are taken for flat
# Sums of two frequency indexes: flat in those up to the first, measured from the second on.
_COARSE, _FINE = 6, 8
_STILL = 0.2  # share of the blocks of a difference in which nothing moved, at least
_FREER = 1.15  # times the degrees of freedom of the blocks that differ least: what moves there takes some
_SAME, _DIFFERENT = 1.25, 1.5  # times the power of blocks with less: up to 1.2 in noise, from 1.9 in motion
MORE = 1.1, 1.3  # times the power: up to the first by chance
_TINY = 1e-9  # power beside which there is none
# Deviation of the highest band of brightness over that of the lowest: below the first its noise is not white, from the
# second on it is. And of what the network hears over what is measured there: up to the first it is overheard, from the
# second on a codec emptied the flat blocks.
_COLOURED, _WHITE = 0.8, 0.85
_OVERHEARD, _EMPTIED = 1.5, 2.0
_PLAINEST, _ENOUGH = 0.25, 64  # share of the blocks along a motion that are compared, and how many are needed
# There, times the power of blocks with less, and in what both frames show, times the power of their difference: up to
# the first it is noise, from the second on texture whose motion was not quite found.
_EVENLY, _UNEVENLY = 1.5, 1.8
_BARE, _TEXTURED = 3.5, 5.0
_GRAY = 3.0  # power of the brightness where the three channels have the same noise
_ALIKE = 1e-4  # difference of channels that rounding may leave
_RANGE = 0.05, 8.0  # of a band's power over that of white noise
_SHAPES = 0.3, 8.0  # of a frequency's power over that of its band
# Logarithm of the fine power in one direction over that in the other: from the first on noise is drawn out along lines.
_DIRECTED = math.log(1.6), math.log(2.2)
_NOTHING = (0.1 / 255) ** 2  # power beside which frames hardly differ


def of_white(gray: bool, device: torch.device) -> Tensor:
    """The spectrum (3,3) of white noise: even, or in a gray picture all of it in the brightness."""
    values = [_GRAY, _RANGE[0], _RANGE[0]] if gray else [1.0, 1.0, 1.0]
    return torch.tensor(values, device=device)[:, None].expand(3, 3)


def of_picture(
    coefficients: Tensor, shown: Tensor, order: Tensor, white: Tensor, change: Tensor | None
) -> tuple[Tensor, Tensor, bool]:
    """The noise of a picture of all frequencies, as a trained network hears it.

    Args:
        coefficients: (3,N,64), orthonormal DCT of blocks of R, G and B.
        shown: (N,) bool, the blocks that tell something.
        order: (64,), the sum of the two frequency indexes of each.
        white: (3,), the variance that the high frequencies have.
        change: (3,N,64), the same of how the picture differs from one before, see `nets.level.describe_change`.

    Returns:
        The variance (3,), the spectrum (3,3) as `fusion.coloured` takes it, and whether `change` told of them.
    """
    from vidnoise.nets import load
    from vidnoise.nets.level import describe, describe_change, deviations

    index = shown.nonzero()[:, 0]
    told = coefficients[:, index[:: _EVERY if len(index) > 3 * _FEWEST else 1]]
    # The network knows pictures of a colour camera alone.
    gray = bool(((told - told[:1]).abs() < _ALIKE).all())
    if gray or len(index) < _FEWEST:
        return white, of_white(gray, white.device), False
    matrix = opponent(coefficients.device)
    blocks = mix(told, matrix)
    with torch.inference_mode():
        told = describe(blocks, order)
        changed = None if change is None else describe_change(mix(change, matrix), order)
        if changed is None:
            network = load("level", coefficients.device, torch.float32)
            power = deviations(network(told[None]))[0].square()
            power = _matched(power, _split(blocks, order) * 3 * white.mean())
        else:
            network = load("change", coefficients.device, torch.float32)
            power = deviations(network(torch.cat([told, changed])[None]))[0].square()
    return *_joined(power, white, matrix), changed is not None


def _split(blocks: Tensor, order: Tensor) -> Tensor:
    """The shares (3,) of the colours in the high frequencies of the flat ones of blocks (3,N,64) in opponent colours."""
    power = blocks.square()
    low = (power @ ((order >= 1) & (order <= _COARSE)).float()).sum(0)
    flat = low <= low.kthvalue(max(int(_FLAT * len(low)), 1)).values
    high = (power[:, flat] @ (order >= _FINE).float()).mean(1)
    return high / high.sum().clamp(min=1e-12)


def _matched(power: Tensor, measured: Tensor) -> Tensor:
    """Power by colour and band (3,3), held against what was measured in the highest band (3,).

    It is at least that there. In lower bands it grows as much, up to that: a codec leaves more of those, sharpening less.
    White noise of the brightness is all of that power, so that it is no more either.
    """
    growth = (measured / power[:, -1].clamp(min=1e-12)).clamp(min=1)[:, None]
    filled = torch.minimum(power * growth, power.maximum(measured[:, None]))
    coarse, fine, there = (
        value.clamp(min=1e-12).sqrt() for value in (power[0, 0], filled[0, -1], measured[0])
    )
    excess = fine / there
    sure = ramp(fine / coarse, _COLOURED, _WHITE) * (1 - ramp(excess, _OVERHEARD, _EMPTIED))
    filled[0] /= torch.lerp(torch.ones_like(excess), excess, sure).square()
    return filled


def of_difference(
    coefficients: Tensor, expected: Tensor, order: Tensor, white: Tensor
) -> tuple[Tensor, Tensor]:
    """The variance and the spectrum for the difference of two frames, which where nothing moves is noise and nothing else.

    Args:
        coefficients, order, white: as for `of_picture`.
        expected: (3,N), the variance that white noise has there.
    """
    matrix = opponent(coefficients.device)
    bands = torch.stack([_quantile(*band, _STILL) for band in _bands(coefficients, expected, order)], 1)
    return _joined(bands * (matrix.square() @ white)[:, None], white, matrix)


def evenness(coefficients: Tensor, expected: Tensor, order: Tensor) -> Tensor:
    """How surely the difference of two frames is noise and nothing else, by colour and band (3,3), 0 to 1.

    Then all blocks have as much of it. Where things move, or a codec copied some blocks, they differ by far more; where a
    pattern moves, by less.

    Args: as for `of_difference`.
    """
    bands = _bands(coefficients, expected, order)
    least, most = (
        torch.stack([_quantile(*band, share) for band in bands], 1).clamp(min=1e-12)
        for share in (_STILL, 1 - _STILL)
    )
    return ramp((most / least).log().abs(), math.log(_DIFFERENT), math.log(_SAME))


class Along(NamedTuple):
    """What frames differ by along the motion.

    Attributes:
        power: (3,3), of each opponent colour and band.
        sure: (3,3), 0 to 1, how surely that is noise.
        shape: (3,64), how the power lies within each band, 1 in the mean.
    """

    power: Tensor
    sure: Tensor
    shape: Tensor


def along_motion(here: Tensor, there: Tensor, order: Tensor) -> Along | None:
    """The noise in what differs between blocks that show the same thing in two frames.

    The flattest are compared, as their sum tells: of noise, sum and difference know nothing of each other. Where all blocks
    differ alike, and in the sum is hardly more than in the difference, that is noise; a motion that is not quite right
    leaves of each texture another share, and a small one.

    Args:
        here, there: (3,N,64), the orthonormal DCT of the blocks in R, G and B.
        order: (64,), the sum of the two frequency indexes of each coefficient.

    Returns:
        None of too few blocks.
    """
    difference, both = (here - there) * math.sqrt(0.5), (here + there) * math.sqrt(0.5)
    count = int(_PLAINEST * here.shape[1])
    if count < _ENOUGH:
        return None
    activity = (both.square() @ ((order >= 1) & (order <= _COARSE)).float()).sum(0)
    plain = activity.topk(count, largest=False).indices
    one = torch.ones(3, count, device=here.device)
    differing, shown = (_bands(part[:, plain], one, order) for part in (difference, both))
    least, middle, most = (
        torch.stack([_quantile(*band, share) for band in differing], 1).clamp(min=1e-12)
        for share in (_STILL, 0.5, 1 - _STILL)
    )
    texture = torch.stack([_quantile(*band, 0.5) for band in shown], 1) / middle
    even = 1 - ramp(most / least, _EVENLY, _UNEVENLY)
    flat = 1 - ramp(texture, _BARE, _TEXTURED)
    # The lowest band has texture nearly everywhere, and few frequencies: it is as sure as the next.
    flat[:, 0] = 1
    sure = even * flat
    sure[:, 0] *= sure[:, 1]
    return Along(least, sure, _shape(difference[:, plain], order))


def _shape(noise: Tensor, order: Tensor) -> Tensor:
    """The power of noise (3,N,64) in R, G and B by opponent colour and frequency (3,64), over the mean in its band.

    Noise that is drawn out along lines, as a sensor's rows and tapes have it, has several times as much fine power in one
    direction as in the other. Of any other, 1 is told: texture whose motion was not quite found has a direction too, but
    less of one.
    """
    each = mix(noise, opponent(noise.device)).square().mean(1)
    inside = _inside(order)
    bands = each @ (inside / inside.sum(1, keepdim=True)).T
    shape = ((each + _NOTHING) / (bands @ inside + _NOTHING)).clamp(*_SHAPES)
    # A difference tells nothing of the mean of a block: it has as much as the larger of the two next to it.
    nearest = shape[:, 1:3]
    shape[:, 0] = nearest.amax(1) / nearest.mean(1)
    down, right = ((each + _NOTHING) @ _directions(noise.device)).unbind(1)
    return shape.pow(ramp((down / right).log().abs(), *_DIRECTED)[:, None])


@cache
def _directions(device: torch.device) -> Tensor:
    """(64,2): 1 where a frequency of the highest band is more one down than to the right, and the other way round."""
    order = dct.ordered()
    more = order // dct.BLOCK - order % dct.BLOCK
    fine = dct.sums(order.device)[order] >= BANDS[-1][0]
    return torch.stack([fine & (more > 0), fine & (more < 0)], 1).float().to(device)


def power(variance: Tensor, spectrum: Tensor) -> Tensor:
    """The power of noise in each opponent colour and band (3,3), from its variance (3,) and spectrum (3,3)."""
    return (opponent(variance.device).square() @ variance)[:, None] * spectrum


def raised(variance: Tensor, spectrum: Tensor, other: Tensor, where: Tensor) -> tuple[Tensor, Tensor]:
    """Noise that has in some colours and bands the power of another where that is clearly more.

    Args:
        variance: (3,).
        spectrum: (3,3), as `of_picture` gives it.
        other: (3,3), the power of the other noise.
        where: (3,3), 0 to 1.

    Returns:
        By how much the variance grows, (), and the spectrum then.
    """
    own, wanted = power(variance, spectrum) + _TINY, other + _TINY
    more = own.lerp(wanted, where * ramp(wanted / own, *MORE))
    growth = 1 + ((more - own) @ _shares(own.device)).sum() / variance.sum().clamp(min=_TINY)
    return growth, spectrum * more / own / growth


def correlation(spectrum: Tensor) -> float:
    """The correlation of brightness from a pixel to the next, 0 for white noise."""
    device = spectrum.device
    step = torch.cos(torch.arange(8, device=device) * (math.pi / 8))
    shift = ((step[:, None] + step) / 2).flatten()
    shift = shift - shift.mean()
    return float(((spectrum[0] * shift).sum() / spectrum[0].sum()).clamp(0, 1))


def _joined(power: Tensor, white: Tensor, matrix: Tensor) -> tuple[Tensor, Tensor]:
    whole = (power @ _shares(power.device)).mean()  # of the three colours, whichever three they are
    ratio = (whole / white.mean().clamp(min=1e-12)).sqrt()
    more = ((ratio - _CLEAR) / (_SURE - _CLEAR)).clamp(0, 1)
    own = power / (matrix.square() @ white * ratio.square()).clamp(min=1e-12)[:, None]
    uneven = (((own - 1).square() @ _shares(power.device)).mean().sqrt() - _EVEN).clamp(0, _EVEN) / _EVEN
    certain = more.maximum(uneven) * ((whole.sqrt() - _FAINT) / (_PLAIN - _FAINT)).clamp(0, 1)
    variance = white + certain * (whole - white.mean()).clamp(min=0)
    spectrum = power / (matrix.square() @ variance).clamp(min=1e-12)[:, None]
    return variance, torch.lerp(torch.ones_like(spectrum), spectrum.clamp(*_RANGE), certain)


def _bands(coefficients: Tensor, expected: Tensor, order: Tensor) -> list[tuple[Tensor, Tensor]]:
    """The power of blocks in each band (3,N), relative to what is expected, and its degrees of freedom (3,).

    These are as many as the frequencies where all have as much, and fewer where some have most of it (Satterthwaite,
    Biometrics Bulletin 1946), as noise has that is coarse or drawn out along lines.
    """
    matrix = opponent(coefficients.device)
    inside = _inside(order).T
    each = mix(coefficients, matrix).square_()
    power = each @ inside / mix(expected[..., None], matrix.square()).clamp(min=1e-12)
    whole = power.sum((0, 2))
    plain = each[:, whole <= _lowest(whole[None], _STILL)].mean(1)
    freedom = _FREER * (plain @ inside).square() / (plain.square() @ inside).clamp(min=1e-30)
    count = inside.sum(0)
    return list(zip((power / count).unbind(2), freedom.clamp(min=1).minimum(count).unbind(1), strict=True))


def _quantile(power: Tensor, freedom: Tensor, share: float) -> Tensor:
    """The mean power of noise (3,) of so many degrees of freedom (3,), from the block (3,N) that this share lies below."""
    # Of a chi-squared distribution (Wilson and Hilferty, PNAS 1931).
    spread = 2 / (9 * freedom)
    return _lowest(power, share) / (1 - spread + NormalDist().inv_cdf(share) * spread.sqrt()) ** 3


def _lowest(power: Tensor, share: float) -> Tensor:
    """The power (C,N) that this share of the blocks lies below, (C,)."""
    place = share * (power.shape[1] - 1)
    below = power.kthvalue(int(place) + 1, dim=1).values  # half the time of a quantile, which sorts
    above = power.kthvalue(math.ceil(place) + 1, dim=1).values
    return below.lerp(above, place % 1)


def _inside(order: Tensor) -> Tensor:
    """(3,64): 1 where a frequency belongs to a band, but for the mean of a block."""
    return torch.stack([(order >= max(low, 1)) & (order <= high) for low, high in BANDS]).float()


@cache
def _shares(device: torch.device) -> Tensor:
    return band_of(device).mean(1)
