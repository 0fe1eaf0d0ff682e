"""Training of the network that takes the blur of motion away."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from ..bent_motion import find_paths
from ..deconvolution import NOISES, deconvolve, undo
from ..errors import UsageError
from ..flow import search, warp
from ..motion_blur import blur_chances
from ..nets.deblur import Deblurrer, news
from ..nets.weights import build
from .blur import Picture, Scene
from .coded import code
from .data import Backdrops, Clips, Media, for_numpy, generator, seeds
from .degrade import eight_bit, poisson_gaussian, uniform
from .losses import LOSSES, psnr
from .recipe import Recipe
from .tasks import VALIDATION_SEED, Batch, relight

ALONE = 0.5
"""The share of the samples that have no neighbours."""
CALMER = 0.5
"""The share of the neighbours that are blurred less, as a hand shakes now more, now less."""
NOISY = 0.3
"""The share with a sensor's noise, up to about 5 steps of 8 bit."""
CODED = 0.15
"""The share that went through H.264."""
WEIGHTS = (0.15, 0.35, 1.0)
"""Of the scales in the loss, from the coarsest."""
TRUSTED = 0.1
"""Weight of the confidence in the loss."""
BACKDROP = (320, 448)
"""Of the stills that are shaken, pixels."""
MARGIN = 16
"""Pixels around a window of a real clip, where its flow is not known."""
BETWEEN = 6
"""Moments between two frames of a real clip."""
VALIDATED = 48
"""Samples."""


