"""Training of the network that hears the noise of a picture."""

from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from .. import dct
from ..fusion import band_power, mix, opponent
from ..nets.level import NoiseLevel, describe, logarithms
from .coded import code
from .data import Media, Stills, generator, integers, shrink
from .degrade import eight_bit, jpeg, uniform
from .recipe import Recipe
from .tasks import VALIDATION_SEED, Batch, Task, relight

FRAMES = 3
"""Of a still, with noise at other places in each, so that a codec has something to predict from; the second counts."""
SILENT = 0.2
"""The share of pictures without noise."""
DRAWN = 0.12
"""The share that is drawn."""
SOFT = 0.4
"""The share that is enlarged."""
UNEVEN = 0.5
"""The share whose noise is weaker in flat areas."""
PARTS = 8
"""Each picture is described this many times, each time by half of its blocks."""
VALIDATED = 96
"""Pictures."""
LOW = 0.45
"""The quantile that is learned: what is texture by chance costs more than noise that is left."""


class LevelTask(Task):
    """Stills with any noise, compressed or not, and what the noise is by colour and band."""

    def __init__(self, recipe: Recipe, media: Media, valid: Media | None, device: torch.device) -> None:
        self.recipe = recipe
        self.model: nn.Module = NoiseLevel()
        self.stills = Stills(purer(media), recipe.size, device)
        self.valid = Stills(purer(valid), recipe.size, device) if valid else None

    def batch(self, source: Generator) -> Batch:
        """Descriptions of pictures and the logarithms of their noise."""
        noisy, clean = self._pictures(self.stills, self.recipe.batch, source)
        told = [_described(picture, PARTS, source) for picture in noisy]
        return {"features": torch.cat(told), "target": target(noisy, clean).repeat_interleave(PARTS, 0)}

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """The quantile loss of the logarithms (Koenker and Bassett, Econometrica 1978)."""
        missing = batch["target"] - model(batch["features"])
        return torch.maximum(LOW * missing, (LOW - 1) * missing).mean()

    def validate(self, model: nn.Module) -> dict[str, float]:
        """The mean error of the logarithms where there is noise, and where there is none."""
        return errors(model, *self._validation) if self.valid else {}

    @cached_property
    def _validation(self) -> tuple[Tensor, Tensor, Tensor]:
        assert self.valid is not None
        source = generator(VALIDATION_SEED, 0, self.valid.chances.device)
        noisy, clean = self._pictures(self.valid, VALIDATED, source)
        told = torch.cat([_described(picture, 1, source) for picture in noisy])
        return told, target(noisy, clean), (noisy == clean).flatten(1).all(1)

    def _pictures(self, stills: Stills, count: int, source: Generator) -> tuple[Tensor, Tensor]:
        """Noisy pictures, and what they were without the noise, both compressed alike."""
        made = round(count * DRAWN)
        clean = softened(relight(stills(count - made, source), source), source)
        clean = torch.cat([clean, drawn(made, self.recipe.size, source)])
        clean = clean[torch.randperm(count, generator=source, device=source.device)]
        noisy, _ = self.recipe.noise(clean, source)
        part = uniform(count, 0, 1, source)
        part = torch.where(uniform(count, 0, 1, source) < SILENT, 0.0, part)
        noise = uneven((noisy - clean) * part, clean, source)
        before, after = zip(
            *(_compressed(c, n, source) for c, n in zip(clean, noise, strict=True)), strict=True
        )
        return torch.stack(before), torch.stack(after)


def errors(model: nn.Module, told: Tensor, target: Tensor, silent: Tensor) -> dict[str, float]:
    """The mean errors of what a network says of descriptions (B,F), where there is noise and where (B,) there is none."""
    error = (model(told) - target).abs().mean(1)
    noisy, none = float(error[~silent].mean()), float(error[silent].mean())
    return {"noisy": noisy, "silent": none, "score": -noisy - none}


def purer(media: Media) -> Media:
    """Stills at half their size: what their own camera and file left of noise must not pass for a clean picture."""
    return Media([shrink(still, 0.5) for still in media.stills], media.clips)


