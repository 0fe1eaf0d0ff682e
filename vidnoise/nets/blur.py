"""Which motion blurred a picture, area by area, read from its spectrum.

A steady motion leaves dark stripes in the spectrum, across its direction and the closer the longer it is (Cannon, "Blind
deconvolution of spatially invariant image blurs with phase", IEEE TASSP 1976). Seen along every direction, the spectrum is
a set of profiles; a small network, the same for each of them, weighs how well every length explains its profile.
"""

import math
import warnings
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..areas import REACH
from ..spectra import power_of

ANGLES = 24
"""Directions that are told apart, over half a turn."""
SHORTEST, LONGEST, STEPS = 3.0, 36.0, 12
LENGTHS = tuple(SHORTEST * (LONGEST / SHORTEST) ** (i / (STEPS - 1)) for i in range(STEPS))
"""Lengths that are told apart, pixels."""
NONE = 1.5
"""Pixels: a blur as short as this is none."""
MOTIONS = 1 + STEPS * ANGLES
"""None, then every direction of the shortest length, and so on."""
SIDE = 2 * REACH
PLACES = 56
"""Of a profile, from the mean to the finest detail."""
WIDTH, HEAD = 64, 96
FLOOR = 0.3 / 255
"""Deviation of the finest noise that is told apart, as rounding makes it."""


class BlurMotion(nn.Module):
    """From the profiles of a spectrum to the motions that may have been."""

    def __init__(self) -> None:
        super().__init__()
        self.profile = nn.Sequential(
            nn.Conv1d(4, WIDTH, 7, padding=3),
            nn.GELU(),
            nn.Conv1d(WIDTH, WIDTH, 5, padding=2, stride=2),
            nn.GELU(),
            nn.Conv1d(WIDTH, WIDTH, 5, padding=2, stride=2),
            nn.GELU(),
            nn.Flatten(),
            nn.Linear(WIDTH * PLACES // 4, HEAD),
            nn.GELU(),
        )
        self.compare = nn.Sequential(nn.Linear(3 * HEAD, HEAD), nn.GELU(), nn.Linear(HEAD, STEPS))
        self.none = nn.Linear(2 * HEAD, 1)

    def forward(self, profiles: Tensor) -> Tensor:
        """(N,ANGLES,4,PLACES), see `describe` -> (N,MOTIONS): the logits of the motions."""
        with torch.autocast(profiles.device.type, enabled=False):
            seen = profiles.to(self.none.weight.dtype)
            each = self.profile(seen.flatten(0, 1)).view(len(profiles), ANGLES, HEAD)
            every = torch.cat([each.mean(1), each.amax(1)], 1)
            lengths = self.compare(torch.cat([each, every[:, None].expand(-1, ANGLES, -1)], 2))
            return torch.cat([self.none(every), lengths.transpose(1, 2).flatten(1)], 1).float()


def describe(areas: Tensor) -> Tensor:
    """What the network is told of areas: (N,SIDE,SIDE), brightness, [0,1] -> (N,ANGLES,4,PLACES).

    The profile of each direction without what all directions share, the profile, that of all, and the one across.
    """
    lines, rings, ring = _table(areas.device)
    window = torch.hann_window(SIDE, periodic=False, device=areas.device)
    seen = (areas - areas.mean((1, 2), keepdim=True)) * window * window[:, None]
    floor = FLOOR**2 * window.square().sum() ** 2
    power = (power_of(torch.fft.rfft2(seen)).flatten(1) + floor).log()
    with torch.autocast(areas.device.type, enabled=False):  # which has no sparse matrices
        profiles = (lines @ power.T.contiguous()).T.reshape(-1, ANGLES, PLACES)
    shared = ((power @ rings.T) @ ring.T).view_as(profiles)
    level = profiles.mean((1, 2), keepdim=True)
    own = profiles - shared
    every = (profiles.mean(1, keepdim=True) - level).expand_as(profiles)
    return torch.stack([own, profiles - level, every, own.roll(ANGLES // 2, 1)], 2)


def chances_of(motion: Tensor) -> Tensor:
    """The chances (N,MOTIONS) that say a motion (N,2): pixels right and down, of either sign; shared by its neighbours."""
    length = motion.norm(dim=1).clamp(NONE, LONGEST)
    known = torch.tensor((NONE, *LENGTHS), device=motion.device)
    above = torch.bucketize(length, known).clamp(1, STEPS)
    long = (length / known[above - 1]).log() / (known[above] / known[above - 1]).log()
    turn = torch.atan2(motion[:, 1], motion[:, 0]) / math.pi % 1 * ANGLES
    first, beside = turn.floor().long() % ANGLES, turn - turn.floor()
    chances = motion.new_zeros(len(motion), MOTIONS)
    for step, share in ((above - 1, 1 - long), (above, long)):
        for angle, part in ((first, 1 - beside), ((first + 1) % ANGLES, beside)):
            index = torch.where(step == 0, 0, 1 + (step - 1) * ANGLES + angle)
            chances.scatter_add_(1, index[:, None], (share * part)[:, None])
    return chances


def motions(device: torch.device) -> Tensor:
    """The motions (MOTIONS,2), pixels right and down; the first is 0."""
    angle = torch.arange(ANGLES, device=device) * math.pi / ANGLES
    way = torch.stack([angle.cos(), angle.sin()], 1)
    moving = torch.tensor(LENGTHS, device=device)[:, None, None] * way
    return torch.cat([way.new_zeros(1, 2), moving.flatten(0, 1)])


def frequencies(device: torch.device) -> Tensor:
    """Of the spectrum of an area, (2,F): cycles a pixel to the right and down."""
    right = torch.fft.rfftfreq(SIDE, device=device).expand(SIDE, -1)
    down = torch.fft.fftfreq(SIDE, device=device)[:, None].expand_as(right)
    return torch.stack([right, down]).flatten(1)


@cache
def _table(device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Means of a spectrum on the lines across each direction (A P,F), on rings (R,F), and of those on the lines (A P,R).

    The first is sparse: of a line's places each frequency counts at two.
    """
    places = frequencies(device)
    far = places.norm(dim=0)
    inside = (far < 0.5) & (far > 1.5 / SIDE)
    lines = torch.stack([_across(places, angle, inside) for angle in range(ANGLES)]).flatten(0, 1)
    circle = (far * SIDE).round().long()
    rings = F.one_hot(circle).T.float() * inside
    weights = lines / lines.sum(1, keepdim=True).clamp(min=1e-6)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that PyTorch may change the format of sparse matrices
        sparse = weights.to_sparse_csr()
    return sparse, rings / rings.sum(1, keepdim=True).clamp(min=1), weights @ F.one_hot(circle).float()


def _across(places: Tensor, angle: int, inside: Tensor) -> Tensor:
    """How much each frequency counts at the places of a profile (PLACES,F)."""
    turned = math.pi * angle / ANGLES
    way = torch.tensor([math.cos(turned), math.sin(turned)], device=places.device)
    place = (way @ places).abs() * 2 * PLACES - 0.5
    apart = (place - torch.arange(PLACES, device=places.device)[:, None]).abs()
    return (1 - apart).clamp(min=0) * inside
