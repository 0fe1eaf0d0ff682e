"""Noise estimation: how strong the noise of a picture or a stream is, per channel and brightness.

Blocks of 8x8 pixels are transformed by the DCT. Noise fills all frequencies, pictures mostly the low ones:
blocks with the least energy at low frequencies are taken to be flat, and the noise is read from their *high*
frequencies. Choosing by one band and measuring in another keeps the choice from biasing the measure
(Ponomarenko, Lukin, Zriakhov, Kaarna & Astola 2007; Colom & Buades, IPOL 2013). Groups of blocks of like
brightness give the noise as a function of brightness, which sensors and clipping both bend (Foi, Trimeche,
Katkovnik & Egiazarian 2008).

In a stream the difference of two frames is measured in the same way: where nothing moves, the picture's own texture,
which a single frame cannot always tell from noise, drops out. The frames are some way apart, since a codec copies the
noise of one into the next. Where things move, each frame is compared with the one before along the motion.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from statistics import median
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from vidnoise import dct, noise_spectrum
from vidnoise.errors import InputError, UsageError
from vidnoise.followed import followed
from vidnoise.frame import check_picture
from vidnoise.fusion import by_frequency
from vidnoise.patterns import EQUAL, filmed, irregular
from vidnoise.ramps import ramp
from vidnoise.strips import at_once

_BLOCK = 8
_BLOCKS_MEASURED = 4500  # about, whatever the size of the frame
_GROUPS = 8  # of equal count, by brightness
_KNOTS = 33
# Coefficients are kept in order of the sum of their two frequency indexes. Bands of it:
_LOW, _HIGH = slice(1, 28), slice(43, 64)
_QUIET = 0.3 / 255  # rounding to 8 bits alone makes this deviation: less is not told apart
_CONSTANT = EQUAL  # a block that deviates less was drawn or skipped by the codec, not filmed
_BAR = 0.7 / 255  # a letterbox bar deviates less
_SATURATED = 0.75  # a block with more saturated pixels than this says nothing
_DIM, _BRILLIANT = 0.06, 0.94  # where things moved: brightness between which noise is not cut off
_GROWTH = 9.0  # most of the variance, of white noise to noise of all frequencies, with the same curve
_NEAR, _FAR, _FAR_WEIGHT = 0.08, 0.3, 0.02  # reach of a group over brightness, and of all groups together
_FIRST = 4  # frames of a scene that are all measured
_PERIOD = 5  # from then on one in five: odd, so that doubled frames do not always meet it
_COPIED = 0.05  # share of blocks that did not change at all, from which on a codec is known to copy noise
# Deviation that one frame tells: from there on believed, and whole, where a codec copies or a frame before told it, too.
_HEARD = 3 / 255, 5 / 255
# Of its variance: frames that differ by less show texture. The second where that is believed.
_ALONE, _COMPARED = 0.7, 0.1
# Share of the power that frames do not differ by along the motion: up to the first by chance, or as a codec left out what
# is fine. And what then lasts of the noise at the most.
_LASTING, _LASTS = (0.5, 1.0), 0.6
_CHANGED = 3.5, 2.5  # times a frame's noise: its difference from one that has other noise is no measure of it
_APART = 2  # measured frames, from one to that which it is compared with
_MEMORY = 9  # measurements, so that an estimate rests on 45 frames, and later on 135
_SETTLED = 3  # with the memory full, measurements are this many times as far apart
_RANK = 0.6  # of those; above one half, so that doubled frames, where the noise stands still, do not decide
_OTHER = 2.0  # times the variance, or a half of it: the noise may have changed
_CUT = 1.5  # deviations from black and white, within which much of the noise is cut off
_SLIGHT = (1.5 / 255) ** 2  # variance, beside which differences do not count


@dataclass(frozen=True, eq=False)
class NoiseEstimate:
    """The noise of a picture or of a scene, in units of the image ([0,1]; multiply by 255 for 8-bit codes).

    Attributes:
        sigma: (3,) standard deviation per channel, over the whole frame (root mean square).
        levels: (K,) brightness knots, ascending from 0 to 1.
        curve: (3,K) standard deviation at each brightness, per channel. The brightness is that of the noisy
            picture's local mean in that channel, so where noise is clipped the curve falls towards the ends.
        spectrum: (3,64), the power of the noise in three opponent colours (`fusion.opponent`) by frequency of the cosine
            transform of 8x8 pixels, row by row, 1 for white noise that is independent in R, G and B.
        lasting: (), the share of its power that goes along with what moves, since a codec copied it: no average over time
            takes it away.
    """

    sigma: Tensor
    levels: Tensor
    curve: Tensor
    spectrum: Tensor
    lasting: Tensor

    @property
    def correlation(self) -> float:
        """0 for white noise, towards 1 for noise that neighbouring pixels share, as compression, demosaicing and resizing
        leave it.
        """
        return noise_spectrum.correlation(self.spectrum)

    def map(self, image: Tensor) -> Tensor:
        """Return the deviation at every pixel of `image` (3,H,W), as (3,H,W), on the image's device and type.

        The brightness is averaged over 8x8 pixels, so that the noise of the picture does not enter the map.
        """
        check_picture("noise is estimated on", image)
        height, width = image.shape[1:]
        margin = (0, -width % _BLOCK, 0, -height % _BLOCK)
        padded = F.pad(image[None], margin, mode="replicate") if any(margin) else image[None]
        brightness = F.avg_pool2d(padded, _BLOCK)[0].float()
        coarse = _at(brightness.flatten(1), self.curve.to(image.device)).reshape(brightness.shape)
        fine = F.interpolate(coarse.to(image.dtype)[None], padded.shape[2:], mode="bilinear")
        return fine[0, :, :height, :width].contiguous()

    def __str__(self) -> str:
        codes = (255 * self.sigma).tolist()
        red, green, blue = codes
        places = [_KNOTS // 8, _KNOTS // 2, -_KNOTS // 8]
        dark, middle, light = (255 * self.curve.mean(0)[places]).tolist()
        return (
            f"sigma {sum(codes) / 3:.1f} of 255 (red {red:.1f}, green {green:.1f}, blue {blue:.1f}; "
            f"dark {dark:.1f}, middle {middle:.1f}, light {light:.1f}), "
            f"spatial correlation {self.correlation:.2f}"
        )


def estimate(frames: Tensor | Iterable[Tensor]) -> NoiseEstimate:
    """Estimate the noise of one picture, or of consecutive frames of one scene.

    Args:
        frames: one image (3,H,W), RGB in [0,1] (values beyond are taken as unclipped noise), or several of
            them one after another, all of one size. With two or more, places where nothing moves are compared over time.

    Returns:
        The estimate, on the device of the frames. It is finite for any size from 1x1 on.

    Raises:
        InputError: there are none.
        UsageError: a frame is no tensor of shape (3,H,W) and of a floating type, or holds NaN or infinity.
    """
    if isinstance(frames, Tensor):
        sample = _sample(frames)
        return _assemble(_times(sample.irregular, _measure(sample)))
    tracker, result = NoiseTracker(period=1), None
    for frame in frames:
        result = tracker.update(frame, cut=False)
    if result is None:
        raise InputError("noise cannot be estimated from no frames: give at least one")
    return result


class NoiseTracker:
    """Estimates the noise of a stream while it runs, afresh for each scene.

    The first frames of a scene are all measured, then one in five, later one in fifteen; the result is a high median
    (quantile 0.6) over the latest 9 measurements, so that one odd frame does not change it. Where one is far from those
    before, the next comes sooner, and two in a row that are far less are believed at once.

    Args:
        period: frames from one measurement to the next until there are 9, from then on three times as many.
    """

    def __init__(self, period: int = _PERIOD) -> None:
        if period < 1:
            raise UsageError(f"the period between measurements is {period} frames: give 1 or more")
        self._period = period
        self._history: deque[_Measure] = deque(maxlen=_MEMORY)
        self.reset()

    def reset(self) -> None:
        """Forget everything: the next frame starts a scene."""
        self._count = 0
        self._samples: deque[_Sample] = deque(maxlen=_APART)
        self._estimate: NoiseEstimate | None = None
        self._history.clear()
        self._surprised = False
        self._images: deque[Tensor] = deque(maxlen=_APART)

    def update(self, image: Tensor, cut: bool) -> NoiseEstimate:
        """Take the next frame (3,H,W), RGB in [0,1], and return the scene's estimate so far.

        Args:
            image: the frame; it is read, and kept until the next but one.
            cut: whether this frame starts a new scene.

        Raises:
            UsageError: the frame is not of shape (3,H,W) and of a floating type.
        """
        check_picture("noise is estimated on", image)
        if cut:
            self.reset()
        number, self._count = self._count, self._count + 1
        settled = len(self._history) == _MEMORY and not self._surprised
        period = self._period * (_SETTLED if settled else 1)
        if self._estimate is None or number < _FIRST or number % period == 0:
            earlier = self._images[0] if self._images else None
            sample, along = at_once(image, lambda: _sample(image), lambda: _along_motion(image, earlier))
            self._estimate = self._add(sample, along, self._samples[0] if self._samples else None)
            self._samples.append(sample)
        self._images.append(image)
        return self._estimate

    def _add(
        self, sample: _Sample, along: tuple[Tensor, Tensor] | None, previous: _Sample | None
    ) -> NoiseEstimate:
        if previous is None or previous.coefficients.shape != sample.coefficients.shape:
            (still,) = at_once(sample.coefficients, lambda: _times(sample.irregular, _measure(sample)))
            self._history.append(still)
            return _assemble(still)
        if self._count == 2:
            self._history.clear()  # of the first frame, which had nothing to be compared with
        still, compared = at_once(
            sample.coefficients, lambda: _measure(sample, along), lambda: _compare(sample, previous)
        )
        found = _chosen(still, sample.irregular, *compared)
        differing = along and noise_spectrum.along_motion(*along, _sums(sample.coefficients.device))
        if differing:
            if _hidden(found, compared[0]):
                found, _ = _raised(found, differing.power, sample.irregular * differing.sure)
            found = found._replace(lasting=_lasting(found, differing.power), shape=differing.shape)
        self._history.append(found)
        self._follow(float(sample.brightness.median()))
        stacked = (torch.stack(values) for values in zip(*self._history, strict=True))
        return _assemble(_Measure(*(values.quantile(_RANK, dim=0) for values in stacked)))

    def _follow(self, brightness: float) -> None:
        """Look again soon where the noise seems to have changed; believe two measurements in a row that have far less.

        Texture that comes into view adds to a measurement, and nothing takes away from it but black and white, which cut
        noise off: `brightness`, of the middle block, tells of them.
        """
        if len(self._history) < _FIRST:
            return
        means = torch.stack([measure.variance.mean() for measure in self._history])
        *before, last, latest = (means + _SLIGHT).tolist()
        usual = median(before)
        self._surprised = not 1 / _OTHER < latest / usual < _OTHER
        whole = min(brightness, 1 - brightness) > _CUT * math.sqrt(usual)
        if whole and max(last, latest) < usual / _OTHER:
            self._history.extend(list(self._history)[-2:] * (len(before) // 2))


class _Sample(NamedTuple):
    """Blocks of one frame, or of the difference of two."""

    coefficients: Tensor  # (3,N,64) DCT
    brightness: Tensor  # (3,N) mean
    usable: Tensor  # (3,N) whether to measure there
    clipped: Tensor  # () whether values were clipped to [0,1]
    filmed: Tensor  # () 0 to 1, whether it can have noise at all
    irregular: Tensor  # () 0 to 1, whether what looks like noise can be some
    moving: bool  # whether it is a difference


class _Measure(NamedTuple):
    variance: Tensor  # (3,) over the frame
    curve: Tensor  # (3,K) variance over brightness
    spectrum: Tensor  # (3,3), by bands
    compared: Tensor  # () 1 where it was told from texture by a frame before, else 0
    lasting: Tensor  # () 0 to 1, share of the power that goes along with what moves
    shape: Tensor  # (3,64), how it lies within the bands, 1 in the mean


def _sample(image: Tensor) -> _Sample:
    """Cut blocks out of the image on a regular grid and transform them."""
    check_picture("noise is estimated on", image)
    height, width = image.shape[1:]
    if min(height, width) < _BLOCK:
        image = image.repeat(1, -(-_BLOCK // height), -(-_BLOCK // width))
        height, width = image.shape[1:]
    # An odd step, so that the grid does not fall on a codec's.
    step = math.isqrt((height - _BLOCK + 1) * (width - _BLOCK + 1) // _BLOCKS_MEASURED) | 1
    grid = image.unfold(1, _BLOCK, step).unfold(2, _BLOCK, step)
    rows, columns = grid.shape[1:3]
    pixels = grid.reshape(3, rows * columns, _BLOCK**2).float()
    coefficients = dct.multiplied(pixels.mT[:, :, None], dct.basis(pixels.device)[dct.ordered()])[:, :, 0].mT
    brightness = coefficients[..., 0] / _BLOCK
    if not brightness.isfinite().all():
        raise UsageError("noise is estimated on finite numbers; this image holds NaN or infinity")
    spread = _band_mean(coefficients.square(), slice(1, None))
    bars = _bars((spread < _BAR**2).all(0).reshape(rows, columns)).flatten()
    away = (pixels - 0.5).abs_()
    clipped = away.amax() <= 0.5
    saturated = away.ge_(0.5).mean(2) > _SATURATED
    usable = ~(_minority(spread < _CONSTANT**2) | saturated | bars)
    usable = usable | ~usable.any(1, keepdim=True)
    return _Sample(
        coefficients,
        brightness,
        usable,
        clipped,
        filmed(pixels[:, ~(spread < _CONSTANT**2).all(0)].reshape(3, -1, _BLOCK, _BLOCK)),
        irregular(image),
        moving=False,
    )


def _band_mean(power: Tensor, band: slice) -> Tensor:
    """The mean (3,N) over some coefficients of (3,N,64): as a product, several times as fast as a sum of a slice."""
    share = torch.zeros(power.shape[-1], device=power.device)
    share[band] = 1
    return power @ (share / share.sum())


def _minority(mask: Tensor) -> Tensor:
    """Keep each row of a mask (3,N) that holds for less than half of it, else clear the row."""
    return mask & (mask.float().mean(1, keepdim=True) < 0.5)


def _bars(flat: Tensor) -> Tensor:
    """Mark the outer rows and columns of a grid in which all blocks are flat: letterbox bars."""
    rows, columns = _outer(flat.all(1)), _outer(flat.all(0))
    return rows[:, None] | columns


def _outer(flat: Tensor) -> Tensor:
    run = flat.int()
    outer = (run.cumprod(0) + run.flip(0).cumprod(0).flip(0)) > 0
    return outer & ~flat.all()


def _difference(new: _Sample, old: _Sample) -> _Sample:
    """Compare two frames, scaled so that white noise keeps its variance."""
    coefficients = (new.coefficients - old.coefficients) * math.sqrt(0.5)
    # A block that did not change at all is a repeated frame's or was skipped by a codec: it tells nothing.
    still = coefficients.square().mean(2) < _CONSTANT**2
    return _Sample(
        coefficients,
        (new.brightness + old.brightness) / 2,
        new.usable & old.usable & ~still,
        new.clipped & old.clipped,
        new.filmed.minimum(old.filmed),
        new.irregular,
        moving=True,
    )


def _measure(sample: _Sample, along: tuple[Tensor, Tensor] | None = None) -> _Measure:
    """Measure the noise of flat blocks, group by group of brightness, and of what differs along the motion."""
    coefficients, usable = sample.coefficients, sample.usable
    curve, variance = _white(sample)
    weight = usable.float()
    mean = (variance * weight).sum(1) / weight.sum(1).clamp_min(1)
    order = _sums(coefficients.device)
    if sample.moving:
        total, spectrum = noise_spectrum.of_difference(coefficients, variance, order, mean)
        compared = True
    else:
        shown = usable.all(0)
        shown = shown | ~shown.any()
        change = (along[0] - along[1]) * math.sqrt(0.5) if along else None
        total, spectrum, compared = noise_spectrum.of_picture(coefficients, shown, order, mean, change)
    # Where there is hardly any white noise its curve says nothing of the other's.
    growth = (total / mean.clamp_min(1e-12)).clamp_max(_GROWTH)
    whole = curve * growth[:, None] + (total - mean * growth).clamp_min(0)[:, None]
    none, even = mean.new_zeros(()), torch.ones_like(coefficients[:, 0])
    found = _Measure(total, whole, spectrum, mean.new_tensor(float(compared)), none, even)
    return _times(sample.filmed, found)


def _white(sample: _Sample) -> tuple[Tensor, Tensor]:
    """The variance of what flat blocks have at high frequencies, over brightness (3,K) and in each block (3,N).

    Which blocks are flat depends on the noise, so both are found in turns.
    """
    power = sample.coefficients.square()
    low = _band_mean(power, _LOW)
    groups = _group(sample.brightness, sample.usable)
    size = groups.shape[2]
    index = groups.flatten(1)[..., None].expand(-1, -1, power[0, 0, _HIGH].numel())
    high = power[..., _HIGH].gather(1, index).reshape(*groups.shape, -1)
    joint_error = math.sqrt(2 / (3 * power[0, 0, _LOW].numel()))
    scale = torch.ones_like(low)
    for share, limit in ((0.1, 0.0), (0.01, 1 + 2 * joint_error), (0.01, 1 + 2 * joint_error)):
        # Texture is common to the channels, so they vote together; noise of any channel weighs the same.
        activity = _take((low / scale).mean(0).expand_as(low), groups)
        activity = activity.masked_fill(~_take(sample.usable, groups), math.inf)
        least = activity.kthvalue(min(size, max(8, int(share * size))), dim=2, keepdim=True).values
        chosen = (activity <= least.clamp_min(limit)) & activity.isfinite()
        curve = _fit(*_statistics(chosen, groups, sample.brightness, low, high), sample.clipped)
        variance = _at(sample.brightness, curve)
        scale = variance + _QUIET**2
    return curve, variance


def _group(brightness: Tensor, usable: Tensor) -> Tensor:
    """Sort blocks by brightness into groups of equal size: (3,groups,size) indexes."""
    count = brightness.shape[1]
    groups = max(1, min(_GROUPS, count // 64))
    order = brightness.masked_fill(~usable, math.inf).argsort(1)
    return order[:, : count - count % groups].reshape(3, groups, -1)


def _take(values: Tensor, groups: Tensor) -> Tensor:
    return values.gather(1, groups.flatten(1)).reshape(groups.shape)


def _statistics(
    chosen: Tensor, groups: Tensor, brightness: Tensor, low: Tensor, high: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return each group's brightness, variance and weight, (3,groups) each, from its chosen blocks.

    `brightness` and `low` (3,N) are in order of blocks, `chosen` (3,groups,size) and `high` (3,groups,size,F)
    in order of groups.
    """
    mask = chosen.float()
    count = mask.sum(2)
    some = count.clamp_min(1)
    # The median over frequencies: texture has its directions, noise has none.
    variance = (mask[..., None, :] @ high).squeeze(2).div(some[..., None]).median(2).values
    level = (_take(brightness, groups) * mask).sum(2) / some
    floor = variance + _QUIET**2
    # White noise is as strong at low frequencies as at high ones. What has more there is texture in part, and
    # texture only ever adds: trust the even and the quiet groups. The latter not too much, as a sensor's noise is several
    # times as strong in the dark.
    excess = ((_take(low, groups) * mask).sum(2) / some / floor).clamp_min(1)
    weight = count * excess**-3 / floor
    return level, variance, weight


