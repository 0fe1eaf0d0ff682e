"""The networks as data: one description per tier."""

from dataclasses import dataclass

from ..errors import VidnoiseError


@dataclass(frozen=True)
class UNetSpec:
    """A U-Net on pixel-unshuffled pictures.

    Args:
        unshuffle: pixels are folded into channels by this factor a side before the first convolution.
        channels: channels of each level; each level halves the size of the one before.
        encoder: residual blocks of each level on the way down; the last level is the bottom.
        decoder: residual blocks of each level but the last on the way up.
    """

    unshuffle: int
    channels: tuple[int, ...]
    encoder: tuple[int, ...]
    decoder: tuple[int, ...]

    @property
    def width(self) -> int:
        """Channels of the first level."""
        return self.channels[0]

    @property
    def multiple(self) -> int:
        """Height and width must be multiples of this."""
        return int(self.unshuffle * 2 ** (len(self.channels) - 1))


@dataclass(frozen=True)
class GroupsSpec:
    """Residual groups on pixel-unshuffled pictures, all at one size.

    Args:
        unshuffle: as in `UNetSpec`.
        width: channels.
        groups: how many.
        blocks: residual blocks in each.
    """

    unshuffle: int
    width: int
    groups: int
    blocks: int

    @property
    def multiple(self) -> int:
        """Height and width must be multiples of this."""
        return self.unshuffle


@dataclass(frozen=True)
class Tier:
    """One choice of quality against speed.

    Args:
        name: what the user types.
        denoise: the denoiser's body, the same for the spatial and the temporal network.
        deblur: the body of the deblurring network.
    """

    name: str
    denoise: UNetSpec | GroupsSpec
    deblur: UNetSpec | GroupsSpec


TIERS = {
    t.name: t
    for t in (
        Tier(
            "fast",
            UNetSpec(unshuffle=4, channels=(48, 64), encoder=(0, 2), decoder=(1,)),
            UNetSpec(unshuffle=4, channels=(48, 64, 96), encoder=(1, 1, 2), decoder=(1, 1)),
        ),
        Tier(
            "balanced",
            GroupsSpec(unshuffle=2, width=32, groups=4, blocks=3),
            GroupsSpec(unshuffle=2, width=32, groups=3, blocks=3),
        ),
    )
}


def tier(name: str) -> Tier:
    """The tier of this name; VidnoiseError names the choices if there is none."""
    if name not in TIERS:
        raise VidnoiseError(f"no tier is called {name!r}: choose one of {', '.join(TIERS)}")
    return TIERS[name]
