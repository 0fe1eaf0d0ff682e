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
    def multiple(self) -> int:
        """Height and width must be multiples of this."""
        return int(self.unshuffle * 2 ** (len(self.channels) - 1))


@dataclass(frozen=True)
class FlowSpec:
    """A coarse-to-fine flow network whose finest level is at a quarter of the picture's size.

    Args:
        channels: channels of each level, finest (1/4) first.
        radius: correlation radius of each level; 0 compares with the warped features alone.
        refine: channels of a last refinement at half size, 0 for none.
    """

    channels: tuple[int, ...]
    radius: tuple[int, ...]
    refine: int


@dataclass(frozen=True)
class Tier:
    """One choice of quality against speed.

    Args:
        name: what the user types.
        unet: the denoiser's body, the same for the spatial and the temporal network.
        flow: the temporal network's flow.
        hidden: channels of features handed on from frame to frame.
        fusion: residual blocks where the past joins the present.
    """

    name: str
    unet: UNetSpec
    flow: FlowSpec
    hidden: int
    fusion: int


TIERS = {
    t.name: t
    for t in (
        Tier(
            "fast",
            UNetSpec(unshuffle=4, channels=(64, 80), encoder=(0, 2), decoder=(1,)),
            FlowSpec(channels=(16, 24, 32, 32), radius=(0, 0, 2, 3), refine=0),
            hidden=16,
            fusion=0,
        ),
        Tier(
            "balanced",
            UNetSpec(unshuffle=2, channels=(48, 96, 128), encoder=(1, 1, 2), decoder=(1, 1)),
            FlowSpec(channels=(24, 32, 48, 48), radius=(0, 2, 3, 4), refine=0),
            hidden=16,
            fusion=0,
        ),
        Tier(
            "best",
            UNetSpec(unshuffle=2, channels=(128, 128, 160), encoder=(3, 2, 2), decoder=(3, 2)),
            FlowSpec(channels=(32, 48, 48, 48), radius=(2, 3, 3, 4), refine=32),
            hidden=64,
            fusion=1,
        ),
    )
}


def tier(name: str) -> Tier:
    """The tier of this name; VidnoiseError names the choices if there is none."""
    if name not in TIERS:
        raise VidnoiseError(f"no tier is called {name!r}: choose one of {', '.join(TIERS)}")
    return TIERS[name]
