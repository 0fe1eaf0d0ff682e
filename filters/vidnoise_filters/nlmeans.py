"""Non-local means, as OpenCV has it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from vidnoise.filter import SpatialFilter, option
from vidnoise.fusion import COARSE, band_means
from vidnoise_filters.level import noise_level, noise_spectrum

if TYPE_CHECKING:
    from torch import Tensor

    from vidnoise.frame import Frame


QUIET = 0.1
"""Below this strength, in 8-bit steps, there is nothing to do."""
APART = 0.65
"""The deviation that white noise of R, G and B has in brightness, and in either colour difference."""


@dataclass(frozen=True)
class NLMeans(SpatialFilter):
    """Averages pixels whose surroundings look alike, wherever they lie in a search window.

    A. Buades, B. Coll, J.-M. Morel, "A non-local algorithm for image denoising", CVPR 2005, by OpenCV's
    fastNlMeansDenoising: brightness and colours apart, in 8 bits. What it changes is added to the float picture, so that
    the finer steps of deeper video stay. It runs on the CPU: frames on a GPU cross over and back. (3,H,W) in and out.
    """

    halo: ClassVar[int] = 40
    bytes_per_pixel: ClassVar[int] = 120

    sigma: float = option(
        0.0, low=0, high=100, unit="8-bit steps", help="deviation of the noise; 0 takes the estimate"
    )
    strength: float = option(
        1.0, low=0, high=2, help="raise it for less noise and less detail; 0 changes nothing"
    )
    patch: int = option(
        7,
        low=3,
        high=15,
        step=2,
        unit="pixels",
        help="side of what is compared; raise it for surer and blunter matches",
    )
    search: int = option(
        21,
        low=5,
        high=41,
        step=2,
        unit="pixels",
        help="side of the window that is searched; raise it for more, slower",
    )

    @property
    def wants_noise(self) -> bool:
        """Unless sigma is given."""
        return self.sigma == 0 and self.strength > 0

    def process(self, frames: Sequence[Frame]) -> list[Frame]:
        """Clean frame by frame, each by its own noise level."""
        if self.strength == 0:
            return list(frames)
        return [f.with_image(self._clean(f.image, *self._levels(f))) for f in frames]

    def _levels(self, frame: Frame) -> tuple[float, float]:
        """The deviation of the noise in the brightness, and in the colours, as far as `strength` asks."""
        level = APART * self.strength * noise_level(frame, self.sigma)
        # Without what is said of the means of blocks, which is far more where noise is coarse.
        spectrum = noise_spectrum(frame, self.sigma).clone()
        spectrum[:, 0] = spectrum[:, COARSE[1:]].mean(1)
        power = band_means(spectrum).mean(1)
        return level * float(power[0].sqrt()), level * float(power[1:].mean().sqrt())

    def _clean(self, image: Tensor, bright: float, colour: float) -> Tensor:
        import cv2
        import numpy as np
        import torch

        if max(bright, colour) < QUIET:
            return image
        # Not fastNlMeansDenoisingColored: a mean of Lab colours is darker and redder than one of what was encoded.
        mixed = cv2.cvtColor(cv2.merge([plane.numpy() for plane in image.cpu()]), cv2.COLOR_RGB2YCrCb)
        # Without colour the differences are OpenCV's 0.5: in codes 127.5, so half a code more.
        neutral = np.array([0, 0.5, 0.5], np.float32)
        codes = np.rint((255 * mixed + neutral).clip(0, 255)).astype(np.uint8)
        parts = (codes[..., :1].copy(), bright), (codes[..., 1:].copy(), colour)
        clean = np.dstack(
            [cv2.fastNlMeansDenoising(part, None, h, self.patch, self.search) for part, h in parts]
        )
        change = np.subtract(clean, codes, dtype=np.float32) / 255 + neutral
        rgb = torch.from_numpy(cv2.cvtColor(change, cv2.COLOR_YCrCb2RGB))
        return image + rgb.permute(2, 0, 1).to(image.device)
