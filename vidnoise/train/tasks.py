"""What is trained: batches, the loss and the validation of each kind of network."""

from typing import Protocol

import torch
from torch import Generator, Tensor, nn

from ..errors import InputError, UsageError
from ..nets.flow import FlowNet
from ..nets.spatial import SpatialDenoiser
from ..nets.temporal import LEFT, TemporalDenoiser
from ..nets.tiers import tier
from ..nets.warp import inside, warp
from .data import Backdrops, Clips, Image, Media, Stills, generator, integers
from .losses import LOSSES, flow_error, psnr, steadiness
from .motion import animate
from .recipe import Recipe

Batch = dict[str, Tensor]

BACKDROP = (288, 448)
VALIDATION_SEED = 20


class Task(Protocol):
    """One kind of training. Batches have the same shapes at every step."""

    model: nn.Module

    def batch(self, source: Generator) -> Batch:
        """The samples of a step."""

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """What is made small."""

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Figures by name; "score" is the one that runs are compared by, higher is better."""


def relight(clean: Tensor, source: Generator, frames: int = 1) -> Tensor:
    """Changes brightness, contrast and colour of a quarter of the samples (B * frames,3,H,W)."""
    count = clean.shape[0] // frames

    def draw(channels: int) -> Tensor:
        values = torch.rand(count, channels, 1, 1, generator=source, device=source.device)
        return values.repeat_interleave(frames, 0)

    gain = (0.4 + 0.7 * draw(1)) * (0.9 + 0.2 * draw(3))
    changed = (clean * gain + (draw(1) - 0.5) * 0.2).clamp(0, 1)
    return torch.where(draw(1) < 0.25, changed, clean)


class SpatialTask:
    """Single pictures."""

    def __init__(self, recipe: Recipe, media: Media, valid: Media | None, device: torch.device) -> None:
        self.recipe = recipe
        self.model: nn.Module = SpatialDenoiser(tier(recipe.tier))
        self.measure = LOSSES[recipe.loss]
        self.stills = Stills(media, recipe.size, device)
        self.backdrops = _backdrops(media, device)
        self.tilted = recipe.batch // 8 if self.backdrops else 0
        self.pictures = _centres(valid.stills, 256, device) if valid and valid.stills else None

    def batch(self, source: Generator) -> Batch:
        """Noisy pictures, noise levels and targets; an eighth of the pictures is rotated and deformed."""
        clean = self.stills(self.recipe.batch - self.tilted, source)
        if self.tilted and self.backdrops:
            still = self.backdrops(self.tilted, source)
            turned = animate(still, still, self.recipe.size, 1, self.recipe.moves, source)[0][:, 0]
            clean = torch.cat([clean, turned])
            # The kinds of noise follow one another in a batch, so the kinds of pictures must not.
            clean = clean[torch.randperm(clean.shape[0], generator=source, device=source.device)]
        clean = relight(clean, source)
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


class TemporalTask:
    """Clips: real ones, and stills in motion."""

    def __init__(self, recipe: Recipe, media: Media, valid: Media | None, device: torch.device) -> None:
        self.recipe = recipe
        self.model: nn.Module = TemporalDenoiser(tier(recipe.tier))
        self.measure = LOSSES[recipe.loss]
        self.clips = Clips(media, recipe.size, recipe.frames, device)
        self.backdrops = _backdrops(media, device)
        self.synthetic = round(recipe.batch * recipe.synthetic) if self.clips.count else recipe.batch
        if not self.backdrops and not self.clips.count:
            raise InputError(
                f"no clip has {recipe.frames} frames of {recipe.size} pixels, and no still is large enough"
            )
        if not self.backdrops:
            self.synthetic = 0
        self.video = [_middle(clip[:12], 256, 448, device) for clip in valid.clips] if valid else []

    def batch(self, source: Generator) -> Batch:
        """Noisy clips, noise levels, targets, and which clips may see the next frame."""
        recipe, parts = self.recipe, []
        if self.synthetic and self.backdrops:
            stills = self.backdrops(2 * self.synthetic, source)
            back, front = torch.split(stills, self.synthetic)
            parts.append(animate(back, front, recipe.size, recipe.frames, recipe.moves, source)[0])
        if recipe.batch > self.synthetic:
            parts.append(self.clips(recipe.batch - self.synthetic, source))
        clips = torch.cat(parts)
        clips = clips[torch.randperm(recipe.batch, generator=source, device=source.device)]
        clean = relight(clips.flatten(0, 1), source, recipe.frames)
        noisy, sigma = recipe.noise(clean, source, recipe.frames)
        ahead = integers(recipe.batch, 2, source).float()
        return {
            "noisy": noisy.view(clips.shape),
            "sigma": sigma.view(clips.shape),
            "target": clean.view(clips.shape),
            "ahead": ahead,
        }

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """The recipe's loss of all frames, and the flicker."""
        output: Tensor = model(batch["noisy"], batch["sigma"], batch["ahead"])
        loss = self.measure(output.flatten(0, 1), batch["target"].flatten(0, 1))
        return loss + self.recipe.steady * steadiness(output, batch["target"]) if self.recipe.steady else loss

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

    def _clip(self, model: nn.Module, clean: Tensor, level: int, ahead: int) -> float:
        source = generator(VALIDATION_SEED, level, clean.device)
        noisy = clean + torch.randn(clean.shape, generator=source, device=clean.device) * (level / 255)
        sigma = torch.full_like(clean, level / 255)
        seen = torch.full((1,), float(ahead), device=clean.device)
        output = model(noisy[None], sigma[None], seen)[0]
        return float(psnr(output[4:], clean[4:]).mean())


