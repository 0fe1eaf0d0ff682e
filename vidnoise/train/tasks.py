"""What is trained: batches, the loss and the validation of each kind of network."""

from collections.abc import Callable
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from .. import dct
from ..errors import InputError
from ..flow import search, warp
from ..fusion import Look, by_frequency, coloured, join, look, mix, opponent, recall, spectrum
from ..nets.temporal import TemporalDenoiser, bands_of
from ..nets.tiers import tier
from ..nets.weights import LITERATURE, build
from .data import Backdrops, Clips, Image, Media, Stills, generator, integers
from .losses import LOSSES, psnr, steadiness
from .motion import animate
from .recipe import Recipe

Batch = dict[str, Tensor]

BACKDROP = (288, 448)
VALIDATION_SEED = 20
LEFT = 0.25
"""What the network leaves of the noise, about: flow to the past is searched on pictures that are as noisy as that."""
SPECTRUM = (0.05, 8.0)
"""Power of a band of noise against that of white noise: more extreme ones are not told."""
SHOWN = 50 / 255
"""The level of the noise in pictures for people."""


class Task(Protocol):
    """One kind of training. Batches have the same shapes at every step."""

    model: nn.Module

    def batch(self, source: Generator) -> Batch:
        """The samples of a step."""

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """What is made small."""

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Figures by name; "score" is the one that runs are compared by, higher is better."""

    def picture(self, model: nn.Module) -> Tensor | None:
        """Before, after and what was wanted, side by side, (3,H,W); None where there is nothing to look at."""
        return None


def relight(clean: Tensor, source: Generator, frames: int = 1, monochrome: float = 0.0) -> Tensor:
    """Changes brightness, contrast and colour of a quarter of the samples (B * frames,3,H,W).

    A share of `monochrome` becomes gray.
    """
    count = clean.shape[0] // frames

    def draw(channels: int) -> Tensor:
        values = torch.rand(count, channels, 1, 1, generator=source, device=source.device)
        return values.repeat_interleave(frames, 0)

    gain = (0.4 + 0.7 * draw(1)) * (0.9 + 0.2 * draw(3))
    changed = (clean * gain + (draw(1) - 0.5) * 0.2).clamp(0, 1)
    changed = torch.where(draw(1) < 0.25, changed, clean)
    if not monochrome:
        return changed
    return torch.where(draw(1) < monochrome, changed.mean(1, keepdim=True).expand_as(changed), changed)


class SpatialTask:
    """Single pictures."""

    def __init__(self, recipe: Recipe, media: Media, valid: Media | None, device: torch.device) -> None:
        self.recipe = recipe
        self.model = self.network()
        self.measure = LOSSES[recipe.loss]
        self.stills = Stills(media, recipe.size, device)
        self.backdrops = _backdrops(media, device)
        self.tilted = recipe.batch // 8 if self.backdrops else 0
        self.pictures = _centres(valid.stills, 256, device) if valid else None

    def network(self) -> nn.Module:
        """What is trained, as it is before training."""
        return build(self.recipe.task, self.recipe.tier)

    def batch(self, source: Generator) -> Batch:
        """Noisy pictures, noise levels and targets; an eighth of the pictures is rotated and deformed."""
        clean = self.stills(self.recipe.batch - self.tilted, source)
        if self.tilted and self.backdrops:
            still = self.backdrops(self.tilted, source)
            turned = animate(still, still, self.recipe.size, 1, self.recipe.moves, source)[0][:, 0]
            clean = torch.cat([clean, turned])
            # The kinds of noise follow one another in a batch, so the kinds of pictures must not.
            clean = clean[torch.randperm(clean.shape[0], generator=source, device=source.device)]
        clean = relight(clean, source, 1, self.recipe.monochrome)
        if self.recipe.target == "clean":
            noisy, sigma = self.recipe.noise(clean, source)
            return {"noisy": noisy, "sigma": sigma, "target": clean}
        pairs, sigma = self.recipe.noise(clean.repeat_interleave(2, 0), source, 2)
        return {"noisy": pairs[::2], "sigma": sigma[::2], "target": pairs[1::2]}

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """The recipe's loss between output and target."""
        output: Tensor = model(batch["noisy"], batch["sigma"])
        return self.measure(output, batch["target"])

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Mean PSNR of the validation pictures at sigma 15, 25 and 50."""
        if self.pictures is None:
            return {}
        clean, figures = self.pictures, {}
        for level in (15, 25, 50):
            source = generator(VALIDATION_SEED, level, clean.device)
            noise = torch.randn(clean.shape, generator=source, device=clean.device) * (level / 255)
            sigma = torch.full_like(clean, level / 255)
            parts = zip(
                torch.split(clean + noise, 8), torch.split(sigma, 8), torch.split(clean, 8), strict=True
            )
            values = torch.cat([psnr(model(n, s), c) for n, s, c in parts])
            figures[f"psnr{level}"] = float(values.mean())
        return figures | {"score": sum(figures.values()) / 3}

    def picture(self, model: nn.Module) -> Tensor | None:
        """A validation picture at sigma 50."""
        if self.pictures is None:
            return None
        clean = self.pictures[:1]
        source = generator(VALIDATION_SEED, 50, clean.device)
        noisy = clean + torch.randn(clean.shape, generator=source, device=clean.device) * SHOWN
        return torch.cat([noisy, model(noisy, torch.full_like(clean, SHOWN)), clean], 3)[0].clamp(0, 1)


class Films:
    """Clips with noise: real ones, and stills in motion."""

    def __init__(self, recipe: Recipe, media: Media, device: torch.device) -> None:
        self.recipe = recipe
        self.clips = Clips(media, recipe.size, recipe.frames, device)
        self.backdrops = _backdrops(media, device)
        self.synthetic = round(recipe.batch * recipe.synthetic) if self.clips.count else recipe.batch
        if not self.backdrops and not self.clips.count:
            raise InputError(
                f"no clip has {recipe.frames} frames of {recipe.size} pixels, and no still is large enough"
            )
        if not self.backdrops:
            self.synthetic = 0

    def __call__(self, source: Generator) -> tuple[Tensor, Tensor, Tensor, list[bool]]:
        """Noisy clips, their noise's deviation at each pixel, clean ones, each (B,T,3,H,W), and which may look ahead."""
        recipe, parts = self.recipe, []
        if self.synthetic and self.backdrops:
            stills = self.backdrops(2 * self.synthetic, source)
            back, front = torch.split(stills, self.synthetic)
            parts.append(animate(back, front, recipe.size, recipe.frames, recipe.moves, source)[0])
        if recipe.batch > self.synthetic:
            parts.append(self.clips(recipe.batch - self.synthetic, source))
        clips = torch.cat(parts)
        clips = clips[torch.randperm(recipe.batch, generator=source, device=source.device)]
        clean = relight(clips.flatten(0, 1), source, recipe.frames, recipe.monochrome)
        noisy, sigma = recipe.noise(clean, source, recipe.frames)
        ahead = [bool(draw) for draw in integers(recipe.batch, 2, source).tolist()]
        return noisy.view(clips.shape), sigma.view(clips.shape), clean.view(clips.shape), ahead


