"""A network in the Haar wavelet domain."""

from __future__ import annotations

from dataclasses import dataclass

from vidnoise_filters.network import ToldFilter


@dataclass(frozen=True)
class Wavelet(ToldFilter):
    """Cleans a frame in the Haar wavelet domain, by residual groups of 105 thousand operations a pixel.

    Near E. Kang, W. Chang, J. Yoo, J. C. Ye, "Deep Convolutional Framelet Denoising for Low-Dose CT via Wavelet Residual
    Network", IEEE TMI 2018. (B,3,H,W) in and out, no memory of the past.
    """
