"""Non-local means, as OpenCV has it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from vidnoise.filter import SpatialFilter, option
from vidnoise.frame import Frame
from vidnoise_filters.gray import as_gray_as
from vidnoise_filters.level import noise_level

if TYPE_CHECKING:
    from torch import Tensor


QUIET = 0.1
"""Below this strength, in 8-bit steps, there is nothing to do."""


@dataclass(frozen=True)
class NLMeans(SpatialFilter):
    """Averages pixels whose surroundings look alike, wherever they lie in a search window.

    A. Buades, B. Coll, J.-M. Morel, "A non-local algorithm for image denoising", CVPR 2005, by OpenCV's
    fastNlMeansDenoisingColored: it works on 8 bits in Lab colours. What it changes is added to the float picture, so that
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
        return [f.with_image(self._clean(f.image, noise_level(f, self.sigma))) for f in frames]

    def apply(self, x: Tensor) -> Tensor:
        """(B,3,H,W) -> (B,3,H,W)."""
        import torch

        return torch.stack([done.image for done in self.process([Frame(image=image) for image in x])])

    def _clean(self, image: Tensor, sigma: float) -> Tensor:
        import cv2
        import numpy as np
        import torch

        h = self.strength * sigma
        if h < QUIET:
            return image
        codes = image.clamp(0, 1).mul(255).round().byte().cpu()
        mixed = cv2.merge([plane.numpy() for plane in codes.flip(0)])
        # OpenCV goes through Lab in 8 bits: what that alone changes is no noise.
        plain = cv2.cvtColor(cv2.cvtColor(mixed, cv2.COLOR_BGR2Lab), cv2.COLOR_Lab2BGR)
        clean = cv2.fastNlMeansDenoisingColored(mixed, None, h, h, self.patch, self.search)
        change = torch.from_numpy(np.subtract(clean, plain, dtype=np.float32))
        return as_gray_as(image + change.flip(2).permute(2, 0, 1).to(image.device) / 255, image)
