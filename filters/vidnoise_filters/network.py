"""What the filters that run one network on each frame have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, TypeVar

from vidnoise.filter import RecurrentFilter, RecurrentStage, SpatialFilter, SpatialStage, option
from vidnoise_filters.clipping import unclip
from vidnoise_filters.level import audible, in_pixels, noise_blocks
from vidnoise_filters.portion import bounded

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from torch.nn import Module

    from vidnoise.device import Device
    from vidnoise.filter import Stage, Step
    from vidnoise.frame import Frame, StreamInfo

S = TypeVar("S")


@dataclass(frozen=True)
class NetworkFilter(SpatialFilter):
    """Cleans each frame by the shipped network that has the filter's name, which finds the noise level by itself.

    A frame in which no noise is found passes untouched, and no pixel changes by more than its noise can have.
    """

    halo: ClassVar[int] = 64
    bytes_per_pixel: ClassVar[int] = 500

    strength: float = option(
        1.0, low=0, high=1, help="share of the noise that is removed: raise it for less noise and less detail"
    )

    @property
    def wants_noise(self) -> bool:
        """To know what is clean, and how far a pixel may change."""
        return self.told == 0 and self.strength > 0

    @property
    def weights(self) -> str:
        """The filter's name."""
        return self.name

    @property
    def told(self) -> float:
        """The deviation of the noise that the user says, in 8-bit steps; 0 for the estimate."""
        return 0.0

    def open(self, info: StreamInfo, device: Device) -> Stage:
        """See `Filter.open`.

        Raises:
            VidnoiseError: the weights are missing or were changed.
        """
        from vidnoise.nets import load

        network = load(self.weights, device.torch, device.dtype)
        return SpatialStage(self, info, device, lambda frames: self.clean(network, frames))

    def process(self, frames: Sequence[Frame]) -> list[Frame]:
        """See `SpatialFilter.process`; in float32, on the device of the frames."""
        import torch

        from vidnoise.nets import load

        return self.clean(load(self.weights, frames[0].device, torch.float32), frames)

    def clean(self, network: Module, frames: Sequence[Frame]) -> list[Frame]:
        """Frames, cleaned at once by a network that is already there."""
        import torch

        shares = [audible(frame, self.told) * min(self.strength, 1) for frame in frames]
        heard = [frame for frame, share in zip(frames, shares, strict=True) if share > 0]
        if not heard:
            return list(frames)
        sigmas = torch.stack([self._sigma(frame) for frame in heard])
        found = iter(zip(network(torch.stack([frame.image for frame in heard]), sigmas), sigmas, strict=True))
        return [
            self._changed(frame, share, *next(found)) if share > 0 else frame
            for frame, share in zip(frames, shares, strict=True)
        ]

    def _sigma(self, frame: Frame) -> Tensor:
        level = noise_blocks(frame, self.told) * max(self.strength, 1)
        return in_pixels(level, frame.height, frame.width)

    def _changed(self, frame: Frame, share: float, output: Tensor, sigma: Tensor) -> Frame:
        whole = unclip(bounded(output, frame.image, sigma), frame, self.told, 1)
        return frame.with_image(frame.image.lerp(whole, share))


@dataclass(frozen=True)
class RecurrentNetworkFilter(RecurrentFilter[S]):
    """Steps by a network: on the device and in the precision of the stream, or by itself in float32 on the frame's."""

    @abstractmethod
    def stepping(self, device: torch.device, dtype: torch.dtype, int8: bool = False) -> Step[S]:
        """`step`, with the network at hand."""

    def open(self, info: StreamInfo, device: Device) -> Stage:
        """See `Filter.open`.

        Raises:
            VidnoiseError: the weights are missing or were changed.
        """
        return RecurrentStage(self, self.stepping(device.torch, device.dtype, device.int8))

    def step(self, frame: Frame, state: S | None, ahead: Sequence[Frame]) -> tuple[Frame, S | None]:
        """See `RecurrentFilter.step`."""
        import torch

        return self.stepping(frame.device, torch.float32)(frame, state, ahead)


@dataclass(frozen=True)
class ToldFilter(NetworkFilter):
    """The same by a network that is told the noise level at each pixel."""

    strength: float = option(
        1.0,
        low=0,
        high=2,
        help="up to 1 the share of the noise that is removed, above it a factor on the noise that is assumed: raise it for "
        "less noise and less detail",
    )
    sigma: float = option(
        0.0, low=0, high=100, unit="8-bit steps", help="deviation of the noise; 0 takes the estimate"
    )

    @property
    def told(self) -> float:
        """Option `sigma`."""
        return self.sigma