class FlowTask:
    """Pairs of frames: stills in motion with the true flow, real ones by how well they are warped."""

    def __init__(self, recipe: Recipe, media: Media, valid: Media | None, device: torch.device) -> None:
        self.recipe = recipe
        self.model: nn.Module = FlowNet(tier(recipe.tier).flow)
        backdrops = _backdrops(media, device)
        if backdrops is None:
            raise InputError(f"no still has {BACKDROP[1]}x{BACKDROP[0]} pixels, which training a flow needs")
        self.backdrops = backdrops
        self.clips = Clips(media, recipe.size, 2, device)
        self.synthetic = round(recipe.batch * recipe.synthetic) if self.clips.count else recipe.batch
        levels = len(tier(recipe.tier).flow.channels)
        self.weights = (*(0.5 ** (levels - 1 - i) for i in range(levels)), 2.0)
        self.video = [_middle(clip[:8], 256, 448, device) for clip in valid.clips] if valid else []

    def batch(self, source: Generator) -> Batch:
        """Pairs with their noise; the other picture is as noisy as the first, or nearly clean."""
        recipe = self.recipe
        back, front = torch.split(self.backdrops(2 * self.synthetic, source), self.synthetic)
        clips, flows, _ = animate(back, front, recipe.size, 2, recipe.moves, source)
        if recipe.batch > self.synthetic:
            clips = torch.cat([clips, self.clips(recipe.batch - self.synthetic, source)])
        clean = relight(clips.flatten(0, 1), source, 2)
        noisy, sigma = recipe.noise(clean, source, 2)
        pairs, clean, sigma = (v.view(clips.shape) for v in (noisy, clean, sigma))
        fade = torch.where(integers(recipe.batch, 2, source) == 1, LEFT, 1.0).view(-1, 1, 1, 1)
        there = torch.lerp(clean[:, 0], pairs[:, 0], fade)
        return {
            "here": pairs[:, 1],
            "there": there,
            "sigma_here": sigma[:, 1],
            "sigma_there": sigma[:, 0] * fade,
            "clean_here": clean[:, 1],
            "clean_there": clean[:, 0],
            "flow": flows[:, 1],
        }

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Distance to the true flow; for real pairs the warped clean frame's error, and smoothness."""
        flows: list[Tensor] = model(batch["here"], batch["there"], batch["sigma_here"], batch["sigma_there"])
        known = self.synthetic
        loss = flow_error([f[:known] for f in flows], batch["flow"], self.weights)
        if self.recipe.batch == known:
            return loss
        flow = flows[-1][known:]
        error = (
            (warp(batch["clean_there"][known:], flow) - batch["clean_here"][known:])
            .square()
            .mean(1, keepdim=True)
        )
        photometric = ((error + 1e-4).pow(0.4) * inside(flow)).mean()
        rough = (flow[..., 1:] - flow[..., :-1]).abs().mean() + (
            flow[..., 1:, :] - flow[..., :-1, :]
        ).abs().mean()
        return loss + 10 * photometric + 0.05 * rough

    def validate(self, model: nn.Module) -> dict[str, float]:
        """PSNR of real clean frames warped by the flow found under noise of sigma 30."""
        values = []
        for clean in self.video:
            source = generator(VALIDATION_SEED, 30, clean.device)
            noisy = clean + torch.randn(clean.shape, generator=source, device=clean.device) * (30 / 255)
            sigma = torch.full_like(clean, 30 / 255)
            there = torch.lerp(clean, noisy, LEFT)
            flow = model(noisy[1:], there[:-1], sigma[1:], sigma[1:] * LEFT)[-1]
            values.append(float(psnr(warp(clean[:-1], flow), clean[1:]).mean()))
        return {"warped": sum(values) / len(values), "score": sum(values) / len(values)} if values else {}


def make_task(recipe: Recipe, media: Media, valid: Media | None, device: torch.device) -> Task:
    """The task that a recipe names."""
    kinds: dict[str, type[SpatialTask] | type[TemporalTask] | type[FlowTask]] = {
        "spatial": SpatialTask,
        "temporal": TemporalTask,
        "flow": FlowTask,
    }
    if recipe.task not in kinds:
        raise UsageError(f"no task is called {recipe.task!r}: choose one of {', '.join(kinds)}")
    if recipe.loss not in LOSSES:
        raise UsageError(f"no loss is called {recipe.loss!r}: choose one of {', '.join(LOSSES)}")
    return kinds[recipe.task](recipe, media, valid, device)


def _backdrops(media: Media, device: torch.device) -> Backdrops | None:
    try:
        return Backdrops(media, *BACKDROP, device)
    except InputError:
        return None  # small stills: no rotation and no synthetic clips


def _tensor(pictures: list[Image], device: torch.device) -> Tensor:
    return (
        torch.stack([torch.from_numpy(p.copy()).permute(2, 0, 1) for p in pictures]).to(device).float() / 255
    )


def _middle(pictures: list[Image], height: int, width: int, device: torch.device) -> Tensor:
    rows, columns = pictures[0].shape[:2]
    height, width = min(height, rows // 32 * 32), min(width, columns // 32 * 32)
    top, left = (rows - height) // 2, (columns - width) // 2
    return _tensor([p[top : top + height, left : left + width] for p in pictures], device)


def _centres(pictures: list[Image], size: int, device: torch.device) -> Tensor:
    large = [p for p in pictures if min(p.shape[:2]) >= size]
    if not large:
        raise InputError(f"no validation picture has {size} pixels a side")
    return torch.cat([_middle([p], size, size, device) for p in large])
