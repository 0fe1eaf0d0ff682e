"""What a tier's denoisers are between their first and last convolutions."""

from torch import nn

from .residual import groups
from .tiers import GroupsSpec, UNetSpec
from .unet import UNet


def body(spec: UNetSpec | GroupsSpec) -> nn.Module:
    """Features to features (B,C,H,W), of `spec.width` channels; H and W multiples of `spec.multiple / spec.unshuffle`."""
    return groups(spec) if isinstance(spec, GroupsSpec) else UNet(spec)