def _fit(level: Tensor, variance: Tensor, weight: Tensor, clipped: Tensor) -> Tensor:
    """Fit the variance over brightness at the knots, (3,K), by local lines through the groups.

    Clipping narrows the noise near black and white; the fit is made to what it was before, and narrowed.
    """
    knots = torch.linspace(0, 1, _KNOTS, device=level.device)
    before = torch.where(clipped, variance * _widening(level, variance.sqrt()).square(), variance)
    weight = weight / weight.sum(1, keepdim=True).clamp_min(1e-30)
    distance = level[:, None] - knots[None, :, None]
    reach = torch.exp(-0.5 * (distance / _NEAR) ** 2) + _FAR_WEIGHT * torch.exp(-0.5 * (distance / _FAR) ** 2)
    weight = (reach + 1e-6) * weight[:, None]
    weight = weight / weight.sum(2, keepdim=True).clamp_min(1e-30)
    centre, value = (weight * distance).sum(2), (weight * before[:, None]).sum(2)
    aside = distance - centre[..., None]
    slope = (weight * aside * before[:, None]).sum(2) / ((weight * aside**2).sum(2) + 0.7 * _NEAR**2)
    after = (value - slope * centre).clamp(value / 2, value * 2)
    return torch.where(clipped, after * _narrowing(knots.expand_as(after), after.sqrt()).square(), after)