class TemporalTask:
    """Clips: real ones, and stills in motion."""

    def __init__(self, recipe: Recipe, media: Media, valid: Media | None, device: torch.device) -> None:
        self.recipe = recipe
        self.model: nn.Module = TemporalDenoiser(tier(recipe.tier))
        self.measure = LOSSES[recipe.loss]
        self.films = Films(recipe, media, device)
        self.video = middles(valid, device)

    def batch(self, source: Generator) -> Batch:
        """Noisy clips, noise levels, targets, and which clips may see the next frame."""
        noisy, sigma, clean, ahead = self.films(source)
        made = [fuse(*clip) for clip in zip(noisy, sigma, clean, ahead, strict=True)]
        fused, left, bands = (torch.cat(values) for values in zip(*made, strict=True))
        return {
            "fused": fused,
            "left": left,
            "noisy": noisy.flatten(0, 1),
            "sigma": F.avg_pool2d(sigma.flatten(0, 1), dct.BLOCK),
            "bands": bands,
            "target": clean.flatten(0, 1),
        }

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """The recipe's loss of all frames, and the flicker."""
        output: Tensor = model(*(batch[name] for name in ("fused", "left", "noisy", "sigma", "bands")))
        loss = self.measure(output, batch["target"])
        if not self.recipe.steady:
            return loss
        shape = (-1, self.recipe.frames, *output.shape[1:])
        return loss + self.recipe.steady * steadiness(output.view(shape), batch["target"].view(shape))

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Mean PSNR of the validation clips from the 5th frame on, with and without the next frame."""
        if not self.video:
            return {}
        figures: dict[str, float] = {}
        for level in (10, 30, 50):
            for ahead in (1, 0):
                values = [self._clip(model, clip, level, ahead) for clip in self.video]
                figures[f"psnr{level}_ahead{ahead}"] = sum(values) / len(values)
        return figures | {"score": sum(figures.values()) / len(figures)}

    def picture(self, model: nn.Module) -> Tensor | None:
        """The 5th frame of a validation clip at sigma 50."""
        if not self.video:
            return None
        clean = self.video[0][:5]
        noisy, output = self._cleaned(model, clean, SHOWN, 0)
        return torch.cat([noisy, output, clean], 3)[-1].clamp(0, 1)

    def _clip(self, model: nn.Module, clean: Tensor, level: int, ahead: int) -> float:
        _, output = self._cleaned(model, clean, level / 255, ahead)
        return float(psnr(output[4:], clean[4:]).mean())

    @staticmethod
    def _cleaned(model: nn.Module, clean: Tensor, level: float, ahead: int) -> tuple[Tensor, Tensor]:
        source = generator(VALIDATION_SEED, round(255 * level), clean.device)
        noisy = clean + torch.randn(clean.shape, generator=source, device=clean.device) * level
        sigma = torch.full_like(clean, level)
        with torch.autocast(clean.device.type, enabled=False):
            fused, left, bands = fuse(noisy, sigma, clean, bool(ahead))
        frames = zip(fused, left, noisy, F.avg_pool2d(sigma, dct.BLOCK), bands, strict=True)
        return noisy, torch.cat([model(*(value[None] for value in frame)) for frame in frames])


def make_task(recipe: Recipe, media: Media, valid: Media | None, device: torch.device) -> Task:
    """The task that a recipe names."""
    from .blur_motion import BlurMotionTask
    from .cbdnet import CBDNetTask
    from .change import ChangeTask
    from .deblur import DeblurTask
    from .dncnn import DnCNNTask
    from .eight_bits import to_eight_bits
    from .level import LevelTask
    from .masked import MaskedTask
    from .mprnet import MPRNetDeblurTask, MPRNetTask
    from .shrinkage import ShrinkageTask
    from .teacher import Taught

    kinds: dict[str, Callable[[Recipe, Media, Media | None, torch.device], Task]] = {
        **dict.fromkeys(LITERATURE, SpatialTask),
        "spatial": SpatialTask,
        "temporal": TemporalTask,
        "deblur": DeblurTask,
        "blur": BlurMotionTask,
        "change": ChangeTask,
        "level": LevelTask,
        "cbdnet": CBDNetTask,
        "dncnn": DnCNNTask,
        "masked": MaskedTask,
        "mprnet": MPRNetTask,
        "mprnet-deblur": MPRNetDeblurTask,
        "shrinkage": ShrinkageTask,
    }
    task = kinds[recipe.task](recipe, media, valid, device)
    if recipe.int8:
        to_eight_bits(task.model)
    return Taught(task, recipe, device) if recipe.teacher else task


def fuse(noisy: Tensor, sigma: Tensor, clean: Tensor, ahead: bool) -> tuple[Tensor, Tensor, Tensor]:
    """A clip (T,3,H,W) as the network sees it: averaged with its past, and with the next frame if `ahead`.

    Flow is searched on pictures as noisy as they are in use: the past has been cleaned, all but `LEFT` of its noise.

    Returns:
        The averages (T,3,H,W), and what noise they have left: (T,3,h,w), (T,9,h,w).
    """
    matrix = opponent(noisy.device)
    cleaned = torch.lerp(clean, noisy, LEFT)
    levels = F.avg_pool2d(sigma.square(), dct.BLOCK).sqrt()
    colour = torch.stack([spectrum(n - c, v, matrix) for n, c, v in zip(noisy, clean, levels, strict=True)])
    colour = by_frequency(colour.mean(0).clamp(*SPECTRUM))
    variances = [coloured(v, colour, matrix) for v in levels]
    past, found = None, []
    for t, frame in enumerate(noisy):
        known = look(mix(frame, matrix), variances[t])
        if past is not None:
            known, _, _ = recall(known, past, search(frame, cleaned[t - 1]), None)
        past = known
        if ahead and t + 1 < len(noisy):
            coming = mix(warp(noisy[t + 1], search(frame, noisy[t + 1])), matrix)
            known, _ = join(known, Look(coming, variances[t + 1]))
        found.append((mix(known.picture, matrix.T), *bands_of(known, matrix)))
    fused, left, bands = (torch.stack(each) for each in zip(*found, strict=True))
    return fused, left, bands


def _backdrops(media: Media, device: torch.device) -> Backdrops | None:
    try:
        return Backdrops(media, *BACKDROP, device)
    except InputError:
        return None  # small stills: no rotation and no synthetic clips


def _middle(pictures: list[Image], height: int, width: int, device: torch.device) -> Tensor:
    rows, columns = pictures[0].shape[:2]
    height, width = min(height, rows // 32 * 32), min(width, columns // 32 * 32)
    top, left = (rows - height) // 2, (columns - width) // 2
    cut = np.stack([p[top : top + height, left : left + width] for p in pictures])
    return torch.from_numpy(cut).permute(0, 3, 1, 2).contiguous().to(device).float() / 255


def middles(valid: Media | None, device: torch.device) -> list[Tensor]:
    """What clips are validated on: the middle of their first 12 frames, up to (T,3,256,448); none without media.

    Raises:
        InputError: no clip is large and long enough.
    """
    if valid is None:
        return []
    long = [clip[:12] for clip in valid.clips if len(clip) >= 5 and min(clip[0].shape[:2]) >= 32]
    if not long:
        raise InputError("no validation clip has 5 frames of 32 pixels a side (videos are shrunk by 2)")
    return [_middle(clip, 256, 448, device) for clip in long]


def _centres(pictures: list[Image], size: int, device: torch.device) -> Tensor:
    large = [p for p in pictures if min(p.shape[:2]) >= size]
    if not large:
        raise InputError(f"no validation picture has {size} pixels a side")
    return torch.cat([_middle([p], size, size, device) for p in large])
