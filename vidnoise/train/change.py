"""Training of the network that hears the noise of a clip: in a picture and in how it differs from one before."""

import math
from functools import cached_property

import torch
from torch import Generator, Tensor, nn

from .. import dct
from ..followed import followed
from ..fusion import mix, opponent
from ..nets.level import OF_CHANGE, NoiseChange, describe, describe_change
from .coded import code
from .data import Clips, Media, Stills, generator, integers
from .degrade import eight_bit, jpeg, uniform
from .level import DRAWN, LOW, SILENT, VALIDATED, drawn, errors, purer, softened, target, uneven
from .recipe import Recipe
from .tasks import VALIDATION_SEED, Batch, Task, relight

FRAMES = 4
"""Of a clip, which a codec codes."""
SHOWN = (1, 3), (0, 1)
"""Those that count, and what they are compared with."""
CODED = 0.6
"""The share of pictures that are of clips."""
REAL = 0.5
"""The share of clips that were filmed; the others are a still that moves."""
MOVED = 0.5, 6
"""The share of those that do not stand still, and by how many pixels a frame at most."""
FAR = 0.2
"""The share of these that move eight times as fast, as where frames are compared that are further apart."""
DIVERSE = 0.5
"""The share that shows four things; the others one, mirrored."""
NONE, SURE = -1.0, 1.7
"""The logarithm below which there is no noise, and how many times such pictures count: they shall stay as they are."""
PARTS = 4
"""Each picture is described this many times, each time by half of its blocks."""