def _compare(new: _Sample, old: _Sample) -> tuple[_Measure, Tensor, Tensor, Tensor]:
    """The noise in the difference of two frames.

    Also whether enough of the picture changed to tell (3,), whether a codec copied some of it (), from 0 to 1, and how
    surely it is noise and nothing else, by colour and band (3,3), from 0 to 1.
    """
    difference = _difference(new, old)
    changed, known = difference.usable.sum(1), new.usable.sum(1)
    same = 1 - changed.sum() / (new.usable & old.usable).sum().clamp_min(1)
    measure = _measure(difference)
    expected = _at(difference.brightness, measure.curve)
    even = noise_spectrum.evenness(difference.coefficients, expected, _sums(expected.device))
    return measure, changed > known / 2, (same / _COPIED).clamp_max(1), new.irregular * even


def _times(share: Tensor, measure: _Measure) -> _Measure:
    return measure._replace(variance=measure.variance * share, curve=measure.curve * share)


def _chosen(
    still: _Measure, irregular: Tensor, moving: _Measure, informed: Tensor, copied: Tensor, pure: Tensor
) -> _Measure:
    """Take the measure over time where it is clearly less: what one frame took for noise is texture.

    Unless a codec may have copied the noise from frame to frame, and one frame has much of it: then what differs is more
    than noise, or less. Where it is more, that is noise as well if it is nothing else. `informed` (3,) says in which
    channels enough of the picture changed.
    """
    shown, still = still.variance, _times(irregular, still)
    heard = ramp(still.variance.mean().sqrt(), *_HEARD)
    sure = heard * still.compared * (1 - pure.mean(1).amax())
    less = informed & (moving.variance < (_ALONE + (_COMPARED - _ALONE) * sure) * shown)
    least = _Measure(*(torch.lerp(m, s, heard * copied) for m, s in zip(moving, still, strict=True)))
    found = still._replace(
        variance=torch.where(less, least.variance, still.variance),
        curve=torch.where(less[:, None], least.curve, still.curve),
        spectrum=torch.where(less.all(), least.spectrum, still.spectrum),
    )
    raised, growth = _raised(found, noise_spectrum.power(moving.variance, moving.spectrum), pure)
    same = ramp(growth, *_CHANGED)
    return _Measure(*(torch.lerp(f, r, same) for f, r in zip(found, raised, strict=True)))