class DeblurTask:
    """Stills shaken by a camera, and real clips averaged over the time between their frames."""

    def __init__(self, recipe: Recipe, media: Media, valid: Media | None, device: torch.device) -> None:
        self.recipe, self.device = recipe, device
        self.model = self.network()
        if isinstance(self.model, Deblurrer) and recipe.size % self.model.multiple:
            raise UsageError(
                f"the recipe's size={recipe.size} does not suit the task {recipe.task!r}; it takes multiples of "
                f"{self.model.multiple}"
            )
        self.measure = LOSSES[recipe.loss]
        self.backdrops = Backdrops(media, *BACKDROP, device)
        self.clips = Clips(media, recipe.size + 2 * MARGIN, 5, device)
        self.real = round(recipe.batch * (1 - recipe.synthetic)) if self.clips.count else 0
        self.pool = ThreadPoolExecutor()
        self.valid: Batch | None = None
        if valid is not None:
            self.valid = self._validation(Backdrops(valid, *BACKDROP, device))

    def network(self) -> nn.Module:
        """What is trained, as it is before training."""
        return build(self.recipe.task, self.recipe.tier)

    def batch(self, source: Generator) -> Batch:
        """Blurred frames, what their neighbours show, and the sharp frames."""
        shaken = self._shaken(self.backdrops, self.recipe.batch - self.real, source)
        parts = [shaken, self._averaged(source)] if self.real else [shaken]
        frames, sharp = (torch.cat(values) for values in zip(*parts, strict=True))
        return self._finish(frames, sharp, source)

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """The recipe's loss at each scale, and the cross entropy of the confidence."""
        assert isinstance(model, Deblurrer)
        outputs, trust = model.scales(*(batch[name] for name in ("blurred", "undone", "near")))
        loss = torch.zeros((), device=trust.device)
        for weight, output in zip(WEIGHTS, outputs, strict=True):
            target = F.avg_pool2d(batch["sharp"], batch["sharp"].shape[-1] // output.shape[-1])
            loss = loss + weight * self.measure(output, target)
        better = _better(batch["blurred"], outputs[-1].detach(), batch["sharp"])
        return loss + TRUSTED * F.binary_cross_entropy_with_logits(trust, better)

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Mean PSNR of the validation samples, with and without their neighbours, and of the blurred ones."""
        if self.valid is None:
            return {}
        figures: dict[str, list[Tensor]] = {"blurred": [], "alone": [], "psnr": []}
        for blurred, undone, near, sharp in zip(
            *(torch.split(v, 8) for v in self.valid.values()), strict=True
        ):
            figures["blurred"].append(psnr(blurred, sharp))
            figures["alone"].append(psnr(model(blurred, undone, torch.zeros_like(near))[0], sharp))
            figures["psnr"].append(psnr(model(blurred, undone, near)[0], sharp))
        means = {name: float(torch.cat(values).mean()) for name, values in figures.items()}
        return means | {"score": (means["alone"] + means["psnr"]) / 2}

    def picture(self, model: nn.Module) -> Tensor | None:
        """Some validation samples."""
        if self.valid is None:
            return None
        some = {name: values[:6] for name, values in self.valid.items()}
        rows = [torch.cat(list(v), 2) for v in (some["blurred"], self._restored(model, some), some["sharp"])]
        return torch.cat(rows, 1).clamp(0, 1)

    def _restored(self, model: nn.Module, batch: Batch) -> Tensor:
        restored: Tensor = model(*(batch[name] for name in ("blurred", "undone", "near")))[0]
        return restored

    def _validation(self, backdrops: Backdrops) -> Batch:
        source = generator(VALIDATION_SEED, 0, self.device)
        return self._finish(*self._shaken(backdrops, VALIDATED, source), source, alone=0)

    def _shaken(self, backdrops: Backdrops, count: int, source: Generator) -> tuple[Tensor, Tensor]:
        """Frames (B,3,3,H,W), before, at and after the moment looked at, and that moment (B,3,H,W)."""
        stills = for_numpy(relight(backdrops(2 * count, source), source))
        made = list(self.pool.map(self._scene, stills[:count], stills[count:], seeds(count, source)))
        frames, sharp = (torch.from_numpy(np.stack(values)) for values in zip(*made, strict=True))
        return frames.permute(0, 1, 4, 2, 3).to(self.device), sharp.permute(0, 3, 1, 2).to(self.device)

    def _scene(self, back: Picture, front: Picture, seed: int) -> tuple[Picture, Picture]:
        random = np.random.default_rng(seed)
        scene = Scene(back, front, self.recipe.size, self.recipe.blur, random)
        shutters = [random.uniform() if random.uniform() < CALMER else 1.0 for _ in range(2)]
        times = ((-1.0, shutters[0]), (0.0, 1.0), (1.0, shutters[1]))
        return np.stack([scene.blurred(*time) for time in times]), scene.sharp()

    def _averaged(self, source: Generator) -> tuple[Tensor, Tensor]:
        """The same from real clips."""
        clips = self.clips(self.real, source)
        gamma = uniform(self.real, *self.recipe.blur.gamma, source).flatten().tolist()
        exposure = uniform(self.real, 0.5, 1.0, source).flatten().tolist()
        made = [average(*drawn) for drawn in zip(clips, gamma, exposure, strict=True)]
        frames, sharp = torch.stack(made), clips[:, 2]
        inside = slice(MARGIN, -MARGIN)
        return frames[..., inside, inside], sharp[..., inside, inside]

    def _finish(
        self, frames: Tensor, sharp: Tensor, source: Generator, alone: float = ALONE
    ) -> dict[str, Tensor]:
        """Noise, compression and rounding; then the neighbours are brought to the frame."""
        count = frames.shape[0]
        frames = recorded(frames, source)
        drawn = torch.rand(count, 2, generator=source, device=self.device)
        near = torch.zeros(count, 6, *frames.shape[-2:], device=self.device)
        for sample, (clip, (lonely, behind)) in enumerate(zip(frames, drawn.tolist(), strict=True)):
            before, frame, after = clip
            if lonely >= alone:
                near[sample, :3] = brought(frame, before)
                if behind < 0.5 or alone == 0:
                    near[sample, 3:] = brought(frame, after)
        return {"blurred": frames[:, 1], "undone": self._undone(frames[:, 1]), "near": near, "sharp": sharp}

    def _undone(self, frames: Tensor) -> Tensor:
        """What undoing the motions that are seen in frames (B,3,H,W) adds to their brightness, (B,C,H,W)."""
        gray = frames.mean(1)
        with torch.no_grad():
            return self._undo(gray, blur_chances(gray))

    def _undo(self, gray: Tensor, chances: Tensor) -> Tensor:
        """As the network's filter does it."""
        steady = deconvolve(gray, chances, NOISES[:1])
        return undo(gray, chances, find_paths(gray, chances), steady)[:, 1:]


def brought(frame: Tensor, other: Tensor) -> Tensor:
    """What another frame (3,H,W) of the clip shows that this one does not; see `nets.deblur.news`."""
    return news(frame, other, search(frame, other), search(other, frame))


def average(clip: Tensor, gamma: float, exposure: float) -> Tensor:
    """Three blurred frames (3,3,H,W) from five sharp ones (5,3,H,W): the light between them, along their flow.

    Args:
        clip: sharp frames, [0,1].
        gamma: of the encoding.
        exposure: the time that each takes, in frames, up to 1.
    """
    light = clip.clamp(0, 1) ** gamma
    ways = [search(clip[n], clip[n + 1]) for n in range(4)]
    centres = (1, 2, 3)
    halves = [
        (_departing(light[n], ways[n], exposure), _departing(light[n], -ways[n - 1], exposure))
        for n in centres
    ]
    return torch.stack([(after + before) / 2 for after, before in halves]).clamp(0, 1) ** (1 / gamma)


def _departing(light: Tensor, way: Tensor, exposure: float) -> Tensor:
    """The mean of a picture on half an exposure's way along a flow."""
    times = [exposure / 2 * (moment + 0.5) / BETWEEN for moment in range(BETWEEN)]
    return torch.stack([warp(light, -time * way) for time in times]).mean(0)


def recorded(frames: Tensor, source: Generator, coded: float = CODED) -> Tensor:
    """Frames (B,T,3,H,W) as a file holds them, a share of them through H.264."""
    count, times = frames.shape[:2]
    drawn = torch.rand(count, 3, generator=source, device=frames.device).tolist()
    gain = uniform(count, 0.002, 0.03, source).square()
    made = []
    for clip, strength, (noise, coding, crf) in zip(frames, gain, drawn, strict=True):
        if noise < NOISY:
            level = strength.expand(times, 1, 1, 1)
            clip = poisson_gaussian(clip, level, level.sqrt() / 3, source)
        made.append(code(clip, 14 + 14 * crf) if coding < coded else eight_bit(clip))
    return torch.stack(made)


def _better(blurred: Tensor, output: Tensor, sharp: Tensor) -> Tensor:
    """How much of the error around each pixel (B,1,H,W) was the blurred frame's, 0..1; a half where both have none."""

    def error(x: Tensor) -> Tensor:
        squared = (x - sharp).square().mean(1, keepdim=True)
        return F.avg_pool2d(squared, 9, 1, 4, count_include_pad=False) + (0.5 / 255) ** 2

    before, after = error(blurred), error(output)
    return before / (before + after)
