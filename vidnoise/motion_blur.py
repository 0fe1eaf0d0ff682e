"""Which motion blurred a picture, area by area, as a small trained network reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vidnoise.ramps import ramp

if TYPE_CHECKING:
    import torch
    from torch import Tensor

_EMPTY = 2 / 255
"""An area whose pixels deviate by less than this shows nothing that could be blurred."""
_SURPRISE = 1e-3
"""The chance that an area is mistaken by all means: no single one rules a motion out."""
_WEIGHT = 1.5
"""How much the mean evidence of an area and its eight neighbours counts; they overlap, and are not independent."""
_TOGETHER = 64
"""Areas that the network is asked about at once: few enough to stay in the caches."""
_SHARE = 0.6
"""Of the areas that show something."""
_AIMLESS, _AIMED = 0.3, 0.5
"""How far the motions that may have been agree in direction: up to the first it was none of them."""


def blur_chances(gray: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """How likely each of the motions of `nets.blur` has blurred pictures.

    Args:
        gray: (B,H,W), brightness, nominal [0,1].
        dtype: of the network; float32 if not given.

    Returns:
        (B,rows,columns,M) by the areas that `areas.split` gives, on the pictures' device, of sum 1; no motion where nothing
        is seen that could be blurred.
    """
    from vidnoise.areas import split

    areas = split(gray.clamp(0, 1))
    return _agreed(_told(areas.flatten(0, 2), dtype).view(*areas.shape[:3], -1))


def chances_if_blurred(gray: Tensor, chance: float, dtype: torch.dtype | None = None) -> Tensor | None:
    """`blur_chances`; None unless anything is blurred with at least this chance at a look at a quarter of the areas.

    They still cover everything.
    """
    import torch

    from vidnoise.areas import split
    from vidnoise.nets.blur import MOTIONS

    areas = split(gray.clamp(0, 1))
    some = slice(None), slice(None, None, 2), slice(None, None, 2)
    told = areas.new_zeros(*areas.shape[:3], MOTIONS)
    looked = torch.zeros(areas.shape[:3], dtype=torch.bool, device=areas.device)
    looked[some] = True
    told[looked] = _told(areas[looked], dtype)
    if not bool((1 - _agreed(told[some])[..., 0] >= chance).any()):
        return None
    told[~looked] = _told(areas[~looked], dtype)
    return _agreed(told)


def _told(areas: Tensor, dtype: torch.dtype | None) -> Tensor:
    """The chances (N,M) by each of some areas (N,S,S) alone; all 0 where nothing is seen that could be blurred."""
    import torch

    from vidnoise.nets import load
    from vidnoise.nets.blur import describe

    network = load("blur", areas.device, dtype or torch.float32)
    told = torch.cat([network(describe(some)) for some in torch.split(areas, _TOGETHER)]).softmax(1)
    flat = areas.flatten(1)
    power = torch.linalg.vector_norm(flat, dim=1).square() / flat.shape[1]  # in less time than `var`
    shown: Tensor = power - flat.mean(1).square() >= _EMPTY**2
    return told * shown[:, None]


def _agreed(told: Tensor) -> Tensor:
    """Chances (B,rows,columns,M) by the evidence of each area and those around it, since blur changes gradually."""
    import torch
    import torch.nn.functional as F

    count, empty = told.shape[-1], ~told.any(-1, keepdim=True)
    evidence = (told + empty / count + _SURPRISE).log().permute(0, 3, 1, 2)
    around = F.avg_pool2d(F.pad(evidence, (1, 1, 1, 1), mode="replicate"), 3, 1)
    agreed = (_WEIGHT * around).permute(0, 2, 3, 1).softmax(-1)
    return torch.where(empty, torch.eye(count, device=told.device)[0], agreed)


def likeliest(chances: Tensor) -> Tensor:
    """The likeliest motions (N,2), pixels right and down, by chances (N,M); never none."""
    from vidnoise.nets.blur import motions

    return motions(chances.device)[1 + chances[:, 1:].argmax(1)]


def expected_length(chances: Tensor) -> Tensor:
    """How long the motion was if there was any, pixels, by chances (...,M): (...,)."""
    from vidnoise.nets.blur import motions

    lengths = motions(chances.device).norm(dim=1)
    expected: Tensor = chances @ lengths / (1 - chances[..., 0]).clamp(min=1e-6)
    return expected


def directed(chances: Tensor) -> Tensor:
    """Whether it was motion that blurred, by chances (...,M): (...,), 0 to 1.

    Lack of focus passes for motion too, but for motion to all sides. How far the motions that may have been agree is the
    length of the mean of doubled angles, as a motion and its opposite are one (Mardia, "Statistics of Directional Data",
    1972).
    """
    import torch

    from vidnoise.nets.blur import motions

    right, down = motions(chances.device)[1:].T
    turn = 2 * torch.atan2(down, right)
    moving = chances[..., 1:]
    agreed = torch.hypot(moving @ turn.cos(), moving @ turn.sin()) / moving.sum(-1).clamp(min=1e-6)
    return ramp(agreed, _AIMLESS, _AIMED)


def blur_length(image: Tensor) -> float:
    """The blur of a picture (3,H,W), pixels, of which three fifths of the areas that show something are no longer."""
    import torch

    from vidnoise.bent_motion import find_paths
    from vidnoise.nets.blur import motions

    gray = image.mean(0)[None]
    with torch.inference_mode():
        chances = blur_chances(gray)
        length = directed(chances) * (chances @ motions(image.device).norm(dim=1))
        shown = chances[..., 0] < 1
        if not bool(length.any()) or not float(length[shown].quantile(_SHARE)):
            return 0.0
        moved = find_paths(gray, chances).explain(chances) > 0
        return float((length * moved)[shown].quantile(_SHARE))