def _hidden(found: _Measure, moving: _Measure) -> bool:
    """Whether frames differ by clearly more than the noise found: by motion or noise behind it; else there is no more."""
    own, most = (noise_spectrum.power(m.variance, m.spectrum) for m in (found, moving))
    return bool((most > noise_spectrum.MORE[0] * own).any())


def _raised(measure: _Measure, power: Tensor, where: Tensor) -> tuple[_Measure, Tensor]:
    """A measure with at least some power by colour and band (3,3), as far as `where` (3,3) says; how much that grew."""
    growth, spectrum = noise_spectrum.raised(measure.variance, measure.spectrum, power, where)
    return _times(growth, measure)._replace(spectrum=spectrum), growth


def _lasting(found: _Measure, power: Tensor) -> Tensor:
    """The share of the noise that lasts where frames differ along the motion by some power (3,3), as far as it is loud."""
    own = noise_spectrum.power(found.variance, found.spectrum)
    heard = ramp(found.variance.mean().sqrt(), *_HEARD)
    middle = power[:, 1].sum() / own[:, 1].sum().clamp(min=1e-12)
    return _LASTS * heard * ramp(1 - middle, *_LASTING)


def _along_motion(image: Tensor, earlier: Tensor | None) -> tuple[Tensor, Tensor] | None:
    """Blocks of a frame and of an earlier one that show the same thing, transformed (3,N,64), where noise is not cut off.

    None where there is nothing to compare.
    """
    if earlier is None or earlier.shape != image.shape or min(image.shape[1:]) < _BLOCK:
        return None
    pixels = followed(image.float(), earlier.float())
    brightness = (pixels[0] + pixels[1]).mean(2) / 2
    whole = ((brightness > _DIM) & (brightness < _BRILLIANT)).all(0)
    basis = dct.basis(image.device)[dct.ordered()]
    here, there = (side[:, whole] @ basis.T for side in pixels)
    return here, there


