"""Spectra of kernels, and their power."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def transfer_of(kernel: Tensor, height: int, width: int) -> Tensor:
    """What a kernel (K,K) does to each frequency of a picture that repeats itself: complex, (height,width//2+1)."""
    import torch

    side = kernel.shape[-1]
    whole = kernel.new_zeros(height, width)
    whole[:side, :side] = kernel
    spectrum: Tensor = torch.fft.rfft2(whole.roll((-(side // 2), -(side // 2)), (0, 1)))
    return spectrum


def power_of(spectrum: Tensor) -> Tensor:
    """The squared magnitude of complex numbers, in a fifth of the time that the square of their magnitude takes."""
    return spectrum.real.square() + spectrum.imag.square()
