"""The networks: what they are (tiers), how they are built, and how trained weights are loaded."""

from .cbdnet import CBDNet
from .deblur import Deblurrer
from .ensemble import Ensemble, load_at
from .flops import count_parameters, kflop_per_pixel
from .masked import Masked
from .spatial import PictureDenoiser, SpatialDenoiser
from .temporal import TemporalDenoiser, bands_of
from .tiers import TIERS, GroupsSpec, Tier, UNetSpec, tier
from .together import Together, load_together
from .weights import Card, build, load, save

__all__ = [
    "TIERS",
    "CBDNet",
    "Card",
    "Deblurrer",
    "Ensemble",
    "GroupsSpec",
    "Masked",
    "PictureDenoiser",
    "SpatialDenoiser",
    "TemporalDenoiser",
    "Tier",
    "Together",
    "UNetSpec",
    "bands_of",
    "build",
    "count_parameters",
    "kflop_per_pixel",
    "load",
    "load_at",
    "load_together",
    "save",
    "tier",
]
