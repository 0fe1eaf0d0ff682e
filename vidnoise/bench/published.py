"""What papers say their methods reach, to stand beside what is measured here.

All of them add white Gaussian noise, do not round or clip it, and are told its level; mean PSNR, of RGB for colour.
"""

from __future__ import annotations

from dataclasses import dataclass

SIGMAS = (15, 25, 50)
"""Deviations of the noise that the figures are for, of 255."""

FFDNET = "Zhang, Zuo & Zhang, FFDNet, IEEE TIP 2018"
DRUNET = "Zhang et al., Plug-and-Play Image Restoration with Deep Denoiser Prior, IEEE TPAMI 2021"


@dataclass(frozen=True)
class Published:
    """One method on one set of pictures: mean PSNR in dB at each of the `SIGMAS`, and the paper whose table has it."""

    set: str
    method: str
    psnr: tuple[float, float, float]
    source: str


PUBLISHED = (
    Published("set12", "BM3D", (32.37, 29.97, 26.72), FFDNET),
    Published("set12", "DnCNN", (32.86, 30.44, 27.18), FFDNET),
    Published("set12", "FFDNet", (32.75, 30.43, 27.32), FFDNET),
    Published("set12", "DRUNet", (33.25, 30.94, 27.90), DRUNET),
    Published("bsd68", "BM3D", (31.07, 28.57, 25.62), FFDNET),
    Published("bsd68", "DnCNN", (31.73, 29.23, 26.23), FFDNET),
    Published("bsd68", "FFDNet", (31.63, 29.19, 26.29), FFDNET),
    Published("bsd68", "DRUNet", (31.91, 29.48, 26.59), DRUNET),
    Published("cbsd68", "DnCNN", (33.90, 31.24, 27.95), DRUNET),
    Published("cbsd68", "FFDNet", (33.87, 31.21, 27.96), DRUNET),
    Published("cbsd68", "DRUNet", (34.30, 31.69, 28.51), DRUNET),
)