def _assemble(measure: _Measure) -> NoiseEstimate:
    levels = torch.linspace(0, 1, _KNOTS, device=measure.curve.device)
    spectrum = torch.empty_like(measure.shape)
    spectrum[:, dct.ordered().to(spectrum.device)] = measure.shape
    spectrum *= by_frequency(measure.spectrum)
    return NoiseEstimate(measure.variance.sqrt(), levels, measure.curve.sqrt(), spectrum, measure.lasting)


def _at(brightness: Tensor, curve: Tensor) -> Tensor:
    """Interpolate a curve (3,K) at brightness (3,N)."""
    place = brightness.clamp(0, 1) * (_KNOTS - 1)
    index = place.long().clamp_max(_KNOTS - 2)
    return curve.gather(1, index).lerp(curve.gather(1, index + 1), place - index)


def _widening(mean: Tensor, deviation: Tensor) -> Tensor:
    """Deviation before clipping to [0,1] over that after, given the mean and the deviation after."""
    _, after, ratio = _clipping(mean.device)
    deviation = deviation.clamp_min(1e-6)
    kept = _lookup(mean / deviation, ratio, after) * _lookup((1 - mean) / deviation, ratio, after)
    return 1 / kept.clamp_min(0.2)


def _narrowing(mean: Tensor, deviation: Tensor) -> Tensor:
    """Deviation after clipping to [0,1] over that before, given the mean after and the deviation before."""
    level, after, _ = _clipping(mean.device)
    deviation = deviation.clamp_min(1e-6)
    return _lookup(mean / deviation, level, after) * _lookup((1 - mean) / deviation, level, after)


