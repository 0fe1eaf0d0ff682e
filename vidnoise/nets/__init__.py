"""The networks: what they are (tiers), how they are built, and how trained weights are loaded."""

from .flops import count_parameters, kflop_per_pixel
from .spatial import SpatialDenoiser
from .temporal import State, TemporalDenoiser
from .tiers import TIERS, FlowSpec, Tier, UNetSpec, tier
from .weights import Card, build, load, save

__all__ = [
    "TIERS",
    "Card",
    "FlowSpec",
    "SpatialDenoiser",
    "State",
    "TemporalDenoiser",
    "Tier",
    "UNetSpec",
    "build",
    "count_parameters",
    "kflop_per_pixel",
    "load",
    "save",
    "tier",
]
