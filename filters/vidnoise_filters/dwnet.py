"""A small network for edge devices."""

from __future__ import annotations

from dataclasses import dataclass

from vidnoise_filters.network import ToldFilter


@dataclass(frozen=True)
class DWNet(ToldFilter):
    """A small denoiser for edge devices: 436 thousand weights, 40 thousand operations a pixel.

    A U-Net whose convolutions are split into one within each channel and one across them (A. Howard et al., "MobileNets",
    2017). (B,3,H,W) in and out, no memory of the past.
    """