def drawn(count: int, size: int, source: Generator) -> Tensor:
    """Pictures (B,3,size,size) as a computer draws them: even slopes of colour, and discs with hard edges."""
    corners = torch.rand(count, 3, 2, 2, generator=source, device=source.device)
    picture = F.interpolate(corners, (size, size), mode="bilinear", align_corners=True)
    across = torch.linspace(0, 1, size, device=source.device)
    for _ in range(6):
        x, y = (
            (across - uniform(count, 0, 1, source)).square(),
            (across[:, None] - uniform(count, 0, 1, source)).square(),
        )
        inside = x + y < uniform(count, 0, 0.4, source).square()
        picture = torch.where(inside, 0.3 * picture + 0.7 * uniform(count, 0, 1, source, 3), picture)
    return eight_bit(picture)


def uneven(noise: Tensor, clean: Tensor, source: Generator, frames: int = 1) -> Tensor:
    """Noise (B * frames,3,H,W), in some pictures weaker where these are flat: a camera's own denoising is bolder there."""
    gray = clean.mean(1, keepdim=True)
    detail = _means((gray - _means(gray)).square()).sqrt()
    level = noise.square().mean((1, 2, 3), keepdim=True).sqrt()
    count = len(clean) // frames
    least = torch.where(uniform(count, 0, 1, source) < UNEVEN, uniform(count, 0.15, 1, source), 1.0)
    least = least.repeat_interleave(frames, 0)
    return noise * torch.maximum(least, (detail / (2 * level + 1e-6)).clamp(max=1))


def _means(picture: Tensor) -> Tensor:
    """Over 9x9 pixels, across and down in turn, which is several times as fast as at once."""
    across = F.avg_pool2d(picture, (1, 9), 1, (0, 4), count_include_pad=False)
    return F.avg_pool2d(across, (9, 1), 1, (4, 0), count_include_pad=False)


def softened(clean: Tensor, source: Generator) -> Tensor:
    """Pictures (B,3,H,W), some of them enlarged: a camera's are less sharp at its own pixels than ones that were shrunk."""
    size = clean.shape[-1]
    parts = torch.where(uniform(len(clean), 0, 1, source) < SOFT, uniform(len(clean), 0.4, 0.8, source), 1.0)
    inner = [round(size * part) for part in parts.flatten().tolist()]
    grown = [
        F.interpolate(x[None, :, :n, :n], (size, size), mode="bicubic").clamp(0, 1)[0] if n < size else x
        for x, n in zip(clean, inner, strict=True)
    ]
    return torch.stack(grown)


def _compressed(clean: Tensor, noise: Tensor, source: Generator) -> tuple[Tensor, Tensor]:
    """A picture (3,H,W) with its noise and without, both as the same kind of file holds it."""
    kind = int(integers(1, 10, source))
    if kind < 2:
        return clean + noise, clean
    if kind < 5:
        return eight_bit(clean + noise), eight_bit(clean)
    if kind < 7:
        quality = uniform(1, 30, 98, source)
        return jpeg((clean + noise)[None], quality)[0], jpeg(clean[None], quality)[0]
    crf = float(uniform(1, 15, 33, source))
    codec = "hevc" if kind == 9 and crf < 20 else "h264"
    frames = torch.stack([clean + noise.roll((34 * t, 58 * t), (1, 2)) for t in range(FRAMES)])
    still = clean.expand(FRAMES, -1, -1, -1)
    return code(frames, crf, codec)[1], code(still, crf, codec)[1]


def _described(picture: Tensor, parts: int, source: Generator) -> Tensor:
    """(parts,F): a picture (3,H,W) by all of its blocks, or several times by half of them."""
    matrix, order = opponent(picture.device), dct.sums(picture.device)
    # Off the codec's grid, as an estimate is that looks anywhere.
    top, left = integers(2, dct.BLOCK, source).tolist()
    height, width = ((size - dct.BLOCK) // dct.BLOCK * dct.BLOCK for size in picture.shape[1:])
    blocks = dct.forward(mix(picture[:, top : top + height, left : left + width].contiguous(), matrix))
    blocks = blocks.flatten(2).transpose(1, 2)
    if parts == 1:
        return describe(blocks, order)[None]
    count = blocks.shape[1]
    halves = [
        torch.randperm(count, generator=source, device=source.device)[: count // 2] for _ in range(parts)
    ]
    return torch.stack([describe(blocks[:, half], order) for half in halves])


def target(noisy: Tensor, clean: Tensor) -> Tensor:
    """(B,9): what the network shall say of pictures (B,3,H,W)."""
    matrix = opponent(noisy.device)
    return logarithms(torch.stack([band_power(noise, matrix).sqrt() for noise in noisy - clean]))