def cut_off(deviation: Tensor, mean: Tensor) -> Tensor:
    """The deviation that noise has left where it is cut off at black and white, which no clean picture goes beyond.

    Args:
        deviation: of the whole noise, on the scale of the picture, up to 1.
        mean: of the noisy picture in some area, of the same shape.
    """
    least = deviation / math.sqrt(2 * math.pi)
    return deviation * _narrowing(mean.maximum(least).minimum(1 - least), deviation)


@lru_cache(maxsize=8)
def _clipping(device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Tabulate max(0, N(t,1)) over t: its mean, its deviation, and their ratio; all grow with t."""
    t = torch.linspace(-4, 6, 401, dtype=torch.float64)
    above, density = torch.special.ndtr(t), torch.exp(-t * t / 2) / math.sqrt(2 * math.pi)
    mean = t * above + density
    deviation = ((t * t + 1) * above + t * density - mean * mean).sqrt()
    return mean.float().to(device), deviation.float().to(device), (mean / deviation).float().to(device)


def _lookup(x: Tensor, xs: Tensor, ys: Tensor) -> Tensor:
    right = torch.searchsorted(xs, x.contiguous()).clamp(1, len(xs) - 1)
    share = ((x - xs[right - 1]) / (xs[right] - xs[right - 1])).clamp(0, 1)
    return ys[right - 1].lerp(ys[right], share)


@lru_cache(maxsize=8)
def _sums(device: torch.device) -> Tensor:
    """The sum of the two frequency indexes of each coefficient, (64,)."""
    return dct.sums(device)[dct.ordered().to(device)]
