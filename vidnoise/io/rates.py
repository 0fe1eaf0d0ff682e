"""Frames a second: what a stream says, and what is written."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vidnoise.frame import StreamInfo

HIGHEST = 1000
"""Frames a second; more than that is a clock's rate, not a video's."""

USUAL = Fraction(25)
"""Frames a second where nobody says."""


def mean_rate(stream: Any) -> Fraction | None:
    """Frames a second; of raw DV FFmpeg gives ticks a second for the mean."""
    mean: Fraction | None = stream.average_rate
    return mean if mean and mean <= HIGHEST else stream.guessed_rate


def ticks_per_frame(stream: Any, time_base: Fraction) -> int:
    """The usual distance of frames."""
    return max(1, round(1 / ((mean_rate(stream) or USUAL) * time_base)))


def written_rate(info: StreamInfo) -> Fraction:
    """The frame rate for the encoder and the header: a usual one where the measured one is as good as that."""
    rate = info.rate
    if rate is None or not 0 < rate <= HIGHEST:
        return USUAL
    whole = Fraction(round(rate))
    film = Fraction(round(rate * Fraction(1001, 1000)) * 1000, 1001)
    near = min((whole, film), key=lambda usual: abs(usual - rate))
    return near if abs(near - rate) < rate / 5000 else rate.limit_denominator(100_000) or Fraction(1)


def grid_rate(stream: Any, rate: Fraction) -> Fraction:
    """The rate whose frames all times of an uneven stream lie on, where FFmpeg found one, and that of a very high one.

    Of fields it counts both, so that twice the mean is none.
    """
    grid: Fraction = stream.base_rate or rate
    if HIGHEST < grid == stream.average_rate:
        return grid
    uneven = rate * Fraction(101, 100) < grid < 240 and abs(grid - 2 * rate) > rate / 100
    return grid if uneven else rate
