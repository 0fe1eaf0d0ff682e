"""Wiener deconvolution: takes away a blur that is known and the same everywhere."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar

from vidnoise.errors import FilterError
from vidnoise.filter import SpatialFilter, option
from vidnoise.ramps import rise
from vidnoise.spectra import power_of, transfer_of
from vidnoise_filters.gray import read_gray

if TYPE_CHECKING:
    from torch import Tensor

    from vidnoise.device import Device
    from vidnoise.filter import Stage
    from vidnoise.frame import StreamInfo

ROUNDS = 4
"""Of filling in what lies beyond the borders: 0.6 to 1 dB against none."""
LARGEST = 255
"""Side of a kernel, pixels."""


@dataclass(frozen=True)
class Wiener(SpatialFilter):
    """Undoes a blur that is known, in linear light: a steady motion, or any kernel given as a picture.

    The least squared error for a picture whose spectrum falls with the square of the frequency, as natural ones do, and
    white noise (N. Wiener, "Extrapolation, Interpolation, and Smoothing of Stationary Time Series", 1949). What lies
    beyond the borders is filled in by what the result would show there, so that they do not ring. For a fixed camera
    whose motion is known, or to compare with. (B,3,H,W) in and out, no memory of the past.
    """

    halo: ClassVar[int] = 128
    bytes_per_pixel: ClassVar[int] = 150

    length: float = option(
        10.0, low=0, high=100, unit="pixels", help="how far the picture moved: raise it for a longer blur"
    )
    angle: float = option(
        0.0, low=-180, high=180, unit="degrees", help="its direction, counter-clockwise from the right"
    )
    kernel: str = option(
        "",
        unit="file",
        help="a picture of the blur itself, as a point of light would show it; in place of length and angle",
    )
    noise: float = option(
        0.01,
        low=0.00001,
        high=1,
        help="power of the noise against the picture's: raise it for less noise and ringing, and less detail",
    )
    gamma: float = option(
        2.2,
        low=1,
        high=3,
        help="exponent from the encoded picture to light: raise it for brighter highlights",
    )

    def open(self, info: StreamInfo, device: Device) -> Stage:
        """See `Filter.open`; FilterError if the kernel is no picture or larger than 255 pixels."""
        self._spread()
        return super().open(info, device)

    def apply(self, x: Tensor) -> Tensor:
        """(B,3,H,W) -> (B,3,H,W)."""
        import torch
        import torch.nn.functional as F

        spread = self._spread().to(x.device)
        margin = spread.shape[-1]
        height, width = x.shape[-2:]
        seen = x.clamp(min=0) ** self.gamma
        inside = (..., slice(margin, margin + height), slice(margin, margin + width))
        light = F.pad(seen, (margin,) * 4, mode="replicate")
        size = (height + 2 * margin, width + 2 * margin)
        transfer = transfer_of(spread, *size)
        inverse = _inverse(transfer, *size, self.noise)
        light = _faded(light, torch.fft.irfft2(torch.fft.rfft2(light) * transfer, size), margin)
        for _ in range(ROUNDS):
            light = torch.fft.irfft2(torch.fft.rfft2(light) * inverse * transfer, size)
            light[inside] = seen
        clean: Tensor = torch.fft.irfft2(torch.fft.rfft2(light) * inverse, size)[inside]
        return clean.clamp(min=0).pow(1 / self.gamma)

    def _spread(self) -> Tensor:
        return _picture(self.kernel) if self.kernel else _steady(self.length, self.angle)


@lru_cache(maxsize=8)
def _steady(length: float, angle: float) -> Tensor:
    import torch

    from vidnoise.kernels import linear_kernel

    return torch.from_numpy(linear_kernel(length, angle))


@lru_cache(maxsize=8)
def _picture(path: str) -> Tensor:
    import torch
    import torch.nn.functional as F

    picture = read_gray(path)
    if picture is None or not picture.any():
        raise FilterError(f"kernel={path!r} is no picture of a blur that can be read; give a PNG file")
    if max(picture.shape) > LARGEST:
        found = f"{picture.shape[1]}x{picture.shape[0]}"
        raise FilterError(f"kernel={path!r} has {found} pixels; crop it to at most {LARGEST} a side")
    values = torch.from_numpy(picture).float()
    side = max(values.shape) | 1
    top, left = (side - values.shape[0]) // 2, (side - values.shape[1]) // 2
    values = F.pad(values, (left, side - values.shape[1] - left, top, side - values.shape[0] - top))
    return values.div_(values.sum())


def _inverse(transfer: Tensor, height: int, width: int, noise: float) -> Tensor:
    import torch

    rows = torch.fft.fftfreq(height, device=transfer.device)[:, None]
    columns = torch.fft.rfftfreq(width, device=transfer.device)
    # Relative to a quarter of the sampling rate; the mean brightness is never changed.
    ratio = noise * (rows.square() + columns.square()) * 16
    inverse: Tensor = transfer.conj() / (power_of(transfer) + ratio)
    return inverse


def _faded(light: Tensor, blurred: Tensor, margin: int) -> Tensor:
    """Light whose opposite borders meet smoothly: there it becomes its own blur."""
    import torch

    rows, columns = (rise(count, margin, light.device) for count in light.shape[-2:])
    faded: Tensor = torch.lerp(blurred, light, (rows[:, None] * columns).expand_as(light))
    return faded
