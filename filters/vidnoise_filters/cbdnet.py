"""CBDNet: noise that follows the brightness, found and then removed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from vidnoise.filter import option
from vidnoise_filters.network import NetworkFilter

if TYPE_CHECKING:
    from torch.nn import Module

    from vidnoise.frame import Frame

SHOWN = 4.0
"""How many times as bright the map is shown as its noise is strong: white stands for 64 8-bit steps."""


@dataclass(frozen=True)
class CBDNet(NetworkFilter):
    """Finds how much noise there is at each place by one network, and removes that much by a second.

    S. Guo, Z. Yan, K. Zhang, W. Zuo, L. Zhang, "Toward Convolutional Blind Denoising of Real Photographs", CVPR 2019, on
    folded pixels and with residual groups, 154 thousand operations a pixel in all. (B,3,H,W) in and out, no memory of the
    past.
    """

    halo: ClassVar[int] = 80

    show: str = option(
        "picture",
        choices=("map", "picture"),
        help="map shows how much noise was found where, as brightness: white is a deviation of 64 8-bit steps",
    )

    def clean(self, network: Module, frames: Sequence[Frame]) -> list[Frame]:
        """See `NetworkFilter.clean`."""
        from vidnoise.nets import CBDNet as Network

        if self.show == "picture":
            return super().clean(network, frames)
        assert isinstance(network, Network)
        return [frame.with_image(SHOWN * network.both(frame.image[None])[1][0]) for frame in frames]