class ChangeTask(Task):
    """Clips with any noise, compressed or not, and what the noise of a frame is by colour and band."""

    def __init__(self, recipe: Recipe, media: Media, valid: Media | None, device: torch.device) -> None:
        self.recipe, self.device = recipe, device
        self.model: nn.Module = NoiseChange()
        self.scenes = Scenes(purer(media), recipe.size, device)
        self.valid = Scenes(purer(valid), recipe.size, device) if valid else None

    def batch(self, source: Generator) -> Batch:
        """Descriptions of pictures and the logarithms of their noise."""
        noisy, last, clean = self._pictures(self.scenes, self.recipe.batch, source)
        told = torch.cat([_described(*pair, PARTS, source) for pair in zip(noisy, last, strict=True)])
        return {"features": told, "target": target(noisy, clean).repeat_interleave(PARTS, 0)}

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """The quantile loss of the logarithms (Koenker and Bassett, Econometrica 1978)."""
        missing = batch["target"] - model(batch["features"])
        silent = (batch["target"] < NONE).all(1, keepdim=True)
        return (torch.maximum(LOW * missing, (LOW - 1) * missing) * torch.where(silent, SURE, 1)).mean()

    def validate(self, model: nn.Module) -> dict[str, float]:
        """The mean error of the logarithms where there is noise, and where there is none."""
        return errors(model, *self._validation) if self.valid else {}

    @cached_property
    def _validation(self) -> tuple[Tensor, Tensor, Tensor]:
        assert self.valid is not None
        source = generator(VALIDATION_SEED, 0, self.device)
        noisy, last, clean = self._pictures(self.valid, VALIDATED, source)
        told = torch.cat([_described(*pair, 1, source) for pair in zip(noisy, last, strict=True)])
        return told, target(noisy, clean), (noisy == clean).flatten(1).all(1)

    def _pictures(self, scenes: "Scenes", count: int, source: Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Noisy pictures, each one's before, and what they were without the noise, all compressed alike."""
        coded = round(count * CODED / 2)
        pairs, clips = scenes.clips(count - 2 * coded, 2, source), scenes.clips(coded, FRAMES, source)
        made = [
            _filed(*self._noisy(pairs, 2, source), source),
            _coded(*self._noisy(clips, FRAMES, source), source),
        ]
        return tuple(torch.cat(parts) for parts in zip(*made, strict=True))  # type: ignore[return-value]

    def _noisy(self, clean: Tensor, frames: int, source: Generator) -> tuple[Tensor, Tensor]:
        """Pictures (B * frames,3,H,W), and noise for them."""
        noisy, _ = self.recipe.noise(clean, source, frames)
        count = len(clean) // frames
        part = uniform(count, 0, 1, source)
        part = torch.where(uniform(count, 0, 1, source) < SILENT, 0.0, part).repeat_interleave(frames, 0)
        return clean, uneven((noisy - clean) * part, clean, source, frames)


class Scenes:
    """Pictures and clips that show as much as whole frames do."""

    def __init__(self, media: Media, size: int, device: torch.device) -> None:
        self.size = size
        self._stills = Stills(media, size, device)
        self._clips = Clips(media, size, FRAMES, device)

    def stills(self, count: int, source: Generator) -> Tensor:
        """(count,3,2 size,2 size)."""
        made = round(count * DRAWN)
        windows = softened(relight(self._stills(4 * (count - made), source), source), source)
        return torch.cat([_four(windows, source), drawn(made, 2 * self.size, source)])

    def clips(self, count: int, frames: int, source: Generator) -> Tensor:
        """(count * frames,3,2 size,2 size)."""
        filmed = round(count * REAL) if self._clips.count else 0
        still = self.stills(count - filmed, source)
        way = integers(2 * len(still), 2 * MOVED[1] + 1, source).view(-1, 2) - MOVED[1]
        fast = torch.where(uniform(len(still), 0, 1, source) < FAR, 8, 1).view(-1, 1)
        way = way * fast * (uniform(len(still), 0, 1, source).view(-1, 1) < MOVED[0])
        panned = [
            picture.roll((t * down, t * right), (1, 2))
            for picture, (down, right) in zip(still, way.tolist(), strict=True)
            for t in range(frames)
        ]
        if not filmed:
            return torch.stack(panned)
        windows = self._clips(4 * filmed, source)[:, :frames].flatten(0, 1)
        windows = relight(windows, source, frames).view(4 * filmed, frames * 3, self.size, self.size)
        real = _four(windows, source).view(-1, 3, 2 * self.size, 2 * self.size)
        return torch.cat([torch.stack(panned), real])


def _four(windows: Tensor, source: Generator) -> Tensor:
    """Windows (4B,C,H,W) in fours, or of each four one that is mirrored, (B,C,2H,2W)."""
    one, right, below, across = windows.view(-1, 4, *windows.shape[1:]).unbind(1)
    same = uniform(len(one), 0, 1, source) > DIVERSE
    right = torch.where(same, one.flip(3), right)
    below = torch.where(same, one.flip(2), below)
    across = torch.where(same, one.flip(2, 3), across)
    return torch.cat([torch.cat([one, right], 3), torch.cat([below, across], 3)], 2)


def _filed(clean: Tensor, noise: Tensor, source: Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Of pairs (2B,3,H,W), each through the same kind of file: the second with its noise, the first, the second without."""
    quality, kind = (
        uniform(len(clean) // 2, *ends, source).repeat_interleave(2, 0) for ends in ((30, 98), (0, 1))
    )

    def file(picture: Tensor) -> Tensor:
        rounded = torch.where(kind < 0.6, eight_bit(picture), jpeg(picture, quality))
        return torch.where(kind < 0.1, picture, rounded)

    noisy = file(clean + noise)
    return noisy[1::2], noisy[::2], file(clean)[1::2]


def _coded(clean: Tensor, noise: Tensor, source: Generator) -> tuple[Tensor, Tensor, Tensor]:
    """The same of clips (B * FRAMES,3,H,W) through a video codec, two of each."""
    now, then = (list(which) for which in SHOWN)
    shown = []
    for before, after in zip(torch.split(clean + noise, FRAMES), torch.split(clean, FRAMES), strict=True):
        crf, kind = float(uniform(1, 12, 33, source)), float(uniform(1, 0, 1, source))
        codec = "hevc" if kind < 0.2 and crf < 24 else "h264"
        preset = "medium" if kind > 0.6 and codec == "h264" else "veryfast"
        noisy, pure = (code(clip, crf, codec, preset) for clip in (before, after))
        shown.append((noisy[now], noisy[then], pure[now]))
    return tuple(torch.cat(parts) for parts in zip(*shown, strict=True))  # type: ignore[return-value]


def _described(picture: Tensor, last: Tensor, parts: int, source: Generator) -> Tensor:
    """(parts,F): a picture (3,H,W) and its change from the one before, several times by half of the blocks."""
    matrix, order = opponent(picture.device), dct.sums(picture.device)
    # Off the codec's grid, as an estimate is that looks anywhere.
    top, left = integers(2, dct.BLOCK, source).tolist()
    height, width = ((size - dct.BLOCK) // dct.BLOCK * dct.BLOCK for size in picture.shape[1:])
    window = picture[:, top : top + height, left : left + width].contiguous()
    blocks = dct.forward(mix(window, matrix)).flatten(2).transpose(1, 2)
    here, there = followed(picture, last)
    change = mix((here - there) @ dct.basis(picture.device).T * math.sqrt(0.5), matrix)

    def half(of: Tensor) -> Tensor:
        count = of.shape[1]
        return of[:, torch.randperm(count, generator=source, device=source.device)[: -(-count // 2)]]

    told = []
    for _ in range(parts):
        own, other = describe(half(blocks), order), describe_change(half(change), order)
        told.append(torch.cat([own, own.new_zeros(OF_CHANGE) if other is None else other]))
    return torch.stack(told)
