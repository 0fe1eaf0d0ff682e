"""MPRNet: two stages, of which the first makes a picture and hands on what that shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from vidnoise.bent_motion import find_paths
from vidnoise.deconvolution import deconvolve
from vidnoise.filter import option
from vidnoise_filters.deblur import blur_of, explained, sharpened
from vidnoise_filters.network import ToldFilter

if TYPE_CHECKING:
    from torch.nn import Module

    from vidnoise.frame import Frame


@dataclass(frozen=True)
class MPRNet(ToldFilter):
    """Cleans a frame in two stages: the picture that the first makes decides which of its features the second is shown.

    S. W. Zamir, A. Arora, S. Khan, M. Hayat, F. S. Khan, M.-H. Yang, L. Shao, "Multi-Stage Progressive Image Restoration",
    CVPR 2021, small: a U-Net, then residual groups, 114 thousand operations a pixel. (B,3,H,W) in and out, no memory of the
    past.

    With task=deblur it takes the blur of motion away instead, with the guards of `deblur`: a sharp frame passes untouched.
    """

    halo: ClassVar[int] = 96
    bytes_per_pixel: ClassVar[int] = 700

    task: str = option(
        "denoise",
        choices=("denoise", "deblur"),
        help="denoise removes noise; deblur removes the blur of motion instead, is told no sigma and changes no more at a "
        "strength above 1",
    )

    @property
    def wants_noise(self) -> bool:
        """See `NetworkFilter.wants_noise`; blur is found without."""
        return self.task == "denoise" and super().wants_noise

    @property
    def weights(self) -> str:
        """One set for each task."""
        return "mprnet" if self.task == "denoise" else "mprnet-deblur"

    @classmethod
    def examples(cls) -> tuple[MPRNet, ...]:
        """Both tasks."""
        return cls(), cls(task="deblur")

    def clean(self, network: Module, frames: Sequence[Frame]) -> list[Frame]:
        """See `NetworkFilter.clean`."""
        if self.task == "denoise":
            return super().clean(network, frames)
        return [self._deblurred(network, frame) for frame in frames]

    def _deblurred(self, network: Module, frame: Frame) -> Frame:
        found = blur_of(frame, min(self.strength, 1))
        if found is None:
            return frame
        gray, chances, share = found
        share = share * explained(frame, chances, find_paths(gray, chances))
        return sharpened(frame, network(frame.image[None], deconvolve(gray, chances))[0], share)
